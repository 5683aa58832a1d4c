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
}

// Deliverer delivers messages. It is safe for concurrent use.
type Deliverer struct {
	Options
	client *http.Client

	mu      sync.Mutex
	failing bool      // the handler's last answer; its changes are logged
	told    time.Time // when a failure last was
	quiet   bool      // this one was not, so soon after
}

// New returns a Deliverer.
func New(o Options) *Deliverer {
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
// acknowledged; after an error it must be delivered again.
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

// ErrUnreached is in the chain of an error of a handler to which there was no connection: not the
// message's fault.
var ErrUnreached = errors.New("the handler can't be reached")

func (d *Deliverer) post(ctx context.Context, m source.Message) error {
	connected := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.HandlerURL.String(), strings.NewReader(m.Payload))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/octet-stream")
	request.Header.Set(HeaderMessageID, m.ID)
	request.Header.Set(HeaderChannel, m.Key)
	response, err := d.client.Do(request)
	if err != nil && !connected {
		return fmt.Errorf("%w: %w", ErrUnreached, err)
	}
	if err != nil {
		return err // it names the URL, without a password
	}
	defer response.Body.Close()
	var reply bytes.Buffer
	_, _ = io.Copy(&reply, io.LimitReader(response.Body, maxReply)) // the status has decided already
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("the handler %s answered %s: %.200q", d.HandlerURL.Redacted(), response.Status, reply.String())
	}
	return nil
}

// quietAfterLog is how long a handler that fails now and then is not told of again.
const quietAfterLog = time.Minute

// note logs the handler's failure once, and its return. Whether it can be reached is another's to
// tell.
func (d *Deliverer) note(err error) {
	if errors.Is(err, ErrUnreached) {
		return
	}
	d.mu.Lock()
	changed := d.failing != (err != nil)
	d.failing = err != nil
	if changed && err != nil {
		if d.quiet = !d.told.IsZero() && time.Since(d.told) < quietAfterLog; !d.quiet {
			d.told = time.Now()
		}
	}
	changed = changed && !d.quiet
	d.mu.Unlock()
	switch {
	case changed && err != nil:
		d.Log.Warn("the handler fails; messages will be delivered again", "error", err)
	case changed:
		d.Log.Info("the handler works again")
	}
}
