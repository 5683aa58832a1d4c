package framework

// Celery has a list for each step of priority, whose names kombu makes (kombu,
// transport/redis.py: sep, and priority_steps 0, 3, 6 and 9, the first without). unacked is the
// tasks that workers hold, of all queues of the database: what they fetched ahead, and what has a
// countdown or an eta, too. The prefix is global_keyprefix. Nothing records when a task came, and
// kombu does not speak to a cluster.
var Celery = Framework{
	Name:    "Celery",
	Prefix:  &Prefix{},
	Cluster: SeveralNodes,
	Queue: []Key{
		{Name: "<prefix><queue>", Holds: List, Counts: Waiting},
		{Name: "<prefix><queue>\x06\x163", Holds: List, Counts: Waiting},
		{Name: "<prefix><queue>\x06\x166", Holds: List, Counts: Waiting},
		{Name: "<prefix><queue>\x06\x169", Holds: List, Counts: Waiting},
	},
	Shared: []Key{
		{Name: "<prefix>unacked", Holds: Hash, Counts: Held},
	},
}
