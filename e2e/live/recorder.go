package live

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// delivery is one request of a worker to the handler.
type delivery struct {
	number     int64
	worker     string        // the address of its connection
	sent       time.Time     // as the message itself says
	start, end time.Time     // of the work
	work       time.Duration // that was asked for
}

// recorder is the workers' handler: it works on each message for as long as the message says, and
// writes down when.
type recorder struct {
	now func() time.Time

	mu         sync.Mutex
	deliveries []delivery
	strange    int // requests that were none of the publisher's messages
}

// timed is the publisher's payload with --work-time (docs/publisher.md).
type timed struct {
	Number                 int64
	SentMicros, WorkMicros int64
}

// maxPayload bounds what is read of a request, in bytes.
const maxPayload = 4096

func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	start := r.now()
	var message timed
	body, err := io.ReadAll(io.LimitReader(request.Body, maxPayload))
	if err == nil {
		err = json.Unmarshal(body, &message)
	}
	if err != nil || message.SentMicros == 0 {
		r.mu.Lock()
		r.strange++
		r.mu.Unlock()
		http.Error(w, "no message of the publisher with --work-time", http.StatusBadRequest)
		return
	}
	work := time.Duration(message.WorkMicros) * time.Microsecond
	if err := wait(request.Context(), work); err != nil {
		return // the worker has gone, and another gets the message
	}
	d := delivery{number: message.Number, worker: request.RemoteAddr, sent: time.UnixMicro(message.SentMicros), start: start, end: r.now(), work: work}
	r.mu.Lock()
	r.deliveries = append(r.deliveries, d)
	r.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// all are the deliveries so far, in the order in which they ended.
func (r *recorder) all() []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.deliveries)
}

// count is how many deliveries have ended.
func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.deliveries)
}

// listen serves the handler at an address that pods reach, until stop is called.
func (r *recorder) listen(ctx context.Context, address string) (url string, stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // which ends with Close
	}()
	return "http://" + listener.Addr().String(), func() {
		_ = server.Close() // nothing is at work any more that counts
		<-done
	}, nil
}

func wait(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
