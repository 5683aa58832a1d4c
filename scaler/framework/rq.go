package framework

// RQ has these keys (rq/queue.py, registry.py, job.py). Jobs are pushed on the right. A worker moves a job
// to the queue's intermediate list, and from there to the sorted set wip, whose scores say until
// when each is believed to be alive.
var RQ = Framework{
	Name:    "RQ",
	Cluster: SeveralNodes,
	Queue: []Key{
		{Name: "rq:scheduled:<queue>", Holds: SortedSet, Counts: Due, Clock: Seconds},
		{Name: "rq:queue:<queue>", Holds: List, Counts: Waiting,
			Oldest: &Oldest{At: 0, Hash: "rq:job:", Field: "enqueued_at", Read: iso8601}},
		{Name: "rq:queue:<queue>:intermediate", Holds: List, Counts: Held},
		{Name: "rq:wip:<queue>", Holds: SortedSet, Counts: Reserved, Clock: Seconds},
	},
}
