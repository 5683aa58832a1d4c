package framework

// RQ has these keys (rq/queue.py, registry.py, job.py). Jobs are pushed on the right. A worker moves a job
// to the queue's intermediate list, and from there to the sorted set wip, whose scores say until
// when each is believed to be alive. What is due is moved to the queue by a scheduler, which only a worker with
// --with-scheduler runs. While workers are suspended they take nothing. RQ has no setting for a prefix: it is one that a connection of the user's puts before
// all keys.
var RQ = Framework{
	Name:    "RQ",
	Prefix:  &Prefix{Tagged: "{rq}:"},
	Cluster: TaggedByPrefix,
	Queue: []Key{
		{Name: "<prefix>rq:scheduled:<queue>", Holds: SortedSet, Counts: Due, Clock: Seconds, Scheduler: true},
		{Name: "<prefix>rq:queue:<queue>", Holds: List, Counts: Waiting,
			Oldest: &Oldest{At: 0, Hash: "<prefix>rq:job:", Field: "enqueued_at", Read: iso8601}},
		{Name: "<prefix>rq:suspended", Holds: String, Counts: Paused, Optional: true},
		{Name: "<prefix>rq:queue:<queue>:intermediate", Holds: List, Counts: Held},
		{Name: "<prefix>rq:wip:<queue>", Holds: SortedSet, Counts: Reserved, Clock: Seconds},
	},
}
