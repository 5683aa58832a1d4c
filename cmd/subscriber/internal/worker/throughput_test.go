package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// rounds is how often the sides of a comparison take turns; their medians count.
const rounds = 3

// BenchmarkThroughput compares a worker whose work takes no time with loops of go-redis, as many as the
// worker has slots, each with its own connection: loops of the same commands, which take and end one
// message after the other; and loops of the fewest commands by which a message is not lost. The sides
// take turns, so that what else the machine does slows all of them. It prints a table.
func BenchmarkThroughput(b *testing.B) {
	var table strings.Builder
	table.WriteString("| queue, round trip, CONCURRENCY | worker, messages/min | of a loop of the same commands | of a loop of the fewest |\n|---|---|---|---|\n")
	for _, network := range []time.Duration{0, 2500 * time.Microsecond} {
		for _, kind := range []string{"list", "stream"} {
			for _, concurrency := range []int{1, 16, 64} {
				b.Run(fmt.Sprintf("%s/at %s/concurrency %d", kind, network, concurrency), func(b *testing.B) {
					c := compare(b, kind, network, concurrency)
					where := "loopback"
					if network > 0 {
						where = network.String()
					}
					fmt.Fprintf(&table, "| %s, %s, %d | %.0f | %.0f %% | %.0f %% |\n", kind, where, concurrency, 60*c.worker, 100*c.worker/c.same, 100*c.worker/c.fewest)
				})
			}
		}
	}
	fmt.Print("\n", table.String())
}

// comparison has messages per second.
type comparison struct{ worker, same, fewest float64 }

func compare(b *testing.B, kind string, network time.Duration, concurrency int) comparison {
	b.Helper()
	messages := 4000 * min(concurrency, 4)
	if network > 0 {
		messages = 150 * concurrency
	}
	server := redistest.Start(b)
	address := distant(b, server, network)
	var rates [3][]float64
	for range rounds {
		for side, drain := range []func() time.Duration{
			func() time.Duration { return drainByWorker(b, address, kind, concurrency, messages) },
			func() time.Duration { return drainByLoops(b, address, sameCommands[kind], concurrency) },
			func() time.Duration { return drainByLoops(b, address, fewestCommands[kind], concurrency) },
		} {
			client := server.Client()
			if err := client.FlushAll(b.Context()).Err(); err != nil {
				b.Fatal(err)
			}
			fill(b, client, kind, messages)
			if kind == "stream" && side > 0 {
				if err := client.XGroupCreate(b.Context(), "q", "g", "0").Err(); err != nil {
					b.Fatal(err)
				}
			}
			rates[side] = append(rates[side], float64(messages)/drain().Seconds())
		}
	}
	for side := range rates {
		slices.Sort(rates[side])
	}
	c := comparison{rates[0][rounds/2], rates[1][rounds/2], rates[2][rounds/2]}
	b.ReportMetric(c.worker, "messages/s")
	b.ReportMetric(c.worker/c.same, "of-same")
	b.ReportMetric(c.worker/c.fewest, "of-fewest")
	return c
}

// loop takes and ends one message; false where there is none.
type loop func(ctx context.Context, client redis.UniversalClient, id string) (bool, error)

var sameCommands = map[string]loop{"list": takeAsWorkersDo, "stream": readAndAcknowledge}

var fewestCommands = map[string]loop{"list": moveAndRemove, "stream": readAndAcknowledge}

// takeAsWorkersDo runs what source.List does for one message (docs/decisions/0002).
func takeAsWorkersDo(ctx context.Context, client redis.UniversalClient, id string) (bool, error) {
	taken, done, token := queue.TakenKey("q"), queue.DoneKey("q"), queue.UncountedKey("q", id)
	home := taken + ":" + id
	var move *redis.StringCmd
	_, err := client.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		tx.ZAdd(ctx, taken, redis.Z{Score: queue.InWork, Member: id})
		move = tx.LMove(ctx, "q", home, "RIGHT", "LEFT")
		tx.ZAdd(ctx, token, redis.Z{Score: 1, Member: queue.DoneMember})
		tx.LLen(ctx, "q")
		return nil
	})
	if errors.Is(move.Err(), redis.Nil) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = client.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		tx.Del(ctx, home)
		tx.ZRem(ctx, taken, id)
		tx.ZUnionStore(ctx, done, &redis.ZStore{Keys: []string{done, token}})
		tx.Del(ctx, token)
		return nil
	})
	return true, err
}

// moveAndRemove keeps no more than the message, in one list for all.
func moveAndRemove(ctx context.Context, client redis.UniversalClient, _ string) (bool, error) {
	payload, err := client.LMove(ctx, "q", "processing", "RIGHT", "LEFT").Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, client.LRem(ctx, "processing", -1, payload).Err()
}

func readAndAcknowledge(ctx context.Context, client redis.UniversalClient, _ string) (bool, error) {
	streams, err := client.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{"q", ">"}, Count: 1, Block: -1}).Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, client.XAck(ctx, "q", "g", streams[0].Messages[0].ID).Err()
}

// drainByLoops is how long so many loops take together until the queue is empty.
func drainByLoops(b *testing.B, address string, take loop, loops int) time.Duration {
	b.Helper()
	client := connection.Settings{Addresses: []string{address}}.New(connection.Options{PoolSize: loops})
	defer client.Close()
	errs := make([]error, loops)
	var looping sync.WaitGroup
	began := time.Now()
	for i := range loops {
		looping.Go(func() {
			for n, more := 0, true; more && errs[i] == nil; n++ {
				more, errs[i] = take(b.Context(), client, strconv.Itoa(i)+"-"+strconv.Itoa(n))
			}
		})
	}
	looping.Wait()
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}
