package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

const (
	deadline = time.Minute
	poll     = 10 * time.Millisecond
)

// worker takes messages of a list as cmd/subscriber does: it is named first, moves each to
// its own list, and finishes it there. It leaves when it holds nothing.
type worker struct {
	client        *redis.Client
	key, name     string
	acknowledged  *atomic.Int64
	takes, finish int // in each life: how many it takes, and how many of them it finishes
}

func (w worker) live(ctx context.Context) error {
	processing := queue.ProcessingKey(w.key, w.name)
	if err := w.client.ZAdd(ctx, queue.ConsumersKey(w.key), redis.Z{Score: 1, Member: w.name}).Err(); err != nil {
		return err
	}
	for i := range w.takes {
		message, err := w.client.LMove(ctx, w.key, processing, "RIGHT", "LEFT").Result()
		if errors.Is(err, redis.Nil) {
			break
		}
		if err != nil {
			return err
		}
		if i >= w.finish {
			continue
		}
		w.acknowledged.Add(1) // before it is, so that a read which misses it already is not wrong
		if err := w.client.LRem(ctx, processing, 1, message).Err(); err != nil {
			return err
		}
	}
	if w.finish < w.takes {
		return nil // it stays, with what it holds
	}
	return w.client.ZRem(ctx, queue.ConsumersKey(w.key), w.name).Err()
}

// However the messages move while a list is read, and whoever comes and goes: a depth is
// never below what was there all the time of the read. One that is may be taken for an
// idle queue, whose last worker can be stopped.
func TestMovingMessagesAreNeverMissed(t *testing.T) {
	tests := map[string]struct {
		others int // lists without consumers, with which the question for them is shared
		finish int // of the 3 messages that each worker takes
	}{
		"workers come and stay, and finish nothing": {others: 20, finish: 0},
		"workers come, finish some, and stay":       {others: 20, finish: 2},
		"workers come, finish all, and go":          {others: 20, finish: 3},
		"the same, with no other list":              {others: 0, finish: 3},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			client := server.Client()
			readers := append(lists(test.others, queue.Auto), newReader(queue.Queue{Key: "orders", Kind: queue.Auto}))
			var pushed, acknowledged atomic.Int64
			ctx, stop := context.WithCancel(t.Context())
			var wait sync.WaitGroup
			until := func(work func(i int) error) {
				wait.Go(func() {
					for i := 0; ctx.Err() == nil; i++ {
						if err := work(i); err != nil && ctx.Err() == nil {
							t.Error(err)
							return
						}
					}
				})
			}
			until(func(i int) error {
				if pushed.Load()-acknowledged.Load() > 5000 {
					return client.Ping(ctx).Err()
				}
				defer pushed.Add(1)
				return client.LPush(ctx, "orders", fmt.Sprint("message ", i)).Err()
			})
			for w := range 3 {
				until(func(life int) error {
					// Few at a time, so that a read can be done before the next comes.
					name := fmt.Sprint("worker-", w, "-", life%2)
					return worker{client: client, key: "orders", name: name, acknowledged: &acknowledged, takes: 3, finish: test.finish}.live(ctx)
				})
			}
			own, batch := server.Client(), queue.NewBatch(readers)
			seen, bounds := 0, 0
			for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
				before := pushed.Load()
				readAll(t.Context(), own, batch)
				depth, err := readers[test.others].Result()
				require.NoError(t, err)
				if depth.LowerBound { // it says itself that it may be low
					bounds++
					continue
				}
				if depth.InFlight > 0 {
					seen++
				}
				require.GreaterOrEqual(t, depth.Total(), before-acknowledged.Load())
			}
			stop()
			wait.Wait()
			t.Logf("%d messages, %d finished; %d reads with messages in flight, %d lower bounds", pushed.Load(), acknowledged.Load(), seen, bounds)
			assert.Positive(t, seen, "messages were in flight")
		})
	}
}

