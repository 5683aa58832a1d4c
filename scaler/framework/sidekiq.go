package framework

import (
	"encoding/json"
	"slices"
	"time"
)

// Sidekiq has these keys (lib/sidekiq/api.rb, launcher.rb, client.rb): jobs are pushed on the left. Those
// that are due, and how many jobs each process is at work on, are of all queues together. The prefix is the namespace of
// redis-namespace.
//
// Sidekiq Pro (lib/sidekiq/pro/super_fetch.rb of version 5; it was not run) keeps the names of paused queues in a set. Its
// super_fetch keeps what a process works on in private lists, which the processes' busy counts while the process lives. When
// it is gone, the next process that starts puts them back: until then they wait.
var Sidekiq = Framework{
	Name:    "Sidekiq",
	Prefix:  &Prefix{Separator: ":"},
	Cluster: SeveralNodes,
	Queue: []Key{
		{Name: "<prefix>queue:<queue>", Holds: List, Counts: Waiting, Oldest: &Oldest{At: -1, Read: sidekiqEnqueued}},
		{Name: "<prefix>paused", Holds: Set, Counts: Paused, Optional: true},
	},
	Shared: []Key{
		{Name: "<prefix>schedule", Holds: SortedSet, Counts: Due, Clock: Seconds},
		{Name: "<prefix>retry", Holds: SortedSet, Counts: Due, Clock: Seconds},
		{Name: "<prefix>processes", Holds: Set, Counts: Processes, Serves: sidekiqServes},
		{Name: "<prefix>super_processes", Holds: Set, Counts: Orphans, List: sidekiqPrivate, Optional: true},
	},
}

// sidekiqPrivate is the list in which super_fetch keeps what a process works on of a queue, but for the prefix.
func sidekiqPrivate(process, queue string) string { return "queue:sq|" + process + "|" + queue }

// sidekiqMilliseconds is the number from which on a job's enqueued_at is in milliseconds,
// as it is since Sidekiq 8: as seconds it would be some thousand years ahead.
const sidekiqMilliseconds = 1e11

// sidekiqEnqueued is when a job of Sidekiq was put into its queue; 1970, which is not plausible,
// where it does not say.
func sidekiqEnqueued(job string) (time.Time, error) {
	var fields struct {
		EnqueuedAt float64 `json:"enqueued_at"`
	}
	if json.Unmarshal([]byte(job), &fields) != nil {
		fields.EnqueuedAt = 0 // what was read before the fault is not to be believed
	}
	if fields.EnqueuedAt < sidekiqMilliseconds {
		fields.EnqueuedAt *= 1000
	}
	return unixMilliseconds(fields.EnqueuedAt), nil
}

// sidekiqServes tells whether a process of that info (JSON) serves one of the queues. It does
// where that can't be read: work in flight is not to be missed.
func sidekiqServes(info string, queues []string) bool {
	var process struct {
		Queues   []string `json:"queues"`
		Capsules map[string]struct {
			Weights map[string]json.RawMessage `json:"weights"`
		} `json:"capsules"`
	}
	if json.Unmarshal([]byte(info), &process) != nil {
		return true
	}
	served := process.Queues
	for _, capsule := range process.Capsules {
		for name := range capsule.Weights {
			served = append(served, name)
		}
	}
	return len(served) == 0 || slices.ContainsFunc(served, func(name string) bool { return slices.Contains(queues, name) })
}
