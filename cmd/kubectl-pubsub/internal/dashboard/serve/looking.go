package serve

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/feed"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/record"
)

// opened is the channel that a page follows.
type opened struct {
	key      string
	stop     context.CancelFunc
	looking  sync.WaitGroup
	position record.Position // of the writing goroutine, as is told
	told     *told

	mu   sync.Mutex
	seen feed.Surroundings
	past past
}

// follow opens a channel in place of the one that was open.
func (s *session) follow(ctx context.Context, key string) {
	s.leave()
	ctx, stop := context.WithCancel(ctx)
	o := &opened{key: key, stop: stop}
	o.looking.Go(func() { s.look(ctx, o) })
	s.mu.Lock()
	s.open = o
	s.mu.Unlock()
	s.nudge()
}

// leave ends what a page asked for about the channel that was open.
func (s *session) leave() {
	s.endReplay(errChannelLeft)
	s.close()
}

// close ends what follow began.
func (s *session) close() {
	s.mu.Lock()
	o := s.open
	s.open = nil
	s.mu.Unlock()
	if o != nil {
		o.stop()
		o.looking.Wait()
	}
}

func (s *session) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// look reads what else there is of the open channel, again and again: with thousands of pods less
// often, so that most of the time nothing is read. The history is asked for beside it: a Prometheus may take a minute.
func (s *session) look(ctx context.Context, o *opened) {
	var before feed.Surroundings
	var of *types.UID // nil: of none yet
	stop := func() {}
	defer func() { stop() }()
	for round := 0; ctx.Err() == nil; round++ {
		began := time.Now()
		if round%deniedLooks == 0 {
			before = feed.Surroundings{}
		}
		if detail, found := s.fleet.Channel(o.key, &record.Position{}); found {
			if uid := detail.Channel.UID; of == nil || uid != *of {
				of = &uid
				stop() // of the one before
				stop = s.askHistory(ctx, o, detail.Channel)
			}
			before = s.server.options.Surroundings(ctx, detail.Channel, before)
			o.see(before)
			s.nudge()
		}
		select {
		case <-ctx.Done():
		case <-time.After(max(lookEvery, lookShare*time.Since(began))):
		}
	}
}

// askHistory has the older points of the open channel read. Until they are, the page is told that they are asked for; if they can't be,
// why.
func (s *session) askHistory(ctx context.Context, o *opened, channel *v1.PubSubChannel) (stop func()) {
	ctx, stop = context.WithCancel(ctx)
	if s.server.options.History == nil {
		return stop
	}
	o.remember(ctx, past{asked: !s.fleet.Prepended(channel)})
	s.nudge()
	o.looking.Go(func() {
		o.remember(ctx, past{problem: s.server.history(ctx, channel)})
		s.nudge()
	})
	return stop
}

// past is how it is with a channel's history.
type past struct {
	asked   bool   // it is awaited
	problem string // why it is not there
}

// remember sets how it is with the history, unless the question was stopped: then it is another one's.
func (o *opened) remember(ctx context.Context, is past) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ctx.Err() == nil {
		o.past = is
	}
}

// see sets what was seen around the channel.
func (o *opened) see(now feed.Surroundings) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = now
}
