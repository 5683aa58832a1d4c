package delivery_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/delivery"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
)

const (
	patient = 2 * time.Minute // for what must happen
	brief   = 50 * time.Millisecond
	ample   = patient // for what must not time out
)

// crowd is a handler that counts the requests which it is at work on.
type crowd struct {
	now, most, told atomic.Int64 // told: requests that heard that nobody waits for them
	calls           atomic.Int64
	// work is what it does, besides.
	work func(r *http.Request)
}

func (c *crowd) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	now := c.now.Add(1)
	defer c.now.Add(-1)
	for most := c.most.Load(); now > most && !c.most.CompareAndSwap(most, now); most = c.most.Load() {
	}
	c.calls.Add(1)
	_, _ = io.Copy(io.Discard, r.Body) // before that net/http does not hear of a client that goes
	c.work(r)
}

func (c *crowd) deliverer(t *testing.T, concurrency int, withTLS bool) *delivery.Deliverer {
	t.Helper()
	server := httptest.NewUnstartedServer(c)
	options := delivery.Options{Concurrency: concurrency, Log: slog.New(slog.DiscardHandler)}
	if withTLS {
		server.StartTLS()
		options.TLS.CAFile = caFile(t, server)
	} else {
		server.Start()
	}
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	var err error
	options.HandlerURL, err = url.Parse(server.URL)
	require.NoError(t, err)
	return delivery.New(options)
}

// deliverWithin delivers with so much time.
func deliverWithin(t *testing.T, d *delivery.Deliverer, timeout time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return d.Deliver(ctx, message)
}

// deliverUntil delivers until the handler is at work on the message, whose time is up then:
// how long a busy machine takes to come so far is no matter.
func deliverUntil(t *testing.T, d *delivery.Deliverer, m source.Message, begun <-chan struct{}) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	go func() {
		select {
		case <-begun:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := d.Deliver(ctx, m)
	require.ErrorIs(t, err, context.Canceled, "the handler did not begin")
	return err
}

// A handler that goes on after its time is up is still at work: nothing more is sent to it
// than it may have at once.
func TestNeverMoreAtOnceThanConcurrencyAlsoAfterTimeouts(t *testing.T) {
	for name, withTLS := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := time.Second
			for !staysWithinItsSlots(t, withTLS, timeout) {
				timeout *= 2 // this machine is too slow to look in that time
				require.Less(t, timeout, patient)
			}
		})
	}
}

