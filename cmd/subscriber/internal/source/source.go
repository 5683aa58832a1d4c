// Package source takes messages from a list or a stream, at least once each: what a
// worker holds stays on the server until it is acknowledged, and is taken over by others
// when the worker is gone. From a channel of Redis's Pub/Sub it takes them at most once.
package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// Times that workers and servers agree on.
const (
	// BlockTime is how long one fetch waits for a message, and so how long a worker that
	// is told to stop may still be given one, which it hands back.
	BlockTime = time.Second
	// ClaimMargin beyond the message timeout is when a stream's entry counts as given up.
	// It covers BeginWithin and the way from and to the server.
	ClaimMargin = 5 * time.Second
	// BeginWithin is how long a fetched message may wait for its work to begin; after
	// that it must be released, so that its work ends before others claim it.
	BeginWithin = 2 * time.Second
	// OperationTimeout bounds each exchange with the server, without BlockTime.
	OperationTimeout = 4 * time.Second
)

// Message is one message, or one entry of a stream.
type Message struct {
	// Key is the queue's.
	Key string
	// ID is the entry's ID, or given to a list's message when it is first taken: the same at
	// each delivery, and another for each message. One of Pub/Sub, or of a list on a
	// server that refuses to write, has none that lasts.
	ID string
	// Payload of a stream's entry is its field "payload", else the value of its only
	// field, else all fields as a JSON object.
	Payload string
	// Deliveries counts this delivery and those before it.
	Deliveries int64
	// Reason is why the message is buried; empty where nobody says.
	Reason string

	fields  map[string]any // of a stream's entry
	holding taken          // of a list's message
	place   string         // the list that a message is still in, which could not be taken; else empty
	fetched time.Time
}

// Options configure a source.
type Options struct {
	Client redis.UniversalClient
	Key    string
	// Consumer names this worker; no other may have the same name at the same time.
	Consumer string
	// Group is a stream's consumer group.
	Group string
	// MessageTimeout bounds the work on one message.
	MessageTimeout time.Duration
	// MaxDeliveries is when a message becomes a dead letter; 0: never.
	MaxDeliveries int64
	// MaxDead is how many dead letters there may be; of more the oldest are removed. 0: no limit.
	MaxDead int64
	// Trim has entries removed from a stream that all of its groups have acknowledged.
	Trim bool
	Log  *slog.Logger
	Now  func() time.Time
	// Event is told what happens beside the usual; nil: nobody.
	Event func(event Event, messages int)
	// CredentialsChange says that the credentials are files, which may be replaced: what
	// they are refused for may then pass.
	CredentialsChange bool
}

// Event is something that happened to messages beside the usual way.
type Event string

// The events.
const (
	Reclaimed    Event = "reclaimed"     // taken over from a worker that is gone, or (streams) that failed
	DeadLettered Event = "dead-lettered" // refused, or delivered too often
	Discarded    Event = "discarded"     // dead letters that were removed, because there were too many
	Trimmed      Event = "trimmed"       // entries of a stream that all groups have acknowledged, removed
	Dropped      Event = "dropped"       // of Pub/Sub, and not finished
)

// EventNames are the names of all of them.
func EventNames() []string {
	return []string{string(Reclaimed), string(DeadLettered), string(Discarded), string(Trimmed), string(Dropped)}
}

func (o Options) event(event Event, messages int) {
	if o.Event != nil && messages > 0 {
		o.Event(event, messages)
	}
}

// serverTime is the clock of the server that has the key.
func (o Options) serverTime(ctx context.Context) (time.Time, error) {
	var server redis.Cmdable = o.Client
	if cluster, ok := o.Client.(*redis.ClusterClient); ok {
		node, err := cluster.MasterForKey(ctx, o.Key)
		if err != nil {
			return time.Time{}, fmt.Errorf("the cluster's node of %s: %w", o.Key, err)
		}
		server = node
	}
	now, err := server.Time(ctx).Result()
	return now, o.classify(wrap("TIME", err))
}

// ErrPermanent is in the chain of errors that no retry can mend.
var ErrPermanent = errors.New("permanent")

type permanentError struct {
	remedy string
	err    error
}

func (e *permanentError) Error() string {
	if e.err == nil {
		return e.remedy
	}
	return fmt.Sprintf("%v: %s", e.err, e.remedy)
}

func (e *permanentError) Unwrap() []error { return []error{ErrPermanent, e.err} }

// classify marks the errors that only somebody else can mend, and says how.
func (o Options) classify(err error) error {
	switch {
	case err == nil || errors.Is(err, ErrPermanent):
		return err
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		return &permanentError{"the key's type changed: restart the worker with QUEUE_TYPE=Auto, or correct CHANNEL", err}
	case redis.IsAuthError(err) && o.CredentialsChange:
		return fmt.Errorf("%w: correct the files of REDIS_USERNAME_FILE and REDIS_PASSWORD_FILE", err)
	case redis.IsAuthError(err):
		return &permanentError{"correct REDIS_USERNAME and REDIS_PASSWORD, or where sentinels refused it REDIS_SENTINEL_USERNAME and REDIS_SENTINEL_PASSWORD", err}
	case redis.IsPermissionError(err):
		return &permanentError{"grant the command, the queue's keys and, for PubSub, the channel to the user in REDIS_USERNAME", err}
	case redis.HasErrorPrefix(err, "unknown command"):
		return &permanentError{"the server is too old: use Redis 7 or DragonFly", err}
	}
	return err
}

// Detect asks the server whether the key is a List or a Stream; None while there is
// neither. A list is absent once its last message is taken, but then its consumers are
// known, or what they took.
func (o Options) Detect(ctx context.Context) (queue.Kind, error) {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	got, err := o.Client.Type(ctx, o.Key).Result()
	if err != nil {
		return queue.None, o.classify(fmt.Errorf("TYPE %s: %w", o.Key, err))
	}
	// What a key may hold beside these is refused below.
	//exhaustive:ignore
	switch kind := queue.Kind(got); kind {
	case queue.List, queue.Stream:
		return kind, nil
	case queue.None:
		traces, err := o.Client.Exists(ctx, queue.ConsumersKey(o.Key), queue.TakenKey(o.Key), queue.NextKey(o.Key)).Result()
		if err != nil {
			return queue.None, o.classify(fmt.Errorf("EXISTS %s: %w", queue.ConsumersKey(o.Key), err))
		}
		if traces > 0 {
			return queue.List, nil
		}
		return queue.None, nil
	}
	remedy := remedyKey
	if got == "zset" {
		remedy += ", or the channel's image to workers of your own: this one does not consume sorted sets"
	}
	return queue.None, &permanentError{fmt.Sprintf("the key %q holds a %s: %s", o.Key, got, remedy), nil}
}

const remedyKey = "correct CHANNEL or QUEUE_KEYS to the key of a list or a stream"

// checkKind refuses a key that holds something else than want.
func (o Options) checkKind(ctx context.Context, want queue.Kind) error {
	got, err := o.Client.Type(ctx, o.Key).Result()
	if err != nil {
		return o.classify(fmt.Errorf("TYPE %s: %w", o.Key, err))
	}
	if kind := queue.Kind(got); kind == want || kind == queue.None {
		return nil
	}
	remedy := remedyKey
	if got == string(queue.List) || got == string(queue.Stream) {
		remedy = fmt.Sprintf("set QUEUE_TYPE to Auto or to %s%s", strings.ToUpper(got[:1]), got[1:])
	}
	return &permanentError{fmt.Sprintf("the key %q holds a %s, not a %s: %s", o.Key, got, want, remedy), nil}
}
