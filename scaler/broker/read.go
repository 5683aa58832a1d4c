package broker

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
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
		Addr:     s.server.Address,
		Protocol: 2,
		PoolSize: 2, // reads follow each other; the other is for when one is replaced
		// A pool for pipelines alone would have buffers of 256 KiB for each connection.
		PipelinePoolSize: -1,
		DialTimeout:      s.options.ReadTimeout,
		ReadTimeout:      s.options.ReadTimeout,
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
			s.end()
			return
		case <-s.wake:
			s.firstRead(ctx, client)
			continue // those that were here before keep their tick
		case <-edges.C:
			if s.failures == 0 {
				s.read(ctx, client, s.edges())
			}
			edges.Reset(jittered(s.options.Tick / edgesPerTick))
			continue
		case <-timer.C:
		}
		batch := s.tick()
		if len(batch.watched) == 0 && retire() {
			return
		}
		s.read(ctx, client, batch)
		timer.Reset(jittered(s.delay()))
	}
}

// firstRead reads the queues that were never read. Where the server failed the last time,
// they share that: new queues are no reason to try again before the back-off is over.
func (s *sampler) firstRead(ctx context.Context, client *redis.Client) {
	b := s.firstReads()
	if s.failures == 0 {
		s.read(ctx, client, b)
		return
	}
	b.read.Begin()
	b.read.Fail(s.failure)
	s.record(b, s.options.Now())
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

// read reads a batch in as few pipelines as it takes; a steady batch takes one.
func (s *sampler) read(ctx context.Context, client *redis.Client, b batch) {
	if len(b.watched) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.options.ReadTimeout)
	defer cancel()
	began := s.options.Now()
	b.read.Begin()
	var failure error
	for failure == nil {
		commands := b.read.Ask() //nolint:contextcheck // the commands outlive this read, whose context is the pipeline's
		if len(commands) == 0 {
			break
		}
		pipe := client.Pipeline()
		_ = pipe.BatchProcess(ctx, commands...) // it only queues
		_, err := pipe.Exec(ctx)
		b.read.Answer(err) // each command has its own error, too
		if err != nil && !errors.As(err, new(redis.Error)) {
			failure = err
			b.read.Fail(err)
		}
	}
	s.failed(failure)
	s.record(b, began)
}

// failed counts failures in a row and logs where they begin and end.
func (s *sampler) failed(failure error) {
	s.options.Metrics.countRead(failure)
	s.failure = failure
	if failure != nil {
		if s.failures == 0 {
			s.options.Logger.Warn("server can't be read", "server", s.server.Address, "error", s.told(failure))
		}
		s.failures++
		return
	}
	if s.failures > 0 {
		s.options.Logger.Info("server can be read again", "server", s.server.Address, "failures", s.failures)
	}
	s.failures = 0
}
