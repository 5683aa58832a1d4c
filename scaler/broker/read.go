package broker

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// read reads a batch in as few pipelines as it takes; a steady batch takes one.
func (l *lane) read(b batch) {
	if len(b.watched) == 0 {
		return
	}
	defer func() {
		var failure error
		if recovered(recover(), &failure) {
			l.panicked(b, failure)
		}
	}()
	s := l.sampler
	link, err := s.links.acquire()
	if err != nil {
		l.fail(nil, b, err)
		return
	}
	defer s.links.release(link)
	ctx, cancel := context.WithTimeout(s.ctx, s.options.ReadTimeout)
	defer cancel()
	client := link.client
	defer link.settle(l.address)
	if link.cluster != nil {
		if link.outgrown() {
			s.links.renew(link) // for the next read
		}
		if b, client, err = l.route(ctx, link.cluster, b); err != nil {
			l.fail(link, b, link.words.safe(err))
			return
		}
		if len(b.watched) == 0 { // all were handed over
			if l.failures > 0 {
				l.failed(link, nil)
			}
			return
		}
	}
	began := s.options.Now()
	b.read.Begin(began)
	failure := l.rounds(ctx, link, client, b.read)
	if failure == nil {
		s.links.trust()
	}
	l.failed(link, failure)
	if s.record(l, link, b, began) && link.cluster != nil {
		link.cluster.ReloadState(ctx)
	}
}

// fail ends a read that could not begin.
func (l *lane) fail(link *link, b batch, err error) {
	now := l.sampler.options.Now()
	err = l.react(link, err)
	b.read.Begin(now)
	b.read.Fail(err)
	l.failed(link, err)
	l.sampler.record(l, link, b, now)
}

// rounds asks until the read is complete. The error is that of the server, not of a queue.
func (l *lane) rounds(ctx context.Context, link *link, client *redis.Client, read *queue.Batch) error {
	for {
		commands := read.Ask() //nolint:contextcheck // the commands outlive this read, whose context is the pipeline's
		if len(commands) == 0 {
			return nil
		}
		err := l.round(ctx, link, client, commands)
		if fitsApart(err) && read.Narrow() {
			continue
		}
		if err != nil && (!answered(err) || !answered(commands[0].Err()) || causeOf(err) == Unauthorized) {
			// Replies that came before do not count: the server's role is not known.
			err = l.react(link, err) //nolint:contextcheck // what it begins outlives this read
			read.Fail(err)
			return err
		}
		read.Answer(err)       //nolint:contextcheck // as Ask; each command has its own error, too
		link.settle(l.address) // the replies have been used
	}
}

// answered tells whether a command with this error had a reply. A server that refuses the
// connection itself answers none of the commands.
func answered(err error) bool { return err == nil || errors.As(err, new(redis.Error)) }

// round sends commands in one pipeline, with a question for the server's role.
func (l *lane) round(ctx context.Context, link *link, client *redis.Client, commands []redis.Cmder) error {
	err := l.exchange(ctx, link, client, commands)
	for _, command := range commands {
		if err := command.Err(); err != nil {
			command.SetErr(link.words.safe(err))
		}
	}
	return err
}

// exchange is round, with the servers' errors of the commands as they are.
func (l *lane) exchange(ctx context.Context, link *link, client *redis.Client, commands []redis.Cmder) error {
	pipe := client.Pipeline()
	_ = pipe.BatchProcess(ctx, commands...) // it only queues
	asksRole := !link.roleRefused.Load()
	if asksRole {
		l.role.SetErr(errNoReply)
		l.role.SetVal(nil)
		_ = pipe.BatchProcess(ctx, l.role)
	}
	_, err := pipe.Exec(ctx)
	err = link.words.safe(err)
	if !answered(err) {
		return err
	}
	if asksRole && !errors.Is(l.role.Err(), errNoReply) {
		l.role.SetErr(link.words.safe(l.role.Err()))
		refused, stale := checkRole(l.role, link.address(client))
		if stale != nil {
			return stale
		}
		if refused && link.roleRefused.CompareAndSwap(false, true) {
			l.sampler.options.Logger.Warn("server does not tell its role: a demoted master can't be told from the master; let its user run ROLE",
				"server", l.sampler.server.Address, "error", l.role.Err())
		}
	}
	if link.cluster != nil && err != nil {
		return link.words.safe(redirect(ctx, link.cluster, commands, err))
	}
	return err
}

// react does what may mend a failure, and returns what to tell of it.
func (l *lane) react(link *link, failure error) error {
	links := l.sampler.links
	switch cause := causeOf(failure); {
	case cause == StaleReplica && link.cluster != nil:
		link.cluster.ReloadState(l.sampler.ctx)
	case cause == StaleReplica:
		links.renew(link) // a Service may lead elsewhere by now, and a sentinel knows the master
	case cause == Unauthorized || cause == TLSFailed:
		return links.suspect(failure)
	case link != nil && l.sampler.server.Mode == Sentinel && l.sampler.ctx.Err() == nil:
		links.renew(link) // go-redis may hold on to a sentinel that does not answer
	}
	return failure
}
