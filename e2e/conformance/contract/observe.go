package contract

import (
	"context"
	"sync"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/grpc"
)

// watch is something that is observed for Limits.Stream from the start of a run, while
// other checks go on.
type watch int

const (
	watchActive    watch = iota // a stream of StreamIsActive
	watchSpec                   // a stream of StreamMetricSpec
	watchKEDA                   // the states that KEDA's client hands to KEDA
	watchKEDASpecs              // the specs that KEDA's client hands to KEDA; comes with watchKEDA
)

// message is one of a stream.
type message struct {
	at     time.Duration // since the stream was opened
	active bool
	specs  *externalscaler.GetMetricSpecResponse
	keda   []Spec
}

// observation is what a stream did.
type observation struct {
	first chan struct{} // closed by the first message, or the end
	done  chan struct{} // closed by the end of the stream or of Limits.Stream

	mu     sync.Mutex
	began  time.Time
	sofar  seen
	opened sync.Once
}

func newObservation() *observation {
	return &observation{began: time.Now(), first: make(chan struct{}), done: make(chan struct{})}
}

func (o *observation) add(m message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m.at = time.Since(o.began)
	o.sofar.messages = append(o.sofar.messages, m)
	o.opened.Do(func() { close(o.first) })
}

// finish ends the observation; ended is why the stream ended by itself.
func (o *observation) finish(ended error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sofar.ended, o.sofar.length = ended, time.Since(o.began)
	o.opened.Do(func() { close(o.first) })
	close(o.done)
}

// seen is what there is of an observation.
type seen struct {
	messages []message
	ended    error         // why the stream ended by itself; nil where it was still open
	length   time.Duration // how long it was observed; 0 where that goes on
}

func (o *observation) seen() seen {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sofar
}

// opening waits for the first message: for limit after the stream was opened, and as long
// again, so that late can be told from never.
func (o *observation) opening(ctx context.Context, limit time.Duration) {
	o.mu.Lock()
	began := o.began
	o.mu.Unlock()
	timer := time.NewTimer(time.Until(began.Add(2 * limit)))
	defer timer.Stop()
	select {
	case <-o.first:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// wait waits for the end of the observation.
func (o *observation) wait(ctx context.Context) {
	select {
	case <-o.done:
	case <-ctx.Done():
	}
}

// observe starts an observation, once.
func (p *probe) observe(ctx context.Context, w watch) {
	if p.observations[w] != nil {
		return
	}
	o := newObservation()
	p.observations[w] = o
	switch w {
	case watchActive:
		p.observing.Go(func() {
			record(ctx, o, p.Limits.Stream, p.ref(nil), p.scaler.StreamIsActive, readActive)
		})
	case watchSpec:
		p.observing.Go(func() {
			record(ctx, o, p.Limits.Stream, p.ref(nil), p.scaler.StreamMetricSpec, readSpecs)
		})
	case watchKEDA, watchKEDASpecs:
		states, specs := newObservation(), newObservation()
		p.observations[watchKEDA], p.observations[watchKEDASpecs] = states, specs
		p.observing.Go(func() { p.recordKEDA(ctx, states, specs) })
	}
}

// opener is a method that answers with a stream.
type opener[T any] func(context.Context, *externalscaler.ScaledObjectRef, ...grpc.CallOption) (grpc.ServerStreamingClient[T], error)

// record observes one stream for that long.
func record[T any](ctx context.Context, o *observation, long time.Duration, ref *externalscaler.ScaledObjectRef, open opener[T], read func(*T) message) {
	ctx, cancel := within(ctx, long)
	defer cancel()
	stream, err := open(ctx, ref)
	for err == nil {
		var m *T
		if m, err = stream.Recv(); err == nil {
			o.add(read(m))
		}
	}
	if ctx.Err() != nil {
		err = nil
	}
	o.finish(err)
}

// first is a method that opens a stream, waits for its first message and cancels it.
func first[T any](open opener[T]) func(context.Context, *externalscaler.ScaledObjectRef, ...grpc.CallOption) (*T, error) {
	return func(ctx context.Context, ref *externalscaler.ScaledObjectRef, options ...grpc.CallOption) (*T, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := open(ctx, ref, options...)
		if err != nil {
			return nil, err
		}
		return stream.Recv()
	}
}

// recordKEDA observes what KEDA's client makes of both streams. It opens them again by
// itself where they end, so only the messages tell.
func (p *probe) recordKEDA(ctx context.Context, states, specs *observation) {
	client, err := p.keda()
	if err != nil {
		states.finish(err)
		specs.finish(err)
		return
	}
	client.MetricSpecs(ctx) // connects: the handshake is not the stream's
	ctx, cancel := within(ctx, p.Limits.Stream)
	defer cancel()
	states.restart()
	specs.restart()
	active := make(chan bool)
	var reading sync.WaitGroup
	reading.Go(func() {
		for state := range active {
			states.add(message{active: state})
		}
		states.finish(nil)
	})
	reading.Go(func() {
		for update := range client.SpecUpdates() {
			specs.add(message{keda: update})
		}
		specs.finish(nil)
	})
	client.Run(ctx, active)
	reading.Wait()
	_ = client.Close(ctx) // a share of a connection that is not used any more
}

// restart counts the time from now; nothing was added yet.
func (o *observation) restart() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.began = time.Now()
}
