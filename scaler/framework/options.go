package framework

import (
	"strconv"
	"strings"
)

// Options is what of a framework's own settings a channel repeats, because the server does not tell it.
// The zero value is the framework's defaults. It is comparable.
type Options struct {
	// Steps is the priorities that have a key of their own, as StepsOf writes them. Empty: Priorities.Steps.
	Steps string
	// Separator stands between a queue's name and the priority. Empty: Priorities.Separator.
	Separator string
}

// Priorities says how a framework names the keys of a queue's priorities. The key of priority 0 has the
// queue's name alone.
type Priorities struct {
	// Steps is those that there are by default, as StepsOf writes them.
	Steps string
	// Separator stands between the queue's name and the priority by default.
	Separator string
}

// StepsOf writes priorities: "0,3,6,9".
func StepsOf(priorities []int32) string {
	words := make([]string, len(priorities))
	for i, priority := range priorities {
		words[i] = strconv.Itoa(int(priority))
	}
	return strings.Join(words, ",")
}

// stepPart stands in a key's name for the separator and the priority, where a queue has a key for each.
const stepPart = "<step>"

// QueueKeys is Queue with a key for each priority.
func (f Framework) QueueKeys(o Options) []Key {
	var keys []Key
	for _, key := range f.Queue {
		if f.Priorities == nil || !strings.Contains(key.Name, stepPart) {
			keys = append(keys, key)
			continue
		}
		for _, ending := range f.Priorities.endings(o) {
			one := key
			one.Name = strings.Replace(key.Name, stepPart, ending, 1)
			keys = append(keys, one)
		}
	}
	return keys
}

// endings is what follows a queue's name in the key of each priority.
func (p Priorities) endings(o Options) []string {
	steps, separator := p.Steps, p.Separator
	if o.Steps != "" {
		steps = o.Steps
	}
	if o.Separator != "" {
		separator = o.Separator
	}
	endings := strings.Split(steps, ",")
	for i, step := range endings {
		if step == "0" {
			endings[i] = ""
		} else {
			endings[i] = separator + step
		}
	}
	return endings
}
