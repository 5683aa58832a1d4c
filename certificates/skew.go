package certificates

import (
	"net/http"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// A ServerClock knows how far a clock is ahead of that of the API server, by the Date of its
// answers (RFC 9110, section 6.6.1). That has whole seconds, and is as late as the answer was.
type ServerClock struct {
	clock clock.PassiveClock

	mu    sync.Mutex
	ahead time.Duration
	known bool
}

// NewServerClock compares the API server's clock with this one.
func NewServerClock(own clock.PassiveClock) *ServerClock { return &ServerClock{clock: own} }

// Skew is how far the clock was ahead of the API server's at its last answer; negative: it was
// behind. It is unknown as long as no answer had a Date.
func (s *ServerClock) Skew() (ahead time.Duration, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ahead, s.known
}

// Wrap reads the answers that pass through; nil is http.DefaultTransport.
func (s *ServerClock) Wrap(transport http.RoundTripper) http.RoundTripper {
	if transport == nil {
		transport = http.DefaultTransport
	}
	return &dated{transport, s}
}

// dated is a transport whose answers a ServerClock reads.
type dated struct {
	transport http.RoundTripper
	server    *ServerClock
}

func (d *dated) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := d.transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		ahead := d.server.clock.Now().Sub(date)
		d.server.mu.Lock()
		d.server.ahead, d.server.known = ahead, true
		d.server.mu.Unlock()
	}
	return response, nil
}
