package delivery

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Refused is the error of a message that the handler will never take: no retry mends it.
//
//nolint:errname // it is the outcome of a delivery, beside Unavailable
type Refused struct {
	// Status is the answer's, 400 to 499.
	Status int
	// Reason is the answer's status line and the beginning of its body.
	Reason string
	answer error // an *answered; nil: the message never reached the handler
}

func (e *Refused) Error() string { return "the handler refuses the message: " + e.Reason }

func (e *Refused) Unwrap() error { return e.answer }

// Unavailable is the error of a handler that is away, overloaded or does not let this
// worker in: it says nothing about the message.
//
//nolint:errname // it is the outcome of a delivery, beside Refused
type Unavailable struct {
	// RetryAfter is how long the handler asks to be left alone, at most MaxRetryAfter; 0
	// where it does not say.
	RetryAfter time.Duration
	Err        error
}

func (e *Unavailable) Error() string { return "the handler is unavailable: " + e.Err.Error() }

func (e *Unavailable) Unwrap() error { return e.Err }

// answered is an answer that is no success.
type answered struct {
	url    string
	code   int
	status string // the code and the handler's own words
	body   string // the beginning of it
}

// maxAnswer is how many bytes of an answer's body are told.
const maxAnswer = 200

func (e *answered) Error() string {
	return fmt.Sprintf("%s answered %.100s: %.*q", e.url, e.status, maxAnswer, e.body)
}

// unreadable is an answer that is none of HTTP, or that ended too early. net/http cites what it could not read, a line of
// any length.
type unreadable struct {
	url   string
	words string // without secrets
	err   error
}

// maxUnreadable is how many bytes are told of what is wrong with such an answer.
const maxUnreadable = 300

func (e *unreadable) Error() string {
	return fmt.Sprintf("%s gave an answer that can't be read: %.*s", e.url, maxUnreadable, e.words)
}

func (e *unreadable) Unwrap() error { return e.err }

// WithoutAnswer is an error in words, without the handler's own. They may repeat the message, and so tell of a person:
// a trace is read by others than the queue, and is kept elsewhere.
func WithoutAnswer(err error) string {
	if cited := (*unreadable)(nil); errors.As(err, &cited) {
		return strings.Replace(err.Error(), cited.Error(), cited.url+" gave an answer that can't be read", 1)
	}
	var answer *answered
	if !errors.As(err, &answer) {
		return err.Error()
	}
	told := strings.TrimSpace(fmt.Sprintf("%s answered %d %s", answer.url, answer.code, http.StatusText(answer.code)))
	return strings.Replace(err.Error(), answer.Error(), told, 1)
}

// MaxRetryAfter bounds what a handler may ask for by Retry-After: one that answers nonsense
// must not stop its queue for a day.
const MaxRetryAfter = 5 * time.Minute

// outcome is what the answer says of the message; nil: it is done. body is the beginning of
// the answer's.
//
// A status of 4xx says that the request is at fault (RFC 9110, 15.5), and it will be the
// same next time. Not so where the request came too slowly (408) or too early (425), where
// there were too many (429), and where the handler does not let the worker in (401, 407):
// that is not the message's fault, and a token may be replaced.
func outcome(response *http.Response, body string, now time.Time) error {
	status := response.StatusCode
	answer := &answered{withoutSecrets(response.Request.URL), status, response.Status, body}
	switch {
	case status >= 200 && status <= 299:
		return nil
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable,
		status == http.StatusUnauthorized, status == http.StatusProxyAuthRequired:
		return &Unavailable{RetryAfter: retryAfter(response.Header, now), Err: answer}
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly:
	case status >= 400 && status <= 499:
		return &Refused{Status: status, Reason: answer.Error(), answer: answer}
	}
	return fmt.Errorf("the handler %w", answer)
}

// retryAfter reads Retry-After, which is a number of seconds or a date (RFC 9110, 10.2.3).
// A date counts from the answer's own, where it has one: two clocks may differ by more than
// the handler means.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	if digits := strings.Trim(value, "0123456789") == ""; digits && value != "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(MaxRetryAfter/time.Second) {
			return MaxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if sent, err := http.ParseTime(header.Get("Date")); err == nil {
		now = sent
	}
	return min(max(0, at.Sub(now)), MaxRetryAfter)
}
