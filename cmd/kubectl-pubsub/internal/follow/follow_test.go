package follow_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/channels"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/follow"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// soon is how long anything that is to happen may take on a busy machine.
const soon = 2 * time.Minute

var (
	orders   = types.NamespacedName{Namespace: "shop", Name: "orders"}
	invoices = types.NamespacedName{Namespace: "shop", Name: "invoices"}
	then     = time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC)
)

// stage plays the channels and the scaler.
type stage struct {
	t       *testing.T
	events  chan channels.Event
	updates chan follow.Update
	streams chan *scene // each that is opened
	ended   chan error
	stop    context.CancelFunc
}

// scene is one stream.
type scene struct {
	key  types.NamespacedName
	each func(*inspectv1.WatchResponse)
	ctx  context.Context
	end  chan error
}

func (s *stage) Watch(ctx context.Context, namespace, name string, each func(*inspectv1.WatchResponse)) error {
	one := &scene{key: types.NamespacedName{Namespace: namespace, Name: name}, each: each, ctx: ctx, end: make(chan error)}
	select {
	case s.streams <- one:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-one.end:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// play runs until the test ends, with pauses that a test need not wait for.
func play(t *testing.T) *stage {
	ctx, stop := context.WithCancel(t.Context())
	s := &stage{t: t, events: make(chan channels.Event), updates: make(chan follow.Update, 100), streams: make(chan *scene), ended: make(chan error, 1), stop: stop}
	list := func(ctx context.Context, each func(channels.Event)) error {
		for {
			select {
			case event := <-s.events:
				if event.Err != nil && event.Channel.Name == "fatal" {
					return event.Err
				}
				each(event)
			case <-ctx.Done():
				return nil
			}
		}
	}
	options := follow.Options{FirstPause: time.Millisecond, LastPause: 4 * time.Millisecond, Settle: time.Millisecond, Now: func() time.Time { return then }}
	var running sync.WaitGroup
	running.Go(func() { s.ended <- follow.Run(ctx, list, s, options, func(u follow.Update) { s.updates <- u }) })
	t.Cleanup(func() { stop(); running.Wait() })
	return s
}

func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(soon):
		require.FailNow(t, "nothing came: "+what)
		panic("unreachable")
	}
}

// autoscaled tells of a channel whose autoscaling is on, and returns its stream.
func (s *stage) autoscaled(key types.NamespacedName, generation int64) *scene {
	s.t.Helper()
	s.events <- channels.Event{Channel: key, State: &channels.State{Autoscaled: true, Generation: generation}}
	return s.opened(key)
}

func (s *stage) opened(key types.NamespacedName) *scene {
	s.t.Helper()
	one := receive(s.t, s.streams, "a stream about "+key.String())
	require.Equal(s.t, key, one.key)
	return one
}

func (s *stage) told() follow.Update {
	s.t.Helper()
	return receive(s.t, s.updates, "an update")
}

// quiet fails where something was told. What it is asked after has happened already.
func (s *stage) quiet() {
	s.t.Helper()
	select {
	case u := <-s.updates:
		assert.Failf(s.t, "told too much", "%+v", u)
	default:
	}
}

func explanation(depth int64, counts time.Duration) *inspectv1.WatchResponse {
	return &inspectv1.WatchResponse{Time: timestamppb.New(then), Result: &inspectv1.WatchResponse_Explanation{Explanation: &inspectv1.ExplainResponse{
		QueueDepth: depth, SampleAge: durationpb.New(counts), CooldownLeft: durationpb.New(counts), Explanation: counts.String() + " left",
	}}}
}

func TestOneChannel(t *testing.T) {
	s := play(t)
	stream := s.autoscaled(orders, 1)
	assert.Equal(t, follow.Update{Channel: orders, Time: then}, s.told(), "it is known before anything is known of it")
	s.events <- channels.Event{Listed: true}
	assert.Equal(t, follow.Update{Time: then, Listed: true}, s.told())

	stream.each(explanation(5, time.Second))
	first := s.told()
	assert.Equal(t, orders, first.Channel)
	assert.Equal(t, int64(5), first.Explanation.GetQueueDepth())
	stream.each(explanation(5, 2*time.Second)) // only counts
	s.quiet()
	stream.each(explanation(6, time.Second))
	assert.Equal(t, int64(6), s.told().Explanation.GetQueueDepth())
	failure := &inspectv1.Failure{Code: "UNAVAILABLE", Reason: "BrokerUnreachable", Message: "port 1"}
	stream.each(&inspectv1.WatchResponse{Time: timestamppb.New(then), Result: &inspectv1.WatchResponse_Failure{Failure: failure}})
	assert.Equal(t, follow.Update{Channel: orders, Time: then, Failure: failure}, s.told())
	stream.each(explanation(6, time.Second))
	assert.NotNil(t, s.told().Explanation, "it is well again")

	s.events <- channels.Event{Channel: orders}
	assert.Equal(t, follow.Update{Channel: orders, Time: then, Ending: follow.Deleted}, s.told())
	require.ErrorIs(t, stream.ctx.Err(), context.Canceled)
}

