// Package queue knows what depth means for each kind of queue: which commands to send,
// and how to read the replies. It does no I/O.
package queue

import (
	"fmt"
	"strings"
)

// Names that cmd/subscriber and the scaler share. A list has no consumer groups, so the
// subscriber keeps what it holds in lists of its own, and names them in a sorted set:
// a reader of depths needs neither KEYS nor SCAN to find work in flight.

// ProcessingKey is the list of messages that one consumer of a list holds, of workers of
// other makes and older ones of ours. The hash tag puts it on the cluster node of key, as
// an atomic move demands.
func ProcessingKey(key, consumer string) string {
	return hashTagged(key) + ":processing:" + consumer
}

// ConsumersKey is the sorted set of a list's consumers; each one's score is its last
// heartbeat, in seconds since 1970 by the server's clock.
func ConsumersKey(key string) string {
	return hashTagged(key) + ":consumers"
}

// FinishedKey is the counter of a list's messages that workers with a ProcessingKey have
// finished: its growth, that of DoneKey and that of the depth are what has arrived. It is
// raised with the removal of a message, in one transaction.
func FinishedKey(key string) string {
	return hashTagged(key) + ":finished"
}

// TakenKey is the sorted set of a list's messages that workers have taken and not finished.
// The message itself is the only element of the list <TakenKey>:<member>. The score is in
// milliseconds since 1970 by the server's clock: of a message that waits for another
// delivery when it is due; of one in work InWork and the end of its lease. So one ZCARD and
// one ZCOUNT tell both, however many workers there are.
func TakenKey(key string) string {
	return hashTagged(key) + ":taken"
}

// InWork is what the scores of messages in work begin with: far beyond any time.
const InWork = 1_000_000_000_000_000

// NextKey is the list into which a worker's wait for a list's next message moves it, at once
// to be taken from there. A move that the server gets late leaves it there, where all look.
func NextKey(key string) string {
	return hashTagged(key) + ":next"
}

// DoneKey is the sorted set whose member DoneMember has as its score how many of a list's
// messages are finished, those of FinishedKey not among them. A message that is taken has a
// token, the sorted set UncountedKey, which ZUNIONSTORE adds to the score as it ends: so
// it counts once, however often a server is told of its end.
func DoneKey(key string) string {
	return hashTagged(key) + ":done"
}

// DoneMember is the member of DoneKey and of UncountedKey.
const DoneMember = "messages"

// UncountedKey is the token of the message of that ID.
func UncountedKey(key, id string) string {
	return hashTagged(key) + ":uncounted:" + id
}

// SpareKey is the list by which a list's workers count on a server at maxmemory, which refuses
// whatever may need memory, and so to raise DoneKey: they remove one of its elements for each message
// that they finish. Workers add what is missing there to DoneKey when there is room, whoever removed it.
func SpareKey(key string) string {
	return hashTagged(key) + ":spare"
}

// Spares is how many elements SpareKey has while none is missing, beside its first one, which stays. They take 20 kB.
const Spares = 10_000

// DeadLettersKey is the sorted set of a queue's dead letters: of a list where group is empty,
// otherwise of a stream's consumer group. A member is the message's ID, and its score the
// time of its burial in milliseconds since 1970 by the server's clock. The letter is the hash
// <DeadLettersKey>:<ID>.
func DeadLettersKey(key, group string) string {
	letters := hashTagged(key) + ":dead-letters"
	if group == "" {
		return letters
	}
	return letters + ":" + group
}

// hashTagged makes key the hash tag, unless it has one already (Redis Cluster
// specification, "Hash tags": the first non-empty {...}). A key with a lone brace can't be
// made a tag: its names are good for a single server only.
func hashTagged(key string) string {
	if open := strings.IndexByte(key, '{'); open >= 0 {
		if length := strings.IndexByte(key[open:], '}'); length > 1 {
			return key
		}
	}
	return "{" + key + "}"
}

// ClientName is how cmd/subscriber names its connections that are subscribed to a channel
// (CLIENT SETNAME), so that they are found in CLIENT LIST: pubsub:<channel>.
// Redis takes visible ASCII only there; all else, and %, is written as %XX.
func ClientName(channel string) string {
	name := []byte("pubsub:")
	for _, c := range []byte(channel) {
		if c < '!' || c > '~' || c == '%' {
			name = fmt.Appendf(name, "%%%02X", c)
		} else {
			name = append(name, c)
		}
	}
	return string(name)
}

// DefaultConsumerGroup is the group in which cmd/subscriber reads a stream when the
// channel names none.
const DefaultConsumerGroup = "pubsub-subscriber"

// WaitingConsumer is the name in a stream's group to which cmd/subscriber gives entries that wait
// for another delivery: they are pending, and not in work. It has a character that no pod's
// name may have.
const WaitingConsumer = "pubsub-subscriber:waiting"
