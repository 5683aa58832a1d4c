// Package framework says where job frameworks keep their queues on a server, and what is special
// about each: one value for each framework, in a file of its own, and one table of them. It is data:
// scaler/trigger reads from it what a preset allows, and scaler/queue how its depth is read.
package framework

import (
	"slices"
	"strings"
)

// Framework is a job framework whose queues a channel may name by preset.
type Framework struct {
	// Name is the preset's name, as channels and triggers write it.
	Name string
	// Prefix is what precedes the framework's keys, and is the user's to choose; nil: nothing.
	Prefix *Prefix
	// Priorities says how the keys of a queue's priorities are named; nil: it has none of its own.
	Priorities *Priorities
	// Cluster tells whether its queues can be read on a cluster.
	Cluster Cluster
	// Queue is the keys of one queue, in the order in which a job runs through them. They are read
	// in that order, so a job that moves meanwhile counts twice rather than not at all.
	Queue []Key
	// Shared is the keys that are of all queues together, in the same order. They count once for a
	// channel.
	Shared []Key
	// Unheld is what is to be known where no queue has anything in flight in Shared; empty: nothing.
	Unheld string
}

// HasAges tells whether the framework records when a job came.
func (f Framework) HasAges() bool {
	for _, key := range f.Queue {
		if key.Oldest != nil {
			return true
		}
	}
	return false
}

// ShowsWork tells whether some key of the framework says what is in work.
func (f Framework) ShowsWork() bool {
	return slices.ContainsFunc(slices.Concat(f.Queue, f.Shared), func(key Key) bool {
		return key.Counts == Held || key.Counts == Reserved || key.Counts == Processes
	})
}

// Prefix says what keyPrefix is.
type Prefix struct {
	// Default is the prefix where keyPrefix is not set.
	Default string
	// Separator ends each prefix that is not empty, whether or not the user wrote it. Empty: the
	// prefix is taken as it is.
	Separator string
	// Tagged is an example of a prefix with a hash tag.
	Tagged string
}

// Cluster tells whether a framework's queues can be read on a cluster.
type Cluster int

// The zero value is none of these, and refused: what is not known to work might be read in part.
const (
	// OneNode: the keys of a queue have the same hash tag, whatever its name.
	OneNode Cluster = iota + 1
	// TaggedByUser: they have where the queue's name or the prefix has one.
	TaggedByUser
	// SeveralNodes: they do not share one.
	SeveralNodes
	// TaggedByPrefix: they have where the prefix has one. The queue's name does not suffice, because some
	// keys are without it.
	TaggedByPrefix
)

// What stands for a part of a key's name, each at most once, the prefix first.
const (
	prefixPart = "<prefix>"
	queuePart  = "<queue>"
)

// Key is a key of a framework's, and what it tells. One that tells two things is listed twice.
type Key struct {
	// Name has <prefix> for the prefix, and <queue> for the queue's name. One that has <step> after it
	// stands for a key of each priority (QueueKeys).
	Name   string
	Holds  Type
	Counts Count
	// Clock is how Due and Reserved write a time in a score.
	Clock Clock
	// Scheduler tells of Due that a scheduler moves the jobs, which a user may not run (Options.Scheduled).
	Scheduler bool
	// Field of the hash, for Paused.
	Field string
	// Limits is the fields of the hash, for Limited.
	Limits *Limits
	// Marker begins the element at the tail of a list that is no job, for Waiting. Empty: all are.
	Marker string
	// Oldest says where the time is read at which the oldest job came, for Waiting; nil: nowhere.
	Oldest *Oldest
	// Serves tells of a process, by its info, whether it works on one of the queues, for Processes.
	Serves func(info string, queues []string) bool
	// List is the name, but for the prefix, of the list in which a process keeps what it works on of a queue, for Orphans.
	List func(process, queue string) string
	// Optional is a key that not everybody who uses the framework has, or that was not always read. Where a user may not read it, or something else bears its
	// name, it is as if there were none.
	Optional bool
	// Owner tells of which queue each job of a hash is, for Held; nil: nothing tells.
	Owner *Owner
}

// Render is a Name or Hash of the framework's for a channel's keyPrefix and a queue.
func (f Framework) Render(name, keyPrefix, queue string) string {
	prefix := ""
	if f.Prefix != nil {
		prefix = keyPrefix
		if prefix == "" {
			prefix = f.Prefix.Default
		}
		if end := f.Prefix.Separator; end != "" && prefix != "" {
			prefix = strings.TrimSuffix(prefix, end) + end
		}
	}
	before, after, ofQueue := strings.Cut(name, queuePart)
	before = strings.Replace(before, prefixPart, prefix, 1)
	if !ofQueue {
		return before
	}
	return before + queue + after
}

// Type is the type of a key.
type Type string

// The types, by the names that errors give them.
const (
	List      Type = "list"
	SortedSet Type = "sortedset"
	Hash      Type = "hash"
	Set       Type = "set"
	String    Type = "string"
)

// Count is what a key tells of the depth.
type Count int

// The zero value is none of these.
const (
	// Waiting: all elements of a list, or members of a sorted set, are ready (LLEN, ZCARD).
	Waiting Count = iota + 1
	// Due: the members of a sorted set whose time has come are ready (ZCOUNT), and those of the
	// lowest score came first.
	Due
	// Held: all elements of a list, or fields of a hash, are in flight (LLEN, HLEN).
	Held
	// Reserved: the members of a sorted set whose time is yet to come are in flight (ZCOUNT).
	Reserved
	// Paused: what waits is not ready while the key, a string, exists, the hash has Field, or the set has the queue's name.
	// A string that names no queue pauses all.
	Paused
	// Added: a string, the number of jobs ever added (GET).
	Added
	// Limited: a hash says how many of the jobs that wait may run.
	Limited
	// Orphans: a set of the framework's processes. Of those that have no hash <prefix><process> any more, the elements of
	// the lists <prefix>List are ready.
	Orphans
	// Processes: a set of the framework's processes. Each has a hash <prefix><process>, of which the
	// field busy is how many jobs it works on, and info is for Serves.
	Processes
)

// Limits is the fields of a hash that limit how many jobs of a queue run, whatever workers there are. Each may be
// missing: there is no such limit.
type Limits struct {
	// Concurrency is how many may be in work at the same time.
	Concurrency string
	// Max is how many may begin in a window of so many milliseconds as Window says.
	Max, Window string
}

// Owner says of which queue a job in work is.
type Owner struct {
	// Index is the name of a sorted set whose members are the hash's fields.
	Index string
	// Queue reads the name of the queue from a field's value. It is false where that does not tell.
	Queue func(value string) (queue string, known bool)
}

// Oldest says where the time is at which the oldest job of a key came.
type Oldest struct {
	// At is its index in the list or sorted set: 0 or -1.
	At int
	// Hash is the name of the job's hash but for the id, which is the element; and Field the time in
	// it. Both are empty where the element is the job itself.
	Hash, Field string
	// Read reads the field, or the element.
	Read ReadTime
}
