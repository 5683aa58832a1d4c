package queue

import (
	"fmt"
	"strings"
)

// Kind is a kind of queue.
type Kind string

// The kinds. None is what an absent key is: an empty queue whose kind is not known yet.
const (
	Auto   Kind = "auto"
	None   Kind = "none"
	List   Kind = "list"
	Stream Kind = "stream"
)

// Queue names a queue on a server. It is comparable.
type Queue struct {
	Key   string
	Kind  Kind   // Auto, List or Stream
	Group string // a stream's consumer group; empty: its only one
}

// Depth is what was read of a queue, in messages.
type Depth struct {
	Kind       Kind  // None, List or Stream
	Ready      int64 // waiting for a worker
	InFlight   int64 // held by a worker and not acknowledged
	LowerBound bool  // the server can't tell exactly; there are at least so many
	Added      int64 // messages ever added; -1 where the server does not count them
}

// Total is the depth that decisions are made from.
func (d Depth) Total() int64 { return d.Ready + d.InFlight }

// WrongTypeError is a key of a type that is not the one named, or none that is a queue.
type WrongTypeError struct {
	Key  string
	Want Kind
	Got  string
}

func (e *WrongTypeError) Error() string {
	if e.Want == Auto {
		return fmt.Sprintf("key %q holds a %s, which is not a queue: name a list or a stream as channelName", e.Key, e.Got)
	}
	return fmt.Sprintf("key %q holds a %s, not a %s: correct channelName, or set the queue type to Auto", e.Key, e.Got, e.Want)
}

// GroupError is a stream with several consumer groups of which none was named.
type GroupError struct {
	Key    string
	Groups []string
}

func (e *GroupError) Error() string {
	return fmt.Sprintf("stream %q has %d consumer groups (%s): set consumerGroup to one of them", e.Key, len(e.Groups), strings.Join(e.Groups, ", "))
}
