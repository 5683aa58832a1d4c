// Package follow joins the channels that there are with the decision about each: from their
// statuses, or from the scaler by one stream per channel, which is opened again whenever it ends.
package follow

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/channels"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// Ending is why nothing more comes about a channel.
type Ending string

// The endings.
const (
	Deleted        Ending = "Deleted"
	AutoscalingOff Ending = "AutoscalingOff"
)

// Update is news about a channel, or about all.
type Update struct {
	Channel types.NamespacedName
	// Time is when it was so, by the scaler's clock where it is the scaler's news.
	Time time.Time
	// AsOf is of when the status is that an explanation was decided from; the zero time: the scaler was asked.
	AsOf time.Time
	// Again is set if only AsOf is new.
	Again bool
	// One of these three is set, or none for a channel that was not heard of yet.
	Explanation *inspectv1.ExplainResponse
	Failure     *inspectv1.Failure
	Ending      Ending

	// Listed and Err stand alone, as in channels.Event.
	Listed bool
	Err    error
}

// Scaler opens a stream; *connect.Scaler is the real one.
type Scaler interface {
	Watch(ctx context.Context, namespace, name string, each func(*inspectv1.WatchResponse)) error
}

// Channels tells of channels until the context ends, as channels.Follow does.
type Channels func(ctx context.Context, each func(channels.Event)) error

// Options are the times; the zero value has the defaults.
type Options struct {
	// FirstPause is how long a stream that ended is left closed, which doubles with each
	// that brought nothing, up to LastPause. Default 500 ms and 15 s.
	FirstPause, LastPause time.Duration
	// Settle is how long after a change of a channel its stream is opened again: the
	// scaler's view of the cluster may come a little later. Default 1 s.
	Settle time.Duration
	// Now is the clock for what is not the scaler's news. Default time.Now.
	Now func() time.Time
}

// Run hands on updates until the context ends; then it returns nil. What it hands on has
// changed, and never comes twice at once. It fails where the channels can't be listed in
// the first place. each is called from several goroutines, in order for each channel.
func Run(ctx context.Context, list Channels, scaler Scaler, options Options, each func(Update)) error {
	f := &follower{scaler: scaler, options: options.withDefaults(), each: each, streams: map[types.NamespacedName]*stream{}}
	err := list(ctx, func(event channels.Event) { f.on(ctx, event) })
	for key := range f.streams {
		f.close(key)
	}
	return err
}

func (o Options) withDefaults() Options {
	if o.FirstPause == 0 {
		o.FirstPause = 500 * time.Millisecond
	}
	if o.LastPause == 0 {
		o.LastPause = 15 * time.Second
	}
	if o.Settle == 0 {
		o.Settle = time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

type follower struct {
	scaler  Scaler
	options Options
	each    func(Update)
	streams map[types.NamespacedName]*stream // of channels that autoscale
}

// stream is one channel's.
type stream struct {
	stop  context.CancelFunc
	ended chan struct{}
	last  Update
}

// on is called from one goroutine.
func (f *follower) on(ctx context.Context, event channels.Event) {
	switch {
	case event.Listed || event.Err != nil:
		f.each(Update{Time: f.options.Now(), Listed: event.Listed, Err: event.Err})
	case event.State == nil:
		f.close(event.Channel)
		f.each(Update{Channel: event.Channel, Time: f.options.Now(), Ending: Deleted})
	case event.State.Unreadable != "":
		f.close(event.Channel)
		f.each(Update{Channel: event.Channel, Time: f.options.Now(), Failure: unreadable(event.State)})
	case !event.State.Autoscaled:
		f.close(event.Channel)
		f.each(Update{Channel: event.Channel, Time: f.options.Now(), Ending: AutoscalingOff})
	default:
		last, open := f.close(event.Channel)
		first := time.Duration(0)
		if open {
			first = f.options.Settle
		} else {
			f.each(Update{Channel: event.Channel, Time: f.options.Now()})
		}
		f.open(ctx, event.Channel, last, first)
	}
}

// close ends a channel's stream, and returns what it told last.
func (f *follower) close(key types.NamespacedName) (last Update, open bool) {
	s, open := f.streams[key]
	if !open {
		return Update{}, false
	}
	s.stop()
	<-s.ended
	delete(f.streams, key)
	return s.last, true
}

func (f *follower) open(ctx context.Context, key types.NamespacedName, last Update, first time.Duration) {
	ctx, stop := context.WithCancel(ctx)
	s := &stream{stop: stop, ended: make(chan struct{}), last: last}
	f.streams[key] = s
	go func() {
		defer close(s.ended)
		f.keepOpen(ctx, key, s, first)
	}()
}

// keepOpen opens the stream again and again until the context ends.
func (f *follower) keepOpen(ctx context.Context, key types.NamespacedName, s *stream, first time.Duration) {
	fresh := wait.Backoff{Duration: f.options.FirstPause, Factor: 2, Jitter: 0.2, Steps: 100, Cap: f.options.LastPause}
	pauses, pause := fresh, first
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		err := f.scaler.Watch(ctx, key.Namespace, key.Name, func(message *inspectv1.WatchResponse) {
			pauses = fresh
			f.news(s, Update{Channel: key, Time: message.GetTime().AsTime(), Explanation: message.GetExplanation(), Failure: message.GetFailure()})
		})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			f.news(s, Update{Channel: key, Time: f.options.Now(), Failure: connect.FailureOf(err)})
		}
		pause = min(pauses.Step(), f.options.LastPause)
	}
}

// news hands on what the last update did not say already: a stream begins with what may
// have been told by the one before.
func (f *follower) news(s *stream, update Update) {
	if same(s.last, update) {
		return
	}
	s.last = update
	f.each(update)
}

// same is true for updates that differ in what only counts.
func same(a, b Update) bool {
	if (a.Explanation == nil) != (b.Explanation == nil) || (a.Failure == nil) != (b.Failure == nil) {
		return false
	}
	if a.Failure != nil {
		return a.Failure.GetCode() == b.Failure.GetCode() && a.Failure.GetReason() == b.Failure.GetReason() &&
			inspect.WithoutDigits(a.Failure.GetMessage()) == inspect.WithoutDigits(b.Failure.GetMessage())
	}
	return a.Explanation != nil && proto.Equal(inspect.Lasting(a.Explanation), inspect.Lasting(b.Explanation))
}
