package broker

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// maxBackOff bounds how long a server that can't be read is left alone.
const maxBackOff = 8 * time.Second

// edgesPerTick is how often within a tick the queues are read whose next message somebody
// awaits: a fleet at 0 replicas is then up a quarter of a second after its first message,
// not a whole one.
const edgesPerTick = 4

// connect opens no connection yet: go-redis does with the first command.
func (s *sampler) connect() *redis.Client {
	options := &redis.Options{
		Addr:        s.server.Address,
		Protocol:    2,
		PoolSize:    2, // a tick's read, and a first read beside it
		DialTimeout: s.options.ReadTimeout,
		ReadTimeout: s.options.ReadTimeout,
		// A read of several rounds has one deadline for all of them.
		ContextTimeoutEnabled: true,
		// The reads are retried a tick later anyway, and an error is to be told soon.
		MaxRetries:    1,
		DialerRetries: 1,
		// A demoted server keeps answering on old connections when a Service moves on to
		// another: take a new one now and then.
		ConnMaxLifetime: 5 * time.Minute,
		// DragonFly does not know these.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	dial := redis.NewDialer(options)
	options.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		s.connecting.Store(true)
		connection, err := dial(ctx, network, address)
		if err == nil {
			s.connecting.Store(false)
		}
		return connection, err
	}
	return redis.NewClient(options)
}

// told makes an error of dialling of a deadline that passed while no connection could be
// made: go-redis does not tell it from one that passed while the server did not answer.
func (s *sampler) told(err error) error {
	if s.connecting.Load() && errors.Is(err, context.DeadlineExceeded) {
		return &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	return err
}

// run reads until ctx ends, or until no queue is left and retire agrees.
func (s *sampler) run(ctx context.Context, retire func() bool) {
	client := s.connect()
	// go-redis does not end a read when its context is cancelled; closing does.
	closed := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer func() {
		if closed() {
			_ = client.Close() // it holds nothing that could be lost
		}
	}()
	timer := time.NewTimer(s.options.Tick)
	defer timer.Stop()
	edges := time.NewTimer(s.options.Tick / edgesPerTick)
	defer edges.Stop()
	for {
		select {
		case <-ctx.Done():
			s.close()
			return
		case <-s.wake:
			s.read(ctx, client, s.batch(unread))
			continue // those that were here before keep their tick
		case <-edges.C:
			if s.anyAwaited() && s.failures == 0 {
				s.read(ctx, client, s.batch(awaited))
			}
			edges.Reset(jittered(s.options.Tick / edgesPerTick))
			continue
		case <-timer.C:
		}
		s.evict()
		batch := s.batch(nil)
		if len(batch) == 0 && retire() {
			return
		}
		s.read(ctx, client, batch)
		timer.Reset(jittered(s.delay()))
	}
}

// close tells everybody who waits that there will be no other read.
func (s *sampler) close() {
	batch := s.batch(nil)
	results := make([]result, len(batch))
	for i := range results {
		results[i].err = ErrClosed
	}
	s.record(batch, results, s.options.Now())
}

// delay is the time to the next read: a tick, doubled with each failure in a row.
func (s *sampler) delay() time.Duration {
	tick := s.options.Tick
	if s.failures == 0 {
		return tick
	}
	return max(tick, min(tick<<min(s.failures-1, 10), maxBackOff))
}

// jittered spreads the samplers of many servers, and of many replicas of the scaler.
func jittered(d time.Duration) time.Duration {
	return d - d/20 + time.Duration(rand.Int64N(int64(d/10)+1))
}

// result is what a read of one queue came to.
type result struct {
	depth queue.Depth
	err   error
}

// read reads a batch in as few pipelines as it takes; a steady batch takes one.
func (s *sampler) read(ctx context.Context, client *redis.Client, batch []*watched) {
	if len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.options.ReadTimeout)
	defer cancel()
	began := s.options.Now()
	results := make([]result, len(batch))
	asking := make([]int, len(batch)) // indices into batch
	for i, w := range batch {
		w.reader.Begin()
		asking[i] = i
	}
	var failure error
	for len(asking) > 0 && failure == nil {
		asking, failure = s.round(ctx, client, batch, asking, results)
	}
	s.failed(failure)
	s.record(batch, results, began)
}

// round sends one pipeline and reads its replies. It returns the queues that need
// another round, and the error of the connection, if that failed.
func (s *sampler) round(ctx context.Context, client *redis.Client, batch []*watched, asking []int, results []result) (again []int, failure error) {
	pipe := client.Pipeline()
	for _, i := range asking {
		batch[i].reader.Ask(ctx, pipe)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for _, i := range asking {
		depth, done, err := batch[i].reader.Answer()
		err = s.told(err)
		switch {
		case err != nil:
			if !fromServer(err) {
				failure = err
			}
			results[i].err = &ReadError{Server: s.server, Err: err}
		case done:
			results[i].depth = depth
		default:
			again = append(again, i)
		}
	}
	if failure != nil {
		for _, i := range again {
			results[i].err = &ReadError{Server: s.server, Err: failure}
		}
	}
	return again, failure
}

// failed counts failures in a row and logs where they begin and end.
func (s *sampler) failed(failure error) {
	s.options.Metrics.countRead(failure)
	if failure != nil {
		if s.failures == 0 {
			s.options.Logger.Warn("server can't be read", "server", s.server.Address, "error", failure)
		}
		s.failures++
		return
	}
	if s.failures > 0 {
		s.options.Logger.Info("server can be read again", "server", s.server.Address, "failures", s.failures)
	}
	s.failures = 0
}

// fromServer tells an answer of the server, or our reading of it, from a failure to get
// one.
func fromServer(err error) bool {
	var reply redis.Error
	var wrongType *queue.WrongTypeError
	var group *queue.GroupError
	var unreadable *queue.ReplyError
	return errors.As(err, &reply) || errors.As(err, &wrongType) || errors.As(err, &group) || errors.As(err, &unreadable)
}
