package framework

import "time"

// Asynq has these keys (hibiken/asynq, internal/base/base.go). The braces are its own: they keep a queue on
// one node of a cluster. Tasks that are completed or archived are none that wait, nor are those of a
// group that is not complete.
var Asynq = Framework{
	Name:    "Asynq",
	Cluster: OneNode,
	Queue: []Key{
		{Name: "asynq:{<queue>}:scheduled", Holds: SortedSet, Counts: Due, Clock: Seconds},
		{Name: "asynq:{<queue>}:retry", Holds: SortedSet, Counts: Due, Clock: Seconds},
		{Name: "asynq:{<queue>}:pending", Holds: List, Counts: Waiting,
			Oldest: &Oldest{At: -1, Hash: "asynq:{<queue>}:t:", Field: "pending_since", Read: unix(time.Nanosecond)}},
		{Name: "asynq:{<queue>}:paused", Holds: String, Counts: Paused},
		{Name: "asynq:{<queue>}:active", Holds: List, Counts: Held},
	},
}
