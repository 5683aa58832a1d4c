package framework

import (
	"slices"
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
	// InFlight says which work counts, of what a framework keeps for all queues of the database together.
	InFlight InFlight
	// Scheduled says whether jobs count that are due in keys with a Scheduler.
	Scheduled Scheduled
}

// Scheduled says whether jobs count that are due, but are moved to their queue by a scheduler alone.
type Scheduled string

// The zero value is ScheduledCount.
const (
	// ScheduledCount: they do, because a worker that starts runs the scheduler.
	ScheduledCount Scheduled = ""
	// ScheduledIgnore: they don't, because nobody moves them.
	ScheduledIgnore Scheduled = "Ignore"
)

// InFlight says which work counts where the framework keeps that of all queues together (Key.Owner).
type InFlight string

// The zero value is InFlightOfDatabase.
const (
	// InFlightOfDatabase: all of it.
	InFlightOfDatabase InFlight = ""
	// InFlightOfQueues: what is of the channel's queues, or does not say of which it is.
	InFlightOfQueues InFlight = "Queue"
	// InFlightNone: none of it.
	InFlightNone InFlight = "None"
)

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

// HasScheduler tells whether Scheduled has a say in what is due.
func (f Framework) HasScheduler() bool {
	return slices.ContainsFunc(f.Queue, func(key Key) bool { return key.Scheduler })
}

// QueueKeys is Queue with a key for each priority, and without what the options leave out.
func (f Framework) QueueKeys(o Options) []Key {
	var keys []Key
	for _, key := range f.Queue {
		if key.Scheduler && o.Scheduled == ScheduledIgnore {
			continue
		}
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

// SharedKeys is Shared without what the options leave out.
func (f Framework) SharedKeys(o Options) []Key {
	var keys []Key
	for _, key := range f.Shared {
		if key.Owner == nil || o.InFlight != InFlightNone {
			keys = append(keys, key)
		}
	}
	return keys
}

// SharesInFlight tells whether the framework keeps the work of all queues together, in a way that
// InFlight has a say in.
func (f Framework) SharesInFlight() bool {
	return slices.ContainsFunc(f.Shared, func(key Key) bool { return key.Owner != nil })
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
