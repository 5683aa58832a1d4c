package framework

// BeeQueue has these keys (bee-queue, lib/lua, lib/queue.js): jobs are pushed on the left, and what a worker takes is in
// active until it is done. stalling names again what is active. When a job came is in its JSON in the hash jobs, which
// holds all of them; and id does not count jobs that are named by the application. bee-queue does not speak to a
// cluster.
var BeeQueue = Framework{
	Name:    "BeeQueue",
	Prefix:  &Prefix{Default: "bq"},
	Cluster: SeveralNodes,
	Queue: []Key{
		{Name: "<prefix>:<queue>:delayed", Holds: SortedSet, Counts: Due, Clock: Milliseconds},
		{Name: "<prefix>:<queue>:waiting", Holds: List, Counts: Waiting},
		{Name: "<prefix>:<queue>:active", Holds: List, Counts: Held},
	},
}
