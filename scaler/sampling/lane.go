package sampling

import (
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// maxBackOff bounds how long a server that can't be read is left alone.
const maxBackOff = 8 * time.Second

// edgesPerTick is how often within a tick the queues are read whose next message somebody
// awaits: a fleet at 0 replicas is then up a quarter of a second after its first message,
// not a whole one.
const edgesPerTick = 4

// lane reads queues of one server, or of one node of a cluster, in a goroutine of its own.
// A cluster's first lane reads none: it hands each new queue to the lane of its node.
type lane struct {
	sampler *sampler
	address string        // of the cluster's node; empty: the first lane
	wake    chan struct{} // asks for a read of new queues before the next tick
	again   chan struct{} // asks for a read of all, back-off or not

	// Guarded by the sampler's mutex.
	added  []*watched // since the last tick
	unread int        // of added, those since the last read: they are the last
	// regroup is set where other queues are awaited than those of the batch.
	regroup bool

	// The goroutine's own.
	all      batch // the queues of the last tick, in the order in which they came
	awaited  batch // of these and those added, whose next message somebody awaits
	failures int   // in a row
	failure  error // of the last read
}

// batch is queues that are read together.
type batch struct {
	watched []*watched
	read    *queue.Batch
}

func newLane(s *sampler, address string) *lane {
	return &lane{sampler: s, address: address, wake: make(chan struct{}, 1), again: make(chan struct{}, 1)}
}

func (l *lane) batch(all []*watched) batch {
	readers := make([]*queue.Reader, len(all))
	for i, w := range all {
		readers[i] = &w.reader
	}
	if l.sampler.server.Mode == broker.Cluster {
		return batch{watched: all, read: queue.NewClusterBatch(readers)}
	}
	return batch{watched: all, read: queue.NewBatch(readers)}
}

// take adds a queue, which is read soon. The sampler's mutex is held.
func (l *lane) take(w *watched) {
	w.lane = l
	l.added = append(l.added, w)
	l.unread++
	if w.eager > 0 {
		l.regroup = true
	}
	notify(l.wake)
}

// run reads until the sampler ends, or until no queue is left and retire agrees.
func (l *lane) run(retire func() bool) {
	s := l.sampler
	timer := time.NewTimer(s.options.Tick)
	defer timer.Stop()
	edges := time.NewTimer(s.options.Tick / edgesPerTick)
	defer edges.Stop()
	for {
		select {
		case <-s.ctx.Done():
			s.end()
			return
		case <-l.wake:
			l.firstRead()
			continue // those that were here before keep their tick
		case <-edges.C:
			l.edge()
			edges.Reset(broker.Jittered(s.options.Tick / edgesPerTick))
			continue
		case <-l.again:
		case <-timer.C:
		}
		l.collect()
		if len(l.all.watched) == 0 && retire() {
			return
		}
		l.read(l.all)
		timer.Reset(broker.Jittered(l.delay()))
	}
}

// firstRead reads the queues that were never read. Where the server failed the last time,
// they share that: new queues are no reason to try again before the back-off is over.
func (l *lane) firstRead() {
	if l.failures > 0 {
		l.share(l.firstReads())
		return
	}
	if l.handsOut() {
		l.collect()
		l.read(l.all)
		return
	}
	l.read(l.firstReads())
}

// share records the last failure for queues that are not read now.
func (l *lane) share(b batch) {
	now := l.sampler.options.Now()
	b.read.Begin(now)
	b.read.Fail(l.failure)
	l.sampler.record(l, nil, b, now)
}

// edge reads what somebody awaits.
func (l *lane) edge() {
	if l.address == "" {
		l.sampler.connections.RefreshIfDue()
	}
	if l.failures == 0 && !l.handsOut() {
		l.read(l.edges())
	}
}

// handsOut reports whether the lane reads no queue itself.
func (l *lane) handsOut() bool { return l.address == "" && l.sampler.server.Mode == broker.Cluster }

// delay is the time to the next read: a tick, doubled with each failure in a row. A demoted
// master is asked each tick who took its place: that is known soon.
func (l *lane) delay() time.Duration {
	tick := l.sampler.options.Tick
	if l.failures == 0 || errors.As(l.failure, new(*broker.StaleReplicaError)) {
		return tick
	}
	return max(tick, min(tick<<min(l.failures-1, 10), maxBackOff))
}

// firstReads is the queues that were never read.
func (l *lane) firstReads() batch {
	l.sampler.mu.Lock()
	defer l.sampler.mu.Unlock()
	unread := slices.Clone(l.added[len(l.added)-l.unread:])
	l.unread = 0
	return l.batch(unread)
}

// collect takes all queues into the batch, less those that nobody asked for lately: they
// are dropped.
func (l *lane) collect() {
	s := l.sampler
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.options.Now()
	kept := slices.DeleteFunc(l.all.watched, func(w *watched) bool {
		if w.wanted() || now.Sub(w.lastAsked) <= s.options.IdleTimeout {
			return false
		}
		delete(s.queues, w.reader.Queue())
		delete(s.waiting, w)
		w.dropped = true
		l.regroup = true
		return true
	})
	if len(l.added) > 0 || len(kept) < len(l.all.watched) {
		l.all = l.batch(append(kept, l.added...))
		l.added, l.unread = nil, 0
	}
}

// edges is the queues whose next message somebody awaits.
func (l *lane) edges() batch {
	l.sampler.mu.Lock()
	defer l.sampler.mu.Unlock()
	if l.regroup {
		var awaited []*watched
		for _, w := range slices.Concat(l.all.watched, l.added) {
			if w.eager > 0 {
				awaited = append(awaited, w)
			}
		}
		l.awaited, l.regroup = l.batch(awaited), false
	}
	return l.awaited
}

// recordOutcome counts failures in a row and logs where they begin and end. A nil failure is
// success; a nil link is a read that had none.
func (l *lane) recordOutcome(link *broker.Link, failure error) {
	s := l.sampler
	s.options.Metrics.countRead(failure)
	s.connections.ReportPanic(failure, l.failure)
	if failure != nil && link != nil {
		failure = link.Diagnose(l.address, failure) // queues that come later share it, without a link
	}
	l.failure = failure
	if failure == nil {
		if l.failures > 0 {
			l.logger(link).Info("server can be read again", "failures", l.failures)
		}
		l.failures = 0
		return
	}
	if l.failures == 0 {
		read := s.readError(l, link, failure)
		l.logger(link).Warn("server can't be read", "error", read.Err, "remedy", read.Remedy())
	}
	l.failures++
}

// logger names what the lane reads.
func (l *lane) logger(link *broker.Link) *slog.Logger {
	logger := l.sampler.options.Logger.With("server", l.sampler.server.Address)
	if l.address == "" {
		return logger
	}
	return logger.With("node", l.sampler.readError(l, link, nil).Node)
}

// panicked records a panic as the failure of a read, and begins anew: what the read had
// learned of the queues so far may be half of it only.
func (l *lane) panicked(b batch, failure error) {
	l.sampler.mu.Lock()
	own := slices.DeleteFunc(slices.Clone(b.watched), func(w *watched) bool { return w.lane != l }) // others have been handed over
	l.regroup = true
	l.sampler.mu.Unlock()
	for _, w := range own {
		w.reader = queue.NewReader(w.reader.Queue())
	}
	l.all = l.batch(l.all.watched)
	l.fail(nil, l.batch(own), failure)
}
