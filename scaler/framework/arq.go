package framework

// Arq has one sorted set for each queue (arq, worker.py, constants.py), whose scores say from when on each job may run.
// A job stays there while it is run, until it is done, so what is due is what waits and what is in work together, and
// the lowest score does not say how long somebody has waited. What marks a job as in work is a key of each job's own.
var Arq = Framework{
	Name:    "Arq",
	Cluster: SeveralNodes,
	Queue: []Key{
		{Name: "<queue>", Holds: SortedSet, Counts: Due, Clock: Milliseconds},
	},
}
