package connect

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// headerStep is what the header Date cuts off: it has whole seconds (RFC 9110, 5.6.7).
const headerStep = time.Second

// sameClock is a difference that the header may show between clocks that are the same, and that no age or
// cooldown is wrong by to a reader.
const sameClock = 2 * time.Second

// clock tells the cluster's time. Whatever a status says of times is by the clocks of the cluster, and this
// machine's may be another one: with one that is ahead, each cooldown would look over and each status old.
// The header Date of each answer of the API server tells how far the two are apart.
type clock struct {
	local func() time.Time // this machine's

	mu sync.Mutex
	// The cluster's time less this machine's is between the two, once it is known.
	least, most time.Duration
	known       bool
}

// see takes the date of an answer to a request. The server wrote it between the two moments.
func (c *clock) see(date, sent, received time.Time) {
	least, most := date.Sub(received), date.Add(headerStep).Sub(sent)
	if least > most {
		return // this machine's clock was set back meanwhile
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known && least <= c.most && c.least <= most { // what both say is closer; if they exclude each other, a clock was set
		least, most = max(least, c.least), min(most, c.most)
	}
	c.least, c.most, c.known = least, most, true
}

// skew is how far the cluster's clock is ahead of this machine's; 0 if they may be the same.
func (c *clock) skew() (skew time.Duration, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.least < sameClock && -sameClock < c.most {
		return 0, c.known
	}
	return c.least + (c.most-c.least)/2, c.known
}

// wrap has the clock see the answers to a client's requests.
func (c *clock) wrap(next http.RoundTripper) http.RoundTripper {
	return &clockReader{clock: c, next: next}
}

type clockReader struct {
	clock *clock
	next  http.RoundTripper
}

func (r *clockReader) RoundTrip(request *http.Request) (*http.Response, error) {
	sent := r.clock.local()
	response, err := r.next.RoundTrip(request)
	if err != nil {
		return response, err
	}
	if date, wrong := http.ParseTime(response.Header.Get("Date")); wrong == nil { // a tunnel's answer has none
		r.clock.see(date, sent, r.clock.local())
	}
	return response, nil
}

// WrappedRoundTripper lets client-go find the transport below, for its TLS and idle connections.
func (r *clockReader) WrappedRoundTripper() http.RoundTripper { return r.next }

// Now is the time by the cluster's clock, as far as the API server has told it: until it has answered, and of
// a nil Cluster, it is this machine's. Compare with it what the cluster says of times.
func (c *Cluster) Now() time.Time {
	if c == nil {
		return time.Now()
	}
	skew, _ := c.clock.skew()
	return c.clock.local().Add(skew)
}

// Skew is how far the cluster's clock is ahead of this machine's; 0 if they may be the same. It is not known
// until the API server has answered.
func (c *Cluster) Skew() (skew time.Duration, known bool) { return c.clock.skew() }

// LearnTime asks the API server something, if it has told no time yet. It returns no error: if nothing is
// learned, this machine's clock has to do, and what the API server can't be asked shows with what it is asked next.
func (c *Cluster) LearnTime(ctx context.Context) {
	if c == nil {
		return
	}
	if _, known := c.clock.skew(); !known {
		_, _ = c.ServerVersion(ctx)
	}
}