// TestNoMomentOfAReadMissesAMessage does what the workers do between any two commands of a
// read, one thing after each command, beginning at each of them.
func TestNoMomentOfAReadMissesAMessage(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	name := func(consumer string) step { return do("ZADD", queue.ConsumersKey("q0"), 1, consumer) }
	take := func(consumer string) step {
		return do("LMOVE", "q0", queue.ProcessingKey("q0", consumer), "RIGHT", "LEFT")
	}
	leave := func(consumer string) step { return do("ZREM", queue.ConsumersKey("q0"), consumer) }
	// As cmd/subscriber does.
	wait := do("LMOVE", "q0", queue.NextKey("q0"), "RIGHT", "LEFT")
	work := func(member string) step {
		return func(t *testing.T, client *redis.Client) {
			t.Helper()
			_, err := client.TxPipelined(t.Context(), func(tx redis.Pipeliner) error {
				tx.ZAdd(t.Context(), queue.TakenKey("q0"), redis.Z{Score: queue.InWork + 1, Member: member})
				tx.LMove(t.Context(), queue.NextKey("q0"), queue.TakenKey("q0")+":"+member, "RIGHT", "LEFT")
				return nil
			})
			if !errors.Is(err, redis.Nil) { // it was taken before
				require.NoError(t, err)
			}
		}
	}
	fail := func(member string) step { return do("ZADD", queue.TakenKey("q0"), 1, member) }
	const messages = 6
	tests := map[string]struct{ before, during steps }{
		"a worker comes and takes":                          {nil, steps{name("a"), take("a"), take("a")}},
		"two come and take":                                 {nil, steps{name("a"), take("a"), name("b"), take("b")}},
		"one that is there takes":                           {steps{name("a"), take("a")}, steps{take("a"), take("a"), take("a")}},
		"another comes":                                     {steps{name("a"), take("a")}, steps{name("b"), take("b"), take("a"), take("b")}},
		"one without messages is replaced":                  {steps{name("a")}, steps{leave("a"), name("b"), take("b"), take("b")}},
		"all is taken":                                      {steps{name("a"), take("a"), take("a"), take("a")}, steps{take("a"), take("a"), take("a")}},
		"all is taken by one who comes":                     {nil, steps{name("a"), take("a"), take("a"), take("a"), take("a"), take("a"), take("a")}},
		"one is taken into work, fails, and is taken again": {nil, steps{wait, work("1"), fail("1"), work("1"), fail("1"), work("1"), wait, work("2")}},
		"the same, and waits before":                        {steps{wait, work("1"), fail("1")}, steps{work("1"), fail("1"), wait, work("2"), work("1"), fail("2")}},
		"they come faster than one can ask":                 {nil, steps{name("a"), take("a"), name("b"), take("b"), name("c"), take("c"), name("d"), take("d"), name("e"), take("e")}},
	}
	for name, test := range tests {
		for _, others := range []int{0, 2} {
			for _, known := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %d others, known %t", name, others, known), func(t *testing.T) {
					for start := range 24 {
						require.NoError(t, client.FlushAll(t.Context()).Err())
						push(messages, "q0")(t, client)
						readers := lists(1+others, queue.Auto)
						slices.Reverse(readers) // q0 last, so that most can happen before its commands
						q0, batch := readers[others], queue.NewBatch(readers)
						if known {
							readAll(t.Context(), client, batch)
						}
						for _, step := range test.before {
							step(t, client)
						}
						if known {
							readAll(t.Context(), client, batch)
						}
						during := test.during
						readSlowly(t, client, batch, func(commands int) {
							if commands >= start && len(during) > 0 {
								during[0](t, client)
								during = during[1:]
							}
						})
						depth, err := q0.Result()
						require.NoError(t, err)
						if !depth.LowerBound {
							require.GreaterOrEqual(t, depth.Total(), int64(messages), "from command %d on", start)
						}
						// The next read is exact, whatever went on during this one.
						for _, step := range during {
							step(t, client)
						}
						readAll(t.Context(), client, batch)
						depth, err = q0.Result()
						require.NoError(t, err)
						require.EqualValues(t, messages, depth.Total(), "the next read, from command %d on", start)
						require.False(t, depth.LowerBound)
					}
				})
			}
		}
	}
}

// readSlowly reads once, with a pause after each command.
func readSlowly(t *testing.T, client *redis.Client, batch *queue.Batch, pause func(commands int)) {
	done := 0
	batch.Begin(time.Now())
	for commands := batch.Ask(); len(commands) > 0; commands = batch.Ask() {
		for _, command := range commands {
			_ = client.Process(t.Context(), command) // the batch looks at its error
			pause(done)
			done++
		}
		batch.Answer(nil)
	}
}
