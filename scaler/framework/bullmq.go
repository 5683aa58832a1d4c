package framework

import (
	"strconv"
	"time"
)

// BullMQ has these keys (src/commands). The tail of wait is its oldest job; versions before 5 put a marker,
// which is no job, there to wake a worker when a delayed one is due. Of those in prioritized, the
// oldest that is looked at is the one that comes next: the oldest of the highest priority. An
// older one of a lower priority could be found only by looking at all. meta has the global limits
// (setGlobalConcurrency, setGlobalRateLimit); a worker's own limiter is written nowhere.
var BullMQ = Framework{
	Name:    "BullMQ",
	Prefix:  &Prefix{Default: "bull", Tagged: "{bull}"},
	Cluster: TaggedByUser,
	Queue: []Key{
		{Name: "<prefix>:<queue>:delayed", Holds: SortedSet, Counts: Due, Clock: bullMQClock},
		{Name: "<prefix>:<queue>:wait", Holds: List, Counts: Waiting, Marker: "0:", Oldest: bullMQOldest(-1)},
		{Name: "<prefix>:<queue>:prioritized", Holds: SortedSet, Counts: Waiting, Oldest: bullMQOldest(0)},
		{Name: "<prefix>:<queue>:meta", Holds: Hash, Counts: Paused, Field: "paused"},
		{Name: "<prefix>:<queue>:meta", Holds: Hash, Counts: Limited, Limits: &Limits{Concurrency: "concurrency", Max: "max", Window: "duration"}},
		{Name: "<prefix>:<queue>:active", Holds: List, Counts: Held},
		{Name: "<prefix>:<queue>:id", Holds: String, Counts: Added},
	},
}

func bullMQOldest(at int) *Oldest {
	return &Oldest{At: at, Hash: "<prefix>:<queue>:", Field: "timestamp", Read: unix(time.Millisecond)}
}

// bullMQClock is that of BullMQ's delayed jobs, and of Bull's: milliseconds × 4096, and a
// counter below (BullMQ, src/commands/includes/getDelayedScore.lua).
var bullMQClock = Clock{
	Latest: func(now time.Time) string { return strconv.FormatInt((now.UnixMilli()+1)<<12-1, 10) },
	Time:   func(score float64) time.Time { return unixMilliseconds(score / 4096) },
}
