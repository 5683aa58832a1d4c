package follow

import (
	"context"
	"errors"
	"fmt"
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
	s := &statuses{options: options.withDefaults(), each: each, last: map[types.NamespacedName]Update{}, counting: map[types.NamespacedName]*v1.PubSubChannel{}, observed: map[types.NamespacedName]time.Time{}}
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

	listed   bool
	observed map[types.NamespacedName]time.Time // of when each status is, for those with a decision
	newest   time.Time                          // of when the newest is that there ever was: of a channel that was deleted, too
	quiet    bool                               // it was told that none is new
}

func (s *statuses) on(event channels.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.options.Now()
	delete(s.counting, event.Channel)
	s.observe(event, now)
	switch {
	case event.Listed || event.Err != nil:
		s.each(Update{Time: now, Listed: event.Listed, Err: event.Err})
		s.listed, s.quiet = s.listed || event.Listed, s.quiet && !event.Listed // who hears of a list forgets warnings
		s.tellIfQuiet(now)
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
	s.tellIfQuiet(now)
}

// observe takes of when a channel's status is. A new one ends the warning that there was none.
func (s *statuses) observe(event channels.Event, now time.Time) {
	if event.Channel == (types.NamespacedName{}) {
		return
	}
	delete(s.observed, event.Channel)
	if event.State == nil || !event.State.Autoscaled || event.Object == nil {
		return
	}
	at := decide.Observed(event.Object)
	if at.IsZero() {
		return
	}
	s.observed[event.Channel] = at
	if at.After(now) {
		at = now // by a clock that is ahead; it was written by now
	}
	if at.After(s.newest) {
		s.newest = at
	}
	if s.quiet && !decide.IsOld(at, now) {
		s.quiet = false
		s.each(Update{Time: now, Listed: true})
	}
}

// QuietError says that no status is new, so that nothing shows that the operator works.
type QuietError struct {
	Newest time.Time // of the newest status
}

func (e *QuietError) Error() string {
	return fmt.Sprintf("the newest status is of %s: nothing has changed since, or the operator is down and what is shown may no longer hold, which kubectl pubsub doctor tells",
		e.Newest.UTC().Format(time.DateTime+" MST"))
}

// tellIfQuiet tells once that all statuses are old: one that is new shows that the controller works,
// whichever channel it is of, and also if that was deleted meanwhile.
func (s *statuses) tellIfQuiet(now time.Time) {
	if s.listed && !s.quiet && len(s.observed) > 0 && decide.IsOld(s.newest, now) {
		s.quiet = true
		s.each(Update{Time: now, Err: &QuietError{s.newest}})
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
	s.news(Update{Channel: key, Time: now, AsOf: decide.Observed(channel), Explanation: explanation})
}

// counts reports whether another decision may come with time alone.
func counts(e *inspectv1.ExplainResponse) bool {
	return e.GetCooldownLeft() != nil || e.GetOldestAge() != nil ||
		e.WindowSeen != nil && e.GetWindowSeen().AsDuration() < e.GetPolicy().GetUtilizationWindow().AsDuration()
}

func (s *statuses) news(update Update) {
	if last, known := s.last[update.Channel]; known && last.Ending == update.Ending && (update.Ending != "" || same(last, update)) {
		if !update.AsOf.After(last.AsOf) {
			return
		}
		update.Again = true
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
