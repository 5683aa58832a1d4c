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

// run returns when all are published, or ctx ends.
func (p *publisher) run(ctx context.Context) error {
	start := time.Now()
	published, due := 0, 0
	for published < p.ledger.total {
		due = min(p.ledger.total, max(due, int(time.Since(start).Seconds()*float64(p.rate))))
		if published < due {
			published = p.publish(ctx, published, min(due, published+mostAtOnce))
			p.ledger.publish(published)
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

// publish publishes messages, and returns up to which the server has them.
func (p *publisher) publish(ctx context.Context, from, to int) int {
	_, err := p.client.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		for number := from; number < to; number++ {
			if p.kind == queue.Stream {
				tx.XAdd(ctx, &redis.XAddArgs{Stream: key, Values: []any{"payload", payloadOf(number)}})
			} else {
				tx.LPush(ctx, key, payloadOf(number))
			}
		}
		tx.Set(ctx, publishedKey, to, 0)
		return nil
	})
	if err == nil {
		return to
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
