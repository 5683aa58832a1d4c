package queue

import (
	"fmt"
	"strconv"
	"strings"
)

// WrongTypeError is a key of a type that is not the one wanted, or none that is a queue.
type WrongTypeError struct {
	Key    string
	Want   Kind
	Got    string // by TYPE; empty where the server only said that it is another
	Preset Kind   // the framework whose key it is, if any
}

func (e *WrongTypeError) Error() string {
	if e.Preset != "" {
		return fmt.Sprintf("key %q does not hold %s, as it does for %s: correct channelName, keys, keyPrefix or preset",
			e.Key, typeWords(string(e.Want)), layouts[e.Preset].framework.Name)
	}
	if e.Want == Auto {
		return fmt.Sprintf("key %q holds %s, which is not a queue: name a list, a stream or a sorted set as channelName or in keys",
			e.Key, typeWords(e.Got))
	}
	text := fmt.Sprintf("key %q holds %s, not %s: correct channelName or keys", e.Key, typeWords(e.Got), typeWords(string(e.Want)))
	if name, ok := queueTypes[e.Got]; ok {
		text += fmt.Sprintf(", or set queueType to %s or Auto", name)
	}
	return text
}

// queueTypes is the names by which a channel gives the type of a key, by TYPE's names.
var queueTypes = map[string]string{"list": "List", "stream": "Stream", "zset": "SortedSet"}

func typeWords(name string) string {
	switch name {
	case "":
		return "another type"
	case "zset", string(SortedSet):
		return "a sorted set"
	default:
		return "a " + name
	}
}

// maxGroups is how many groups an error names.
const maxGroups = 10

// GroupError is a stream with several consumer groups of which none was named.
type GroupError struct {
	Key    string
	Groups []string
}

func (e *GroupError) Error() string {
	return fmt.Sprintf("stream %q has %d consumer groups (%s): set consumerGroup to one of them", e.Key, len(e.Groups), groupNames(e.Groups))
}

// missingGroup says that a stream has no group of the name that is asked about, and which it has.
func missingGroup(q *Queue, groups []string) string {
	text := fmt.Sprintf("stream %q has no consumer group %q, so all its entries count as waiting; ", q.Key, q.Group)
	if len(groups) == 0 {
		return text + "it has no groups yet"
	}
	return text + fmt.Sprintf("it has %s: correct consumerGroup, unless that one is yet to be made", groupNames(groups))
}

// maxGroupName is how many bytes of a group's name are told: a server may hold names of any length.
const maxGroupName = 64

func groupNames(groups []string) string {
	var names []string
	for _, name := range groups[:min(len(groups), maxGroups)] {
		if len(name) > maxGroupName {
			name = strings.ToValidUTF8(name[:maxGroupName], "") + "…"
		}
		names = append(names, strconv.Quote(name)[1:len(strconv.Quote(name))-1])
	}
	if more := len(groups) - maxGroups; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// AgeUnknownError is an age that was wanted of a queue where nothing tells when its oldest
// waiting message came.
type AgeUnknownError struct {
	Key  string
	Kind Kind
}

func (e *AgeUnknownError) Error() string {
	switch e.Kind {
	case Stream:
		return fmt.Sprintf("the age of stream %q is not known, because the id of its oldest waiting entry is not a time: let XADD make the ids (*), or leave maxAge out", e.Key)
	case SortedSet:
		return fmt.Sprintf("the age of sorted set %q is not known, because its scores are not said to be, or are not, times: set score to UnixSeconds or UnixMilliseconds, whichever they are, or leave maxAge out", e.Key)
	case List:
		return fmt.Sprintf("the age of list %q is not known, because nothing records when its messages came: leave maxAge out, or use a stream", e.Key)
	case PubSub:
		return fmt.Sprintf("the age of channel %q is not known, because nothing records when messages are published: leave maxAge out, or use a stream", e.Key)
	case Auto, None: // these have no messages
	}
	if l, ok := layouts[e.Kind]; ok {
		why := "its oldest waiting job does not say when it came"
		if !l.framework.HasAges() {
			why = l.framework.Name + " does not record when a task came"
		}
		return fmt.Sprintf("the age of %s's queue %q is not known, because %s: leave maxAge out", l.framework.Name, e.Key, why)
	}
	return fmt.Sprintf("the age of %q is not known: leave maxAge out", e.Key)
}

// UnknownError is a queue that this scaler does not know how to read: a fault of its own, since
// what a user says of a queue is looked at before.
type UnknownError struct{ Queue Queue }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("the scaler does not know how to read key %q as kind %q with score %q: report it as a fault", e.Queue.Key, e.Queue.Kind, e.Queue.Score)
}

// ReplyError is a reply that does not have the shape that the command promises.
type ReplyError struct {
	Command string
	Err     error
}

func (e *ReplyError) Unwrap() error { return e.Err }

func (e *ReplyError) Error() string {
	return fmt.Sprintf("the reply to %s can't be read: %v", e.Command, e.Err)
}

// ElsewhereError is a stream about which a node of a cluster says that it does not exist,
// where it does: DragonFly knows only the keys of its own slots in XINFO, and does not
// redirect.
type ElsewhereError struct{ Key string }

func (e *ElsewhereError) Error() string {
	return fmt.Sprintf("the node says that there is no stream %q, whose length is not 0: its depth is not known until the cluster's slots are asked for anew", e.Key)
}

// BacklogError is a channel whose server does not tell what its subscribers have not taken.
type BacklogError struct {
	Channel string
	Err     error // what CLIENT LIST came to, if it was an error
}

func (e *BacklogError) Unwrap() error { return e.Err }

func (e *BacklogError) Error() string {
	text := fmt.Sprintf("the backlog of channel %q is not known: CLIENT LIST tells no omem of its subscribers, and INFO memory no dispatch_queue_subscriber_bytes", e.Channel)
	if e.Err != nil {
		text += fmt.Sprintf(" (%v)", e.Err)
	}
	return text + ": let the server's user run CLIENT LIST (Redis) or INFO (DragonFly), or use a stream"
}
