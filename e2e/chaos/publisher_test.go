package chaos

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

const (
	key = "orders"
	// publishedKey is where the server has how many messages it took: they come in one
	// transaction with it, so after an error it says what became of them.
	publishedKey = "published"
	// mostAtOnce bounds the messages of one transaction.
	mostAtOnce = 500
	often      = 20 * time.Millisecond
	patience   = time.Minute
)

// publisher publishes all messages of a ledger, at a steady rate where the server permits.
type publisher struct {
	kind   queue.Kind
	client *redis.Client
	ledger *ledger
	rate   int // messages a second
}

// run returns when all are published, or ctx ends. It may be called again, for what the server has lost since.
func (p *publisher) run(ctx context.Context) error {
	start := time.Now()
	before := p.record(ctx, 0, 0)
	published, due := before, before
	for published < p.ledger.total {
		due = min(p.ledger.total, max(due, before+int(time.Since(start).Seconds()*float64(p.rate))))
		if published < due {
			published = p.record(ctx, published, min(due, published+mostAtOnce))
		}
		if published < due && published+mostAtOnce >= due || published == due {
			spend(ctx, often)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d messages were published when time was up", published, p.ledger.total)
		}
	}
	return nil
}

// record publishes messages, and has the ledger know what the server has.
func (p *publisher) record(ctx context.Context, from, to int) int {
	losses, _ := p.ledger.known()
	published := p.publish(ctx, from, to)
	p.ledger.publish(published, losses)
	return published
}

// publish publishes messages, and returns up to which the server has them: that may be fewer than it had, if it lost some.
func (p *publisher) publish(ctx context.Context, from, to int) int {
	confirmed := to
	err := p.client.Watch(ctx, func(tx *redis.Tx) error {
		has, err := tx.Get(ctx, publishedKey).Int()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		if has != from {
			confirmed = has
			return nil
		}
		_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			for number := from; number < to; number++ {
				if p.kind == queue.Stream {
					pipe.XAdd(ctx, &redis.XAddArgs{Stream: key, Values: []any{"payload", p.ledger.payloadOf(number)}})
				} else {
					pipe.LPush(ctx, key, p.ledger.payloadOf(number))
				}
			}
			pipe.Set(ctx, publishedKey, to, 0)
			return nil
		})
		return err
	}, publishedKey)
	if err == nil {
		return confirmed
	}
	// Where the server is away, is at maxmemory, or has ended the connection. It does nothing more of what
	// came by a connection that it has ended.
	for ctx.Err() == nil {
		confirmed, err := p.client.Get(ctx, publishedKey).Int()
		if err == nil || errors.Is(err, redis.Nil) {
			return confirmed
		}
		spend(ctx, often)
	}
	return from
}

func newClient(t *testing.T, addr string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}
