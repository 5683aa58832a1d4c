package follow

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/channels"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/decide"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// again is how often a decision that changes with time alone is made anew: one that a cooldown
// holds, for example.
const again = time.Second

// Statuses is as Run, but decides from the channels' specs and statuses, and asks no scaler. The
// channels are those of channels.FollowStatuses. each is never called twice at once.
func Statuses(ctx context.Context, list Channels, options Options, each func(Update)) error {
	ctx, stop := context.WithCancel(ctx)
	s := &statuses{options: options.withDefaults(), each: each, last: map[types.NamespacedName]Update{}, counting: map[types.NamespacedName]*v1.PubSubChannel{}}
	ticker := time.NewTicker(again)
	defer ticker.Stop()
	var ticking sync.WaitGroup
	ticking.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				s.tick()
			}
		}
	})
	err := list(ctx, s.on)
	stop()
	ticking.Wait()
	return err
}

// statuses is what was told of each channel.
type statuses struct {
	options Options

	mu       sync.Mutex // orders the updates as well
	each     func(Update)
	last     map[types.NamespacedName]Update
	counting map[types.NamespacedName]*v1.PubSubChannel // whose decisions change with time alone
}

func (s *statuses) on(event channels.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.options.Now()
	delete(s.counting, event.Channel)
	switch {
	case event.Listed || event.Err != nil:
		s.each(Update{Time: now, Listed: event.Listed, Err: event.Err})
	case event.State == nil:
		delete(s.last, event.Channel)
		s.each(Update{Channel: event.Channel, Time: now, Ending: Deleted})
	case event.State.Unreadable != "":
		s.news(Update{Channel: event.Channel, Time: now, Failure: unreadable(event.State)})
	case !event.State.Autoscaled:
		s.news(Update{Channel: event.Channel, Time: now, Ending: AutoscalingOff})
	default:
		s.decide(event.Channel, event.Object, now)
	}
}

// tick decides anew what changes with time alone.
func (s *statuses) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.options.Now()
	for key, channel := range s.counting {
		s.decide(key, channel, now)
	}
}

func (s *statuses) decide(key types.NamespacedName, channel *v1.PubSubChannel, now time.Time) {
	explanation, err := decide.Explain(channel, decide.Overrides{}, now)
	if err != nil {
		delete(s.counting, key)
		s.news(Update{Channel: key, Time: now, Failure: failureOf(err)})
		return
	}
	if counts(explanation) {
		s.counting[key] = channel
	} else {
		delete(s.counting, key)
	}
	s.news(Update{Channel: key, Time: now, Explanation: explanation})
}

// counts reports whether another decision may come with time alone.
func counts(e *inspectv1.ExplainResponse) bool {
	return e.GetCooldownLeft() != nil || e.GetOldestAge() != nil ||
		e.WindowSeen != nil && e.GetWindowSeen().AsDuration() < e.GetPolicy().GetUtilizationWindow().AsDuration()
}

func (s *statuses) news(update Update) {
	if last, known := s.last[update.Channel]; known && last.Ending == update.Ending && (update.Ending != "" || same(last, update)) {
		return
	}
	s.last[update.Channel] = update
	s.each(update)
}

// failureOf is why there is no decision.
func failureOf(err error) *inspectv1.Failure {
	var unknown *decide.UnknownError
	if errors.As(err, &unknown) {
		return inspect.Failure(codes.Unavailable, inspect.ErrorReason(unknown.Reason), unknown.Message)
	}
	return inspect.Failure(codes.FailedPrecondition, v1.ReasonInvalidSpec, err.Error())
}

func unreadable(state *channels.State) *inspectv1.Failure {
	return inspect.Failure(codes.FailedPrecondition, v1.ReasonInvalidSpec, "the channel "+state.Unreadable)
}
