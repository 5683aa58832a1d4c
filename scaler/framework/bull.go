package framework

// Bull 4, BullMQ's predecessor, has these keys (bull, lib/commands). A job of a priority is in wait like the
// others, at its place; the sorted set priority only finds that. Pausing renames wait to paused, and sets
// meta-paused. The tail of wait is the next job: the oldest, unless some have priorities.
var Bull = Framework{
	Name:    "Bull",
	Prefix:  &Prefix{Default: "bull", Tagged: "{bull}"},
	Cluster: TaggedByUser,
	Queue: []Key{
		{Name: "<prefix>:<queue>:delayed", Holds: SortedSet, Counts: Due, Clock: bullMQClock},
		{Name: "<prefix>:<queue>:wait", Holds: List, Counts: Waiting, Oldest: bullMQOldest(-1)},
		{Name: "<prefix>:<queue>:meta-paused", Holds: String, Counts: Paused},
		{Name: "<prefix>:<queue>:active", Holds: List, Counts: Held},
		{Name: "<prefix>:<queue>:id", Holds: String, Counts: Added},
	},
}
