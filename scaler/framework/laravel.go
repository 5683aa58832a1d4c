package framework

// Laravel has these keys (illuminate/queue, RedisQueue.php, LuaScripts.php): jobs are pushed on the right, and a
// worker moves what it takes to the sorted set reserved, with the time at which it may be taken from
// it again (retry_after): those whose time has come wait like the delayed ones. The list notify only
// wakes workers. The prefix is that of the Redis connection (config/database.php), by default the
// application's name and _database_. A job says at most when it was made (createdAt), which is not
// when it began to wait: a delayed or a released one keeps it.
var Laravel = Framework{
	Name:    "Laravel",
	Prefix:  &Prefix{Tagged: "{shop}_database_"},
	Cluster: TaggedByUser,
	Queue: []Key{
		{Name: "<prefix>queues:<queue>:delayed", Holds: SortedSet, Counts: Due, Clock: Seconds},
		{Name: "<prefix>queues:<queue>", Holds: List, Counts: Waiting},
		{Name: "<prefix>queues:<queue>:reserved", Holds: SortedSet, Counts: Reserved, Clock: Seconds},
		{Name: "<prefix>queues:<queue>:reserved", Holds: SortedSet, Counts: Due, Clock: Seconds},
	},
}