// A message that waits grows older with each read, which is no news while the decision is the
// same: watch would repeat the line each second.
func TestAnAgeThatGrowsIsNoNews(t *testing.T) {
	s := play(t)
	stream := s.autoscaled(orders, 1)
	s.told()
	waited := func(oldest time.Duration) *inspectv1.WatchResponse {
		message := explanation(5, time.Second)
		message.GetExplanation().OldestAge = durationpb.New(oldest)
		return message
	}
	stream.each(waited(3 * time.Second))
	s.told()
	stream.end <- nil // what the next stream begins with is only older
	stream = s.opened(orders)
	stream.each(waited(4 * time.Second))
	stream.each(waited(5 * time.Second))
	s.quiet()
	stream.each(explanation(6, time.Second))
	assert.Equal(t, int64(6), s.told().Explanation.GetQueueDepth())
}

// A stream is opened again however it ended, and its first message is no news where it
// says what the last stream said.
func TestReopening(t *testing.T) {
	s := play(t)
	stream := s.autoscaled(orders, 1)
	s.told()
	stream.each(explanation(5, time.Second))
	s.told()
	stream.end <- nil // the scaler shuts down
	stream = s.opened(orders)
	stream.each(explanation(5, 3*time.Second))
	s.quiet()
	stream.end <- errors.New("broke at port 4711")
	assert.Equal(t, &inspectv1.Failure{Code: "UNAVAILABLE", Reason: string(connect.ReasonUnreachable), Message: "broke at port 4711"}, s.told().Failure)
	for range 8 { // well beyond the longest pause
		stream = s.opened(orders)
		stream.end <- errors.New("broke at port 815")
	}
	stream = s.opened(orders)
	s.quiet()
	stream.end <- &connect.ScalerError{Code: codes.NotFound, Reason: inspect.TargetNotFound, Message: "no"}
	assert.Equal(t, &inspectv1.Failure{Code: "NOT_FOUND", Reason: "TargetNotFound", Message: "no"}, s.told().Failure)
	s.opened(orders).each(explanation(5, time.Second))
	assert.NotNil(t, s.told().Explanation)
}

// A channel's changed spec is another trigger, so its stream is another one.
func TestChangedChannel(t *testing.T) {
	s := play(t)
	stream := s.autoscaled(orders, 1)
	s.told()
	stream.each(explanation(5, time.Second))
	s.told()
	next := s.autoscaled(orders, 2)
	require.ErrorIs(t, stream.ctx.Err(), context.Canceled)
	next.each(explanation(5, time.Second))
	s.quiet()
	next.each(explanation(7, time.Second))
	assert.Equal(t, int64(7), s.told().Explanation.GetQueueDepth())
}

func TestSwitchingOff(t *testing.T) {
	s := play(t)
	stream := s.autoscaled(orders, 1)
	s.told()
	s.events <- channels.Event{Channel: orders, State: &channels.State{Generation: 2}}
	assert.Equal(t, follow.AutoscalingOff, s.told().Ending)
	require.ErrorIs(t, stream.ctx.Err(), context.Canceled)
	s.autoscaled(orders, 3)
	assert.Equal(t, follow.Update{Channel: orders, Time: then}, s.told())
}

// A channel that can't be decoded is told as a failure of its own, until it is corrected.
func TestUnreadableChannel(t *testing.T) {
	s := play(t)
	stream := s.autoscaled(orders, 1)
	s.told()
	s.events <- channels.Event{Channel: orders, State: &channels.State{Generation: 1, Unreadable: "can't be read: spec.image is 1"}}
	failure := s.told().Failure
	assert.Equal(t, "InvalidSpec", failure.GetReason())
	assert.Equal(t, "the channel can't be read: spec.image is 1", failure.GetMessage())
	require.ErrorIs(t, stream.ctx.Err(), context.Canceled)
	s.autoscaled(orders, 3)
	assert.Equal(t, follow.Update{Channel: orders, Time: then}, s.told())
}

func TestSeveralChannels(t *testing.T) {
	s := play(t)
	first := s.autoscaled(orders, 1)
	second := s.autoscaled(invoices, 1)
	s.told()
	s.told()
	second.each(explanation(1, 0))
	assert.Equal(t, invoices, s.told().Channel)
	first.each(explanation(1, 0))
	assert.Equal(t, orders, s.told().Channel)
	s.events <- channels.Event{Channel: orders}
	s.told()
	require.NoError(t, second.ctx.Err(), "the others go on")
	s.stop()
	require.NoError(t, receive(t, s.ended, "the end"))
	require.ErrorIs(t, second.ctx.Err(), context.Canceled)
}

func TestClusterProblems(t *testing.T) {
	s := play(t)
	s.events <- channels.Event{Err: errors.New("away")}
	assert.Equal(t, follow.Update{Time: then, Err: errors.New("away")}, s.told())
	s.events <- channels.Event{Channel: types.NamespacedName{Name: "fatal"}, Err: errors.New("no right")}
	require.EqualError(t, receive(t, s.ended, "the end"), "no right")
}
