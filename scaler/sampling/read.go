package sampling

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// read reads a batch in as few pipelines as it takes; a steady batch takes one.
func (l *lane) read(b batch) {
	if len(b.watched) == 0 {
		return
	}
	defer func() {
		var failure error
		if broker.Recovered(recover(), &failure) {
			l.panicked(b, failure)
		}
	}()
	s := l.sampler
	link, err := s.connections.Acquire()
	if err != nil {
		l.fail(nil, b, err)
		return
	}
	defer s.connections.Release(link)
	ctx, cancel := context.WithTimeout(s.ctx, s.options.ReadTimeout)
	defer cancel()
	client := link.Client()
	defer link.Settle(l.address)
	if link.IsCluster() {
		if b, client, err = l.route(ctx, link, b); err != nil {
			l.fail(link, b, err)
			return
		}
		if len(b.watched) == 0 { // all were handed over
			if l.failures > 0 {
				l.recordOutcome(link, nil)
			}
			return
		}
	}
	ctx, end := l.traced(ctx, b)
	began := s.options.Now()
	b.read.Begin(began)
	failure := l.rounds(ctx, link, client, b.read)
	end(failure)
	if failure == nil {
		s.connections.Trust()
	}
	l.recordOutcome(link, failure)
	if s.record(l, link, b, began) {
		link.ReloadSlots(ctx)
	}
}

// fail ends a read that could not begin.
func (l *lane) fail(link *broker.Link, b batch, err error) {
	now := l.sampler.options.Now()
	err = l.sampler.connections.Mend(link, err)
	b.read.Begin(now)
	b.read.Fail(err)
	l.recordOutcome(link, err)
	l.sampler.record(l, link, b, now)
}

// rounds asks until the read is complete. The error is that of the server, not of a queue.
func (l *lane) rounds(ctx context.Context, link *broker.Link, client *redis.Client, read *queue.Batch) error {
	for {
		commands := read.Ask() //nolint:contextcheck // the commands outlive this read, whose context is the pipeline's
		if len(commands) == 0 {
			return nil
		}
		round, end := tracedRound(ctx, len(commands))
		failed, err := link.Round(round, l.address, client, commands)
		end(err)
		if broker.FitsApart(err) && read.Narrow() {
			continue
		}
		if failed {
			err = l.sampler.connections.Mend(link, err) //nolint:contextcheck // what it begins outlives this read
			read.Fail(err)
			return err
		}
		read.Answer(err)       //nolint:contextcheck // as Ask; each command has its own error, too
		link.Settle(l.address) // the replies have been used
	}
}