// staysWithinItsSlots sends two messages to a handler that goes on after their time, and more meanwhile. A handler that is
// told that nobody waits keeps its slot for as long again; false if that was over before the look was.
func staysWithinItsSlots(t *testing.T, withTLS bool, timeout time.Duration) bool {
	t.Helper()
	release := make(chan struct{})
	finish := sync.OnceFunc(func() { close(release) })
	defer finish()
	c := &crowd{}
	d := c.deliverer(t, 2, withTLS)
	began := time.Now()
	var underWay atomic.Int64 // nanoseconds, of both together, until the handler had them
	c.work = func(r *http.Request) {
		if c.calls.Load() > 2 {
			return
		}
		underWay.Add(int64(time.Since(began)))
		<-r.Context().Done() // it hears that nobody waits for it, and finishes all the same
		c.told.Add(1)
		<-release
	}
	var errs [2]error
	var both sync.WaitGroup
	for i := range errs {
		both.Go(func() { errs[i] = deliverWithin(t, d, timeout) })
	}
	both.Wait()
	for _, err := range errs {
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	if c.calls.Load() < 2 {
		return false // they did not even reach the handler
	}
	kept := func() bool { return time.Since(began) < 2*timeout-time.Duration(underWay.Load()) }
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for c.told.Load() < 2 && kept() {
		<-ticker.C
	}
	told := c.told.Load()
	err := deliverWithin(t, d, brief)
	calls := c.calls.Load()
	if !kept() {
		return false
	}
	for _, err := range errs {
		require.Equal(t, failed, kindOf(err), err)
	}
	require.EqualValues(t, 2, told, "the handler hears that nobody waits")
	require.Equal(t, unavailable, kindOf(err), "a slot is not free before its request has returned: %v", err)
	require.EqualValues(t, 2, calls)
	finish()
	for range 5 {
		require.NoError(t, deliverWithin(t, d, ample), "and its connection is not used again")
	}
	require.EqualValues(t, 2, c.most.Load())
	return true
}

// A handler that is stuck for good has its slot for as long again as its time was.
func TestAStuckHandlerDoesNotKeepItsSlotForEver(t *testing.T) {
	stuck, begun := make(chan struct{}), make(chan struct{})
	defer close(stuck)
	c := &crowd{}
	c.work = func(*http.Request) {
		if c.calls.Load() == 1 {
			close(begun)
			<-stuck
		}
	}
	d := c.deliverer(t, 1, false)
	err := deliverUntil(t, d, message, begun)
	require.Equal(t, failed, kindOf(err), err)
	require.Eventually(t, func() bool { return deliverWithin(t, d, ample) == nil }, patient, time.Millisecond)
}

// What waits for a slot in vain has not been sent, and does not use up its own time.
func TestWaitingForASlotIsNoFailureOfTheMessage(t *testing.T) {
	release := make(chan struct{})
	c := &crowd{work: func(*http.Request) { <-release }}
	d := c.deliverer(t, 1, false)
	first := make(chan error, 1)
	go func() { first <- d.Deliver(t.Context(), message) }()
	require.Eventually(t, func() bool { return c.calls.Load() == 1 }, patient, time.Millisecond)
	began := time.Now()
	err := deliverWithin(t, d, time.Hour)
	require.Equal(t, unavailable, kindOf(err), err)
	require.ErrorContains(t, err, "still at work")
	require.Less(t, time.Since(began), time.Minute)
	close(release)
	require.NoError(t, <-first)
	require.EqualValues(t, 1, c.calls.Load())
}

// A time-out while nothing has been sent frees the slot at once.
func TestATimeOutBeforeThereIsAConnection(t *testing.T) {
	silent := httptest.NewUnstartedServer(nil) // it listens, and never answers a handshake
	defer silent.Close()
	handlerURL := &url.URL{Scheme: "https", Host: silent.Listener.Addr().String()}
	d := delivery.New(delivery.Options{HandlerURL: handlerURL, Concurrency: 1, Log: slog.New(slog.DiscardHandler)})
	for range 3 {
		err := deliverWithin(t, d, brief)
		require.Equal(t, unavailable, kindOf(err), err)
		require.NotContains(t, err.Error(), "still at work")
	}
}

// In HTTP/2 a request that has timed out is cancelled, and the connection goes on.
func TestATimeOutInHTTP2(t *testing.T) {
	told, begun := make(chan struct{}), make(chan struct{})
	var once sync.Once
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			return
		}
		once.Do(func() {
			close(begun)
			<-r.Context().Done()
			close(told)
		})
	}))
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	server.StartTLS()
	defer server.Close()
	handlerURL, err := url.Parse(server.URL)
	require.NoError(t, err)
	options := delivery.Options{HandlerURL: handlerURL, Concurrency: 1, Log: slog.New(slog.DiscardHandler)}
	options.TLS.CAFile = caFile(t, server)
	d := delivery.New(options)
	err = deliverUntil(t, d, message, begun)
	require.Equal(t, failed, kindOf(err), err)
	select {
	case <-told:
	case <-time.After(patient):
		t.Fatal("the handler heard nothing")
	}
	require.NoError(t, deliverWithin(t, d, ample))
}

// A slot that is free is taken however late the worker comes to look: on a busy machine it may
// stand still between two steps for longer than it would wait.
func TestAFreeSlotIsTakenWhateverTheTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		d := delivery.New(delivery.Options{
			HandlerURL: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, Concurrency: 1, Log: slog.New(slog.DiscardHandler),
		})
		require.NotContains(t, d.Deliver(ctx, message).Error(), "still at work")
	}
}
