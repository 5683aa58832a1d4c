package trigger

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jawaracloud/pubsub-operator/scaler/address"
)

// hiddenValue stands for a value that is not shown.
const hiddenValue = "…"

// fail notes what is wrong with a key: the key, its value where that may be shown, and the
// remedy.
func (p *parser) fail(key, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s is %q: %s", key, p.shown(key), fmt.Sprintf(format, args...)))
}

// shown is the value of a key as an error may show it. What comes from an environment may
// be anybody's secret, and so may the value of a key that is not known: a misspelt
// passwordFromEnv, for example.
func (p *parser) shown(key string) string {
	switch value := p.metadata[key]; {
	case value == "":
		return ""
	case hidden[key], p.isFromEnv[key], strings.HasSuffix(key, FromEnvSuffix), !known[key]:
		return hiddenValue
	case key == KeyRedisAddress:
		return address.Shown(value)
	default:
		return value
	}
}

// shownQueue is the name of a queue as an error may show it.
func (p *parser) shownQueue(name string) string {
	if p.isFromEnv[KeyChannelName] || p.isFromEnv[KeyKeys] {
		return hiddenValue
	}
	return name
}

// checkEnds refuses white space at the beginning or the end of a value: as a rule it is a line break that a
// YAML block or a file of the environment left there, and a key that ends in one is another key, which is empty.
// Nothing is trimmed, because the workers, who get the same value, would not. A password may end in any
// character. What follows reads the value without, so that it tells no second error of the same.
func (p *parser) checkEnds() {
	cloned := false
	for _, row := range table {
		value := p.metadata[row.key]
		trimmed := strings.TrimSpace(value)
		if trimmed == value || row.secret {
			continue
		}
		remedy := "it begins or ends in white space: take it out (a block of YAML ends in a line break unless it begins with |- or >-, and so does what echo made)"
		if row.key == KeyChannelName || row.key == KeyKeys {
			remedy += `; a key that does have it is named by keys, as a JSON array: ["orders\n"]`
		}
		p.fail(row.key, "%s", remedy)
		if !cloned {
			p.metadata, cloned = maps.Clone(p.metadata), true
		}
		p.metadata[row.key] = trimmed
	}
}

// checkSingleLine refuses line breaks and other control characters. Queues' keys may have them: Redis
// takes any bytes as a key.
func (p *parser) checkSingleLine() {
	for _, key := range singleLine {
		if strings.ContainsFunc(p.metadata[key], unicode.IsControl) {
			p.fail(key, "it holds a line break or another control character: take it out (what comes from a Secret often ends in one that echo added: make it with printf)")
		}
	}
}

// HideFromEnv puts "…" in the place of each value in words that the metadata has from an
// environment, as KEDA resolves keys that end in FromEnv: such a value may come from a
// Secret, which whoever reads the words may not. A value is found as a whole word, or
// anywhere where it is long; of a list, each of its parts is.
func HideFromEnv(metadata map[string]string, words string) string {
	var values []string
	for _, key := range others(metadata) {
		if own, ok := strings.CutSuffix(key, FromEnvSuffix); ok {
			values = append(values, partsOf(own, metadata[key])...)
		}
	}
	// The longest first, so that none is taken apart before it is found.
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
	for _, value := range values {
		words = hide(words, value)
	}
	return words
}

// partsOf is a value and what of it may stand in a text alone.
func partsOf(own, value string) []string {
	parts := []string{value}
	switch own {
	case KeyKeys:
		p := parser{metadata: map[string]string{KeyKeys: value}}
		parts = append(parts, p.keys()...)
	case KeyRedisAddress:
		addresses, err := address.ParseList(value)
		if err != nil {
			break // what is no address is not connected to
		}
		for _, one := range addresses {
			if host, _, err := address.Parse(one); err == nil {
				parts = append(parts, one, host)
			}
		}
	}
	return parts
}

// longValue is the length, in bytes, from which on a value is nothing that a text has by chance.
const longValue = 8

func hide(words, value string) string {
	if value == "" {
		return words
	}
	if len(value) >= longValue {
		return strings.ReplaceAll(words, value, hiddenValue)
	}
	var text strings.Builder
	for {
		before, after, found := strings.Cut(words, value)
		if !found {
			text.WriteString(words)
			return text.String()
		}
		last, _ := utf8.DecodeLastRuneInString(text.String() + before)
		next, _ := utf8.DecodeRuneInString(after)
		text.WriteString(before)
		if isWordRune(last) || isWordRune(next) {
			text.WriteString(value)
		} else {
			text.WriteString(hiddenValue)
		}
		words = after
	}
}

func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// policyError is what is wrong with the policy as a whole. Its words show numbers, of which
// those from an environment are taken out.
func (p *parser) policyError(t Trigger) error {
	err := t.Policy.Validate()
	if err == nil || len(p.isFromEnv) == 0 {
		return err
	}
	values := maps.Clone(p.metadata)
	if p.isFromEnv[KeyMaxAge] {
		values[KeyMaxAge+FromEnvSuffix] = t.Policy.MaxAge.String() // it is shown as Go writes it
	}
	for _, key := range []string{KeyMinReplicas, KeyMaxReplicas, KeyTargetQueueDepth, KeyScaleUpThreshold, KeyScaleDownThreshold,
		KeyCooldownPeriod, KeyActivationQueueDepth} {
		if p.isFromEnv[key] { // "+5" and "05" are shown as 5
			values[key+FromEnvSuffix] = t.Metadata()[key]
		}
	}
	return errors.New(HideFromEnv(values, err.Error()))
}
