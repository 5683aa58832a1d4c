// Package delivery does the work on a message: it posts it to a handler, works for a set
// time, or logs it.
package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
)

// Options configure a Deliverer.
type Options struct {
	// HandlerURL is where messages are posted; nil: nowhere.
	HandlerURL *url.URL
	// WorkTime is the time spent on each message, for demos.
	WorkTime time.Duration
	// Concurrency is how many messages are delivered at once, and how many requests the
	// handler is at work on, also of those whose time is up.
	Concurrency int
	// Credentials are what the handler lets the worker in by.
	Credentials Credentials
	// TLS of the handler.
	TLS TLS
	// Protocol is the version of HTTP; empty: Auto.
	Protocol Protocol
	// Format is how messages are posted; empty: Raw.
	Format Format
	// ContentType is the media type of payloads that don't name their own; empty:
	// application/octet-stream.
	ContentType string
	// EventType and EventSource are an event's type, DefaultEventType where empty, and
	// source, /queues/<key> where empty.
	EventType, EventSource string
	// AtMostOnce says that each message is delivered once at most, and that equal messages
	// may have the same ID.
	AtMostOnce bool
	Log        *slog.Logger
	// Now is the clock; nil: the system's.
	Now func() time.Time
}

// Deliverer delivers messages. It is safe for concurrent use.
type Deliverer struct {
	Options
	credentials *reread[http.Header]
	client      *reread[*client]
	failures    failures
	// slots holds a token for each request that has not returned.
	slots chan struct{}
	// http1 is whether the handler's last connection was of HTTP/1.1; false until there was one.
	http1 atomic.Bool

	mu      sync.Mutex
	failing bool      // told that the handler fails, and not yet that it works again
	told    time.Time // when it was last told that the handler fails
}

// New returns a Deliverer.
func New(o Options) *Deliverer {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Format, o.ContentType = cmp.Or(o.Format, Raw), cmp.Or(o.ContentType, octets)
	o.EventType, o.Protocol = cmp.Or(o.EventType, DefaultEventType), cmp.Or(o.Protocol, Auto)
	d := &Deliverer{Options: o, slots: make(chan struct{}, max(1, o.Concurrency))}
	d.credentials = &reread[http.Header]{now: o.Now, load: o.Credentials.read}
	d.client = &reread[*client]{now: o.Now, load: d.newClient}
	return d
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
	var refused *Refused
	final := errors.As(err, &refused)
	d.failures.note(m, err, final || d.AtMostOnce)
	if !errors.As(err, new(*Unavailable)) { // which the worker tells, who stops the intake
		d.note(err, err != nil && !final)
	}
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

// quietTime is the least time between two lines that say that the handler fails: where
// some messages fail and others don't, each would be news.
const quietTime = time.Minute

// note logs the handler's failure, and its return. A message that it refuses is none: its
// dead letter is told.
func (d *Deliverer) note(err error, failed bool) {
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
