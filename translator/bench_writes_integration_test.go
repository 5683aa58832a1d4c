//go:build integration

package translator

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// write is one request that changed something, as it went over the wire.
type write struct {
	method string
	path   string // with its query
	header http.Header
	body   []byte
	uid    string // of the object in the answer
}

// writes counts the requests of a controller, and may keep its writes whole, so that a bare
// client can send the very same.
type writes struct {
	keep bool // keeps them whole

	mu    sync.Mutex
	count int            // of writes
	kinds map[string]int // of all requests, by method, resource and a write's answer
	last  time.Time      // when the last one was answered
	kept  map[string][]write
}

func newWrites(keep bool) *writes {
	return &writes{keep: keep, kinds: map[string]int{}, kept: map[string][]write{}}
}

// config is a copy whose clients' writes are counted.
func (w *writes) config(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return counted{writes: w, next: next} })
	return config
}

// counted is one client's transport.
type counted struct {
	*writes
	next http.RoundTripper
}

func (w counted) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodGet {
		w.mu.Lock()
		w.kinds[fmt.Sprintf("%s %s", request.Method, resourceOf(request.URL.Path))]++
		w.mu.Unlock()
		return w.next.RoundTrip(request)
	}
	channel := channelOf(request.URL.Path)
	one := write{method: request.Method, path: request.URL.RequestURI(), header: request.Header.Clone()}
	if w.keep {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, err
		}
		one.body, request.Body = body, io.NopCloser(bytes.NewReader(body))
	}
	response, err := w.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if w.keep {
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return nil, err
		}
		response.Body = io.NopCloser(bytes.NewReader(body))
		if one.uid, _, err = identity(body); err != nil {
			return nil, fmt.Errorf("%s %s: %w", one.method, one.path, err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count++
	w.kinds[fmt.Sprintf("%s %s %d", request.Method, resourceOf(request.URL.Path), response.StatusCode)]++
	w.last = time.Now()
	if w.keep {
		w.kept[channel] = append(w.kept[channel], one)
	}
	return response, nil
}

// untilQuiet waits until there were at least so many writes and then none for benchQuiet,
// and returns when the last was answered.
func (w *writes) untilQuiet(b *testing.B, least int) time.Time {
	b.Helper()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for began := time.Now(); ; <-ticker.C {
		w.mu.Lock()
		count, last := w.count, w.last
		w.mu.Unlock()
		if count >= least && time.Since(last) > benchQuiet {
			return last
		}
		if time.Since(began) > benchPatience {
			b.Fatalf("%d writes within %s", count, benchPatience)
		}
	}
}

// channelOf is the channel to whose objects a path leads.
func channelOf(path string) string {
	_, name, _ := strings.Cut(path, "/namespaces/")
	parts := strings.Split(name, "/")
	if len(parts) < 3 {
		return ""
	}
	return strings.TrimSuffix(parts[2], "-subscriber")
}

// resourceOf is the resource of a path, with its subresource.
func resourceOf(path string) string {
	_, rest, _ := strings.Cut(path, "/namespaces/")
	parts := strings.Split(rest, "/")
	switch len(parts) {
	case 2, 3:
		return parts[1]
	case 4:
		return parts[1] + "/" + parts[3]
	default:
		return path
	}
}
