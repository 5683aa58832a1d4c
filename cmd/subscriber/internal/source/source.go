// Package source takes messages from a list or a stream, at least once each: what a
// worker holds stays on the server until it is acknowledged, and is taken over by others
// when the worker is gone.
package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

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
	// doubtTime is how long after an error a command that was sent may yet be executed.
	doubtTime = 10 * time.Second
)

// Message is one message, or one entry of a stream.
type Message struct {
	// ID is the entry's ID. Messages of a list have none of their own: theirs is made of
	// the payload's SHA-256, so that it is the same at each delivery and for equal
	// payloads.
	ID string
	// Payload of a stream's entry is its field "payload", else the value of its only
	// field, else all fields as a JSON object.
	Payload string
	// Deliveries counts this delivery and those before it.
	Deliveries int64

	fields  map[string]any // of a stream's entry
	fetched time.Time
}

// Options configure a source.
type Options struct {
	Client *redis.Client
	Key    string
	// Consumer names this worker; no other may have the same name at the same time.
	Consumer string
	// Group is a stream's consumer group.
	Group string
	// MessageTimeout bounds the work on one message.
	MessageTimeout time.Duration
	// MaxDeliveries is when a message goes to the dead-letter queue; 0: never.
	MaxDeliveries int64
	Log           *slog.Logger
	Now           func() time.Time
	// Event is told what happens beside the usual; nil: nobody.
	Event func(event Event, messages int)
}

// Event is something that happened to messages beside the usual way.
type Event string

// The events.
const (
	Reclaimed    Event = "reclaimed"     // taken over from a worker that is gone, or (streams) that failed
	DeadLettered Event = "dead-lettered" // delivered too often
)

func (o Options) event(event Event, messages int) {
	if o.Event != nil && messages > 0 {
		o.Event(event, messages)
	}
}

// DeadKey is the dead-letter queue of a list or stream, which is of the same kind.
func DeadKey(key string) string { return key + ":dead" }

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
func classify(err error) error {
	switch {
	case err == nil || errors.Is(err, ErrPermanent):
		return err
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		return &permanentError{"the key's type changed: restart the worker with QUEUE_TYPE=Auto, or correct CHANNEL", err}
	case redis.IsAuthError(err):
		return &permanentError{"correct REDIS_USERNAME and REDIS_PASSWORD", err}
	case redis.IsPermissionError(err):
		return &permanentError{"grant the command and the channel's keys to the user in REDIS_USERNAME", err}
	case redis.HasErrorPrefix(err, "unknown command"):
		return &permanentError{"the server is too old: use Redis 7 or DragonFly", err}
	}
	return err
}

// mayHappen tells whether a command that failed may have been executed, or may yet be: not
// where the server refused it, and not where there was no connection to send it on.
func mayHappen(err error) bool {
	var refused redis.Error
	var network *net.OpError
	return !errors.As(err, &refused) && !(errors.As(err, &network) && network.Op == "dial") && !errors.Is(err, redis.ErrPoolTimeout)
}

// Dial returns a client for a worker with so many messages in work. It opens no
// connection yet. The server's replies decide what happened to a message, so the client
// repeats nothing by itself.
func Dial(address, username, password string, concurrency int) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: address, Username: username, Password: password,
		Protocol:              2,
		PoolSize:              concurrency + 4, // the fetch, the heartbeat, and room for a reconnect
		DialTimeout:           2 * time.Second,
		DialerRetries:         1,
		MaxRetries:            -1,
		ContextTimeoutEnabled: true,
		// A demoted server keeps answering on old connections when a Service moves on to
		// another: take a new one now and then.
		ConnMaxLifetime: 5 * time.Minute,
		// DragonFly does not know these.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// Detect asks the server whether key is a List or a Stream; None while there is neither.
// A list is absent once its last message is taken, but then its consumers are known.
func Detect(ctx context.Context, client *redis.Client, key string) (queue.Kind, error) {
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	got, err := client.Type(ctx, key).Result()
	if err != nil {
		return queue.None, classify(fmt.Errorf("TYPE %s: %w", key, err))
	}
	switch kind := queue.Kind(got); kind {
	case queue.List, queue.Stream:
		return kind, nil
	case queue.None:
		consumers, err := client.Exists(ctx, queue.ConsumersKey(key)).Result()
		if err != nil {
			return queue.None, classify(fmt.Errorf("EXISTS %s: %w", queue.ConsumersKey(key), err))
		}
		if consumers > 0 {
			return queue.List, nil
		}
		return queue.None, nil
	}
	return queue.None, &permanentError{fmt.Sprintf("CHANNEL is %q, which holds a %s: set it to the key of a list or a stream", key, got), nil}
}

// checkKind refuses a key that holds something else than want.
func checkKind(ctx context.Context, client *redis.Client, key string, want queue.Kind) error {
	got, err := client.Type(ctx, key).Result()
	if err != nil {
		return classify(fmt.Errorf("TYPE %s: %w", key, err))
	}
	if kind := queue.Kind(got); kind == want || kind == queue.None {
		return nil
	}
	remedy := "set CHANNEL to the key of a list or a stream"
	if got == string(queue.List) || got == string(queue.Stream) {
		remedy = fmt.Sprintf("set QUEUE_TYPE to Auto or to %s%s", strings.ToUpper(got[:1]), got[1:])
	}
	return &permanentError{fmt.Sprintf("CHANNEL is %q, which holds a %s, not a %s: %s", key, got, want, remedy), nil}
}
