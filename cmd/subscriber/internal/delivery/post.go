package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
)

// maxReply bounds how much of a handler's reply is read so that its connection can be
// used again, in bytes.
const maxReply = 64 << 10

// slotWait is how long a message waits for a slot. All slots are taken where requests whose
// time is up have not returned; the message's own time is for its work.
const slotWait = time.Second

// post returns within ctx. Its slot is free once the request has returned.
func (d *Deliverer) post(ctx context.Context, m source.Message) error {
	if err := d.takeSlot(ctx); err != nil {
		return err
	}
	began := time.Now()
	tracing, traced := d.posting(ctx)
	e := newExchange(tracing, d.Protocol, &d.http1)
	returned := make(chan error, 1)
	go func() { //nolint:contextcheck // what is on its way outlives the wait for it, and has a context of its own
		err := d.exchange(e, m)
		e.end()
		traced(err)
		<-d.slots
		returned <- err
	}()
	select {
	case err := <-returned:
		return err
	case <-ctx.Done():
	}
	sent := e.abandon(time.Since(began))
	if outcome, ok := e.decided(); ok {
		return outcome
	}
	if !sent {
		return &Unavailable{Err: fmt.Errorf("there was no connection in time: %w", ctx.Err())}
	}
	return fmt.Errorf("the handler %s did not answer in time: %w", withoutSecrets(d.HandlerURL), ctx.Err())
}

// takeSlot waits a little for a slot, where none is free.
func (d *Deliverer) takeSlot(ctx context.Context) error {
	select {
	case d.slots <- struct{}{}:
		return nil
	default:
	}
	waiting, cancel := context.WithTimeout(ctx, slotWait)
	defer cancel()
	select {
	case d.slots <- struct{}{}:
		return nil
	case <-waiting.Done():
		return &Unavailable{Err: fmt.Errorf("it is still at work on %d requests, as many as it may have at once", cap(d.slots))}
	}
}

// exchange sends the message, and reads the answer.
func (d *Deliverer) exchange(e *exchange, m source.Message) error {
	client, err := d.client.get()
	if err != nil {
		return &Unavailable{Err: err}
	}
	credentials, err := d.credentials.get()
	if err != nil {
		return &Unavailable{Err: err}
	}
	request, err := d.request(e.context(), m)
	if err != nil {
		return err
	}
	maps.Copy(request.Header, credentials)
	response, err := e.send(client, request, d.AtMostOnce)
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		failed.URL = withoutSecrets(d.HandlerURL) // it is told in logs, traces and dead letters
	}
	switch {
	case err == nil:
	case !e.connected():
		return &Unavailable{Err: err}
	case decline(err) != "":
		return &Unavailable{Err: fmt.Errorf("%s did not take the request: %s", withoutSecrets(d.HandlerURL), decline(err))}
	case e.heard():
		return &unreadable{url: withoutSecrets(d.HandlerURL), words: d.conceal(err.Error(), credentials), err: err}
	default:
		return err
	}
	defer response.Body.Close()
	if span := trace.SpanFromContext(e.ctx); span.IsRecording() {
		span.SetAttributes(attribute.Int("http.response.status_code", response.StatusCode))
	}
	if response.StatusCode == http.StatusUnauthorized {
		d.credentials.expire() // the token may just have been replaced
	}
	response.Status = d.conceal(response.Status, credentials)
	now := d.Now()
	e.decide(outcome(response, endless, now))
	var reply bytes.Buffer
	if response.StatusCode != http.StatusSwitchingProtocols { // of which the rest is no answer, and has no end
		_, _ = io.Copy(&reply, io.LimitReader(response.Body, maxReply)) // the status has decided already
	}
	return outcome(response, d.conceal(reply.String(), credentials), now)
}

// endless stands for the beginning of a body that did not end in time.
const endless = "an answer without an end"

// request is the message in the format that is set. What can't be put so is refused.
func (d *Deliverer) request(ctx context.Context, m source.Message) (*http.Request, error) {
	header := http.Header{}
	var body []byte
	omit := isAttribute
	switch d.Format {
	case Raw:
		mediaType, payload := content(m, d.ContentType)
		header.Set("Content-Type", mediaType)
		body = []byte(payload)
		omit = func(string) bool { return false }
	case CloudEventsBinary, CloudEventsStructured:
		e, err := toEvent(m, d.EventType, d.EventSource, d.ContentType)
		if err != nil {
			return nil, &Refused{Reason: fmt.Sprintf("its fields make no CloudEvent: %v: correct its publisher", err)}
		}
		body = e.Data()
		if d.Format == CloudEventsBinary {
			asBinary(e, header)
			break
		}
		header.Set("Content-Type", structured)
		if body, err = asStructured(e); err != nil {
			return nil, &Refused{Reason: fmt.Sprintf("it makes no CloudEvent: %v", err)}
		}
	default:
		return nil, fmt.Errorf("the format %q is unknown: report it as a fault", d.Format)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.HandlerURL.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	describe(header, m, d.AtMostOnce, omit)
	if failure := d.failures.last(m); failure != "" {
		header.Set(HeaderPreviousFailure, escape(failure[:min(maxFailure, len(failure))]))
	}
	propagate(ctx, header, m)
	request.Header = header
	return request, nil
}
