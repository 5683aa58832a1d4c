package codeblocks

import (
	"regexp"
	"strings"
)

// Missing are the lines of what a document shows that were not printed, in their order. They are compared by their form: one space or more
// is as good as another number of them; a word that begins with a digit stands for any word, because numbers and times are different in each run; digits
// within a word stand for any digits; … stands for anything; and what was printed may have more lines, anywhere.
func Missing(shown, printed string) (missing []string) {
	rest := strings.Split(printed, "\n")
	for line := range strings.Lines(shown) {
		line = strings.TrimSpace(line)
		if line == "" || line == "..." || line == "…" {
			continue
		}
		form, found := formOf(line), false
		for i, candidate := range rest {
			if form.MatchString(candidate) {
				rest, found = rest[i+1:], true
				break
			}
		}
		if !found {
			missing = append(missing, line)
		}
	}
	return missing
}

var (
	digits = regexp.MustCompile(`[0-9]+`)
	column = regexp.MustCompile(`^[A-Z]+(?:[ -]+[A-Z]+)*$`)
)

func formOf(line string) *regexp.Regexp {
	var words []string
	for word := range strings.FieldsSeq(line) {
		if word[0] >= '0' && word[0] <= '9' {
			words = append(words, `\S+`)
			continue
		}
		word = digits.ReplaceAllString(regexp.QuoteMeta(word), `[0-9]+`)
		words = append(words, strings.ReplaceAll(word, "…", ".*"))
	}
	return regexp.MustCompile(`^\s*` + strings.Join(words, `\s+`) + `\s*$`)
}

// Columns are the lines of what a document shows that have only a table's headings, which are the same whatever the table
// holds.
func Columns(shown string) string {
	var headings strings.Builder
	for line := range strings.Lines(shown) {
		if strings.Contains(strings.TrimSpace(line), "  ") && column.MatchString(strings.TrimSpace(line)) {
			headings.WriteString(line)
		}
	}
	return headings.String()
}
