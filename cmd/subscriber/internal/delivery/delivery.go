// Package delivery does the work on a message: it posts it to a handler, works for a set
// time, or logs it.
package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
)

// Headers of a post.
const (
	// HeaderMessageID is the message's ID: a stream's entry ID, else a digest of the
	// payload. It is the same at each delivery of a message.
	HeaderMessageID = "X-Message-ID"
	// HeaderChannel is the key of the message's queue.
	HeaderChannel = "X-Channel"
)

// Options configure a Deliverer.
type Options struct {
	// HandlerURL is where messages are posted; nil: nowhere.
	HandlerURL *url.URL
	// WorkTime is the time spent on each message, for demos.
	WorkTime time.Duration
	// Concurrency is how many messages are delivered at once.
	Concurrency int
	Log         *slog.Logger
	// Now is the clock; nil: the system's.
	Now func() time.Time
}

// Deliverer delivers messages. It is safe for concurrent use.
type Deliverer struct {
	Options
	client *http.Client

	mu      sync.Mutex
	failing bool      // told that the handler fails, and not yet that it works again
	told    time.Time // when it was last told that the handler fails
}

// New returns a Deliverer.
func New(o Options) *Deliverer {
	if o.Now == nil {
		o.Now = time.Now
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = o.Concurrency
	return &Deliverer{Options: o, client: &http.Client{
		Transport: transport,
		// A redirect is an answer other than 2xx, and so a failure.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// maxLogged bounds how much of a payload is logged, in bytes.
const maxLogged = 256

// Deliver does the work on a message within ctx. After nil the message may be
// acknowledged. After an error it must be delivered again, but for *Refused, which no
// other delivery mends; *Unavailable says when, and that it is not the message's fault.
func (d *Deliverer) Deliver(ctx context.Context, m source.Message) error {
	level := slog.LevelDebug
	if d.HandlerURL == nil && d.WorkTime == 0 {
		level = slog.LevelInfo
	}
	attributes := []any{"id", m.ID, "bytes", len(m.Payload), "deliveries", m.Deliveries}
	if d.Log.Enabled(ctx, slog.LevelDebug) {
		attributes = append(attributes, "payload", m.Payload[:min(maxLogged, len(m.Payload))])
	}
	d.Log.Log(ctx, level, "message", attributes...)
	if err := work(ctx, d.WorkTime); err != nil {
		return err
	}
	if d.HandlerURL == nil {
		return nil
	}
	err := d.post(ctx, m)
	d.note(err)
	return err
}

func work(ctx context.Context, duration time.Duration) error {
	if duration == 0 {
		return nil
	}
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the work took too long: %w", ctx.Err())
	}
}

// maxReply bounds how much of a handler's reply is read so that its connection can be
// used again, in bytes.
const maxReply = 64 << 10

func (d *Deliverer) post(ctx context.Context, m source.Message) error {
	var connected atomic.Bool
	request, err := http.NewRequestWithContext(watch(ctx, &connected), http.MethodPost, d.HandlerURL.String(), strings.NewReader(m.Payload))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/octet-stream")
	request.Header.Set(HeaderMessageID, m.ID)
	request.Header.Set(HeaderChannel, m.Key)
	response, err := d.client.Do(request)
	if err != nil && !connected.Load() {
		return &Unavailable{Err: err}
	}
	if err != nil {
		return err // it names the URL, without a password
	}
	defer response.Body.Close()
	var reply bytes.Buffer
	_, _ = io.Copy(&reply, io.LimitReader(response.Body, maxReply)) // the status has decided already
	return outcome(response, reply.String(), d.Now())
}

// watch has connected say whether there is a connection to the handler. Without one nothing
// reached it; with one it may have died of the message, which must count as a delivery.
func watch(ctx context.Context, connected *atomic.Bool) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { connected.Store(false) }, // again where an idle connection turns out to be dead
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
}

// quietTime is the least time between two lines that say that the handler fails: where
// some messages fail and others don't, each would be news.
const quietTime = time.Minute

// note logs the handler's failure, and its return. A message that it refuses is none: its
// dead letter is told.
func (d *Deliverer) note(err error) {
	var refused *Refused
	failed := err != nil && !errors.As(err, &refused)
	now := d.Now()
	d.mu.Lock()
	fails := failed && !d.failing && (d.told.IsZero() || now.Sub(d.told) >= quietTime)
	works := !failed && d.failing
	if fails {
		d.failing, d.told = true, now
	} else if works {
		d.failing = false
	}
	d.mu.Unlock()
	switch {
	case fails:
		d.Log.Warn("the handler fails; messages will be delivered again", "error", err)
	case works:
		d.Log.Info("the handler works again")
	}
}
