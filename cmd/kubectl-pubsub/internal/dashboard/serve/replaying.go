package serve

import (
	"context"
	"errors"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// Why a replay ends before it has an answer.
var (
	errNewerReplay = errors.New("the page asked for another replay, which took this one's place")
	errChannelLeft = errors.New("the page left the channel during the replay: replay it again")
	errPageGone    = errors.New("the page is gone")
)

// replaying is a replay that a page asked for.
type replaying struct {
	stop  context.CancelCauseFunc
	ended chan struct{}
}

// beginReplay answers a request for a replay when it is done. A page has one at a time: the newest.
func (s *session) beginReplay(ctx context.Context, request protocol.Request) {
	s.endReplay(errNewerReplay)
	bounded, stop := context.WithCancelCause(ctx)
	r := &replaying{stop: stop, ended: make(chan struct{})}
	s.replaying = r
	go func() {
		defer close(r.ended)
		defer stop(nil)
		answer := s.answer(bounded, request)
		select {
		case s.answers <- answer:
		case <-ctx.Done():
		}
	}()
}

// endReplay ends the replay that runs, if one does, with the reason that its answer tells.
func (s *session) endReplay(why error) {
	if s.replaying == nil {
		return
	}
	s.replaying.stop(why)
	<-s.replaying.ended
	s.replaying = nil
}
