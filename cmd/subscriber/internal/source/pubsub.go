package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// pingInterval is how long a subscription may be silent before it is asked for a sign
	// of life, and pongTimeout how long that may take.
	pingInterval = 5 * time.Second
	pongTimeout  = 10 * time.Second
)

// errSilent is why a subscription is given up that answers no ping.
var errSilent = errors.New("the subscription is dead: no answer to PING")

// PubSub receives what is published on a channel of Redis, at most once: what is
// published while it is away is gone, and so is a message whose work fails. Each worker
// receives every message.
//
// A message is read only when the one before it is taken, so that what a slow worker has
// not taken waits with the server, which can be measured there (CLIENT LIST TYPE pubsub).
//
// Fetch, Recover and Close are for one goroutine; the others are safe beside them.
type PubSub struct {
	Options
	current *subscription // nil: none
}

// subscription is a connection that is subscribed to the channel.
type subscription struct {
	pubsub   *redis.PubSub
	messages chan string   // unbuffered
	stop     chan struct{} // closed to end it
	ended    chan struct{} // closed when it has ended by itself or by stop
	err      error         // why it ended; read after ended is closed

	// Times are since began, by the monotonic clock: by the wall clock, which may be set back, a subscription that
	// is heard would look silent.
	began  time.Time
	heard  atomic.Int64  // when something came last, in nanoseconds
	pinged time.Duration // for Fetch's goroutine alone
}

// NewPubSub returns the source of a channel. Its client should be its own, and named
// queue.ClientName, as the connections get the client's name. Recover must succeed before the
// first Fetch.
func NewPubSub(o Options) *PubSub { return &PubSub{Options: o} }

// Maintain does nothing until ctx ends: Fetch looks after the subscription.
func (s *PubSub) Maintain(ctx context.Context) { <-ctx.Done() }

// Recover subscribes, unless a subscription stands.
func (s *PubSub) Recover(ctx context.Context) error {
	if s.current != nil {
		select {
		case <-s.current.ended:
		default:
			return nil
		}
	}
	s.unsubscribe()
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	pubsub := s.Client.Subscribe(ctx, s.Key)
	if _, err := pubsub.ReceiveTimeout(ctx, OperationTimeout); err != nil {
		_ = pubsub.Close() // it is of no use any more
		return s.classify(fmt.Errorf("SUBSCRIBE %s: %w", s.Key, err))
	}
	s.current = &subscription{
		pubsub: pubsub, messages: make(chan string), stop: make(chan struct{}), ended: make(chan struct{}), began: s.Now(),
	}
	go s.current.read(context.WithoutCancel(ctx), s.Now)
	return nil
}

// read hands on messages until the subscription is closed or fails.
func (sub *subscription) read(ctx context.Context, now func() time.Time) {
	defer close(sub.ended)
	for {
		received, err := sub.pubsub.Receive(ctx)
		if err != nil {
			sub.err = err
			return
		}
		sub.heard.Store(int64(now().Sub(sub.began)))
		message, ok := received.(*redis.Message)
		if !ok {
			continue // a pong
		}
		select {
		case sub.messages <- message.Payload:
		case <-sub.stop:
			return
		}
	}
}

// Fetch returns a message, for which it waits up to BlockTime where wait is set, or none.
func (s *PubSub) Fetch(ctx context.Context, _ int, wait bool) ([]Message, error) {
	sub := s.current
	if sub == nil {
		return nil, errSilent
	}
	var expired <-chan time.Time
	if wait {
		timer := time.NewTimer(BlockTime)
		defer timer.Stop()
		expired = timer.C
	} else {
		closed := make(chan time.Time)
		close(closed)
		expired = closed
	}
	// What is there comes before all else.
	select {
	case payload := <-sub.messages:
		return s.received(payload), nil
	default:
	}
	select {
	case payload := <-sub.messages:
		return s.received(payload), nil
	case <-sub.ended:
		return nil, s.classify(fmt.Errorf("SUBSCRIBE %s: %w", s.Key, sub.err))
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-expired:
		return nil, s.classify(s.check(ctx, sub))
	}
}

func (s *PubSub) received(payload string) []Message {
	now := s.Now()
	s.current.heard.Store(int64(now.Sub(s.current.began))) // the reader had it in hand, and read nothing since
	return []Message{{Key: s.Key, ID: payloadID(payload), Payload: payload, Deliveries: 1, fetched: now}}
}

// check asks a subscription that is silent whether it lives, and gives it up where it
// doesn't answer.
func (s *PubSub) check(ctx context.Context, sub *subscription) error {
	now, heard := s.Now().Sub(sub.began), time.Duration(sub.heard.Load())
	if heard < sub.pinged {
		if now-sub.pinged < pongTimeout {
			return nil
		}
		s.unsubscribe()
		return fmt.Errorf("SUBSCRIBE %s: %w", s.Key, errSilent)
	}
	if now-heard < pingInterval {
		return nil
	}
	sub.pinged = now
	ctx, cancel := context.WithTimeout(ctx, OperationTimeout)
	defer cancel()
	return wrap("PING of the subscription to "+s.Key, sub.pubsub.Ping(ctx))
}

func (s *PubSub) unsubscribe() {
	if s.current == nil {
		return
	}
	close(s.current.stop)
	_ = s.current.pubsub.Close() // it ends the reader, too
	<-s.current.ended
	s.current = nil
}

// Ack does nothing: the server keeps no message.
func (s *PubSub) Ack(context.Context, Message) error { return nil }

// Bury drops the message: it can't be had again.
func (s *PubSub) Bury(_ context.Context, m Message) error {
	s.drop(m)
	return nil
}

// Retry drops the message: it is delivered at most once.
func (s *PubSub) Retry(_ context.Context, m Message, _ time.Duration) error {
	s.drop(m)
	return nil
}

// Release drops the messages: the server can't take them back.
func (s *PubSub) Release(_ context.Context, messages []Message, _ time.Duration) error {
	for _, m := range messages {
		s.drop(m)
	}
	return nil
}

func (s *PubSub) drop(m Message) {
	s.Log.Debug("a Pub/Sub message is dropped: its work failed or never began", "id", m.ID)
	s.event(Dropped, 1)
}

// Close ends the subscription.
func (s *PubSub) Close(context.Context) error {
	s.unsubscribe()
	return nil
}

// payloadID stands in for the ID that a message of Pub/Sub does not have.
func payloadID(payload string) string {
	sum := sha256.Sum256([]byte(payload))
	return hex.EncodeToString(sum[:16])
}
