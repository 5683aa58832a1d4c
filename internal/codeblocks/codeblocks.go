// Package codeblocks tells tests which code blocks and commands a Markdown file has, and what a comment says of each block,
// so that the documents' commands can be run as they are written.
//
// A comment that no reader of the page sees stands in the line above a block:
//
//	<!-- not run: why -->                        the block is not run by a test
//	<!-- file: orders.yaml -->                   a reader saves the block under this name
//	<!-- Ctrl-C at: regexp -->                   the block does not end by itself; a reader ends it once it has printed that
//	<!-- beside: regexp -->                      a reader leaves the block running, and goes on once it has printed that
//	<!-- one by one, Ctrl-C ends: regexp -->     each line is a command of its own; those that match don't end by themselves
//
// A block of the language text that directly follows commands is what they print.
package codeblocks

import (
	"fmt"
	"regexp"
	"strings"
)

// Mark is the keyword of such a comment; the empty one is a block without a comment.
type Mark string

// The marks. What stands behind the colon is the block's About.
const (
	NotRun   Mark = "not run"
	File     Mark = "file"
	CtrlCAt  Mark = "Ctrl-C at"
	Beside   Mark = "beside"
	OneByOne Mark = "one by one, Ctrl-C ends"
)

// Block is a code block.
type Block struct {
	Line     int    // of the opening fence, from 1
	Section  string // the heading above it
	Language string // sh, console, yaml, …, or "" if the fence names none
	Text     string // without the fences and their indentation; ends with a line feed unless it is empty
	Mark     Mark
	About    string
	Shows    string // what the document shows that the commands print; of blocks of sh
}

var (
	fence   = regexp.MustCompile("^( *)```([a-z]*)$")
	comment = regexp.MustCompile(`^ *<!-- *([^:]*?) *(?:: *(.*?) *)?-->$`)
	heading = regexp.MustCompile(`^#{1,6} +(.+?) *$`)
)

// Parse reads a Markdown file. It is an error if a comment above a block has no known keyword or lacks what follows it, if an
// expression can't be compiled, or if a block does not end.
func Parse(text string) ([]Block, error) {
	var blocks []Block
	section, above := "", ""
	lines := strings.Split(text, "\n")
	follows := -1 // the block of commands that only empty lines separate from here
	for i := 0; i < len(lines); i++ {
		opening := fence.FindStringSubmatch(lines[i])
		if opening == nil {
			if match := heading.FindStringSubmatch(lines[i]); match != nil {
				section = match[1]
			}
			if above = lines[i]; strings.TrimSpace(above) != "" {
				follows = -1
			}
			continue
		}
		block := Block{Line: i + 1, Section: section, Language: opening[2]}
		if err := block.mark(above); err != nil {
			return nil, err
		}
		above = ""
		for i++; i < len(lines) && strings.TrimSpace(lines[i]) != "```"; i++ {
			block.Text += strings.TrimPrefix(lines[i], opening[1]) + "\n"
		}
		if i == len(lines) {
			return nil, fmt.Errorf("line %d: the block does not end", block.Line)
		}
		if block.Language == "text" && follows >= 0 {
			blocks[follows].Shows = block.Text
			follows = -1
			continue
		}
		blocks = append(blocks, block)
		follows = -1
		if block.Language == "sh" {
			follows = len(blocks) - 1
		}
	}
	return blocks, nil
}

// mark reads the line above a block.
func (b *Block) mark(above string) error {
	match := comment.FindStringSubmatch(above)
	if match == nil {
		return nil
	}
	b.Mark, b.About = Mark(match[1]), match[2]
	switch b.Mark {
	case NotRun, File:
	case CtrlCAt, Beside, OneByOne:
		if _, err := regexp.Compile(b.About); err != nil {
			return fmt.Errorf("line %d: %s: %w", b.Line, b.Mark, err)
		}
	default:
		return fmt.Errorf("line %d: a comment above a block begins with %q, which is none of %q", b.Line, b.Mark, []Mark{NotRun, File, CtrlCAt, Beside, OneByOne})
	}
	if b.About == "" {
		return fmt.Errorf("line %d: nothing follows %q", b.Line, b.Mark)
	}
	return nil
}

// Command is one that a document shows; it may be a script.
type Command struct {
	Text  string
	Shows string // what the document shows that it prints, or ""
}

// Commands are those of a block: of sh its whole text, or each line if they are run one by one; of console what follows each
// prompt. A block of another language has none.
func (b Block) Commands() []Command {
	switch {
	case b.Language == "sh" && b.Mark == OneByOne:
		return oneByOne(b.Text)
	case b.Language == "sh":
		return []Command{{Text: b.Text, Shows: b.Shows}}
	case b.Language == "console":
		return prompted(b.Text)
	}
	return nil
}

func oneByOne(text string) (commands []Command) {
	for line := range strings.Lines(text) {
		if trimmed := strings.TrimSpace(line); trimmed != "" && !strings.HasPrefix(trimmed, "#") {
			commands = append(commands, Command{Text: line})
		}
	}
	return commands
}

func prompted(text string) (commands []Command) {
	continued := false
	for line := range strings.Lines(text) {
		last := len(commands) - 1
		switch entered, ok := strings.CutPrefix(line, "$ "); {
		case ok:
			commands = append(commands, Command{Text: entered})
		case last < 0:
			continue // what no command printed is only shown
		case continued:
			commands[last].Text += line
		default:
			commands[last].Shows += line
			continue
		}
		continued = strings.HasSuffix(line, "\\\n")
	}
	return commands
}

// Spans are what stands between backquotes outside of blocks, each as often as it does.
func Spans(text string) (spans []string) {
	inside := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			inside = !inside
			continue
		}
		for i, part := range strings.Split(line, "`") {
			if !inside && i%2 == 1 {
				spans = append(spans, part)
			}
		}
	}
	return spans
}
