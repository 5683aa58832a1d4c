package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/delivery"
)

// asSubscriber makes the test binary run main in place of the tests.
const asSubscriber = "SUBSCRIBER_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asSubscriber) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// rowOff names the row that internal/mutation has taken away, also for the workers.
const rowOff = "PUBSUB_ROW_OFF"

const (
	key     = "orders"
	patient = 2 * time.Minute // for what must happen
	often   = 10 * time.Millisecond
)

// subscriber is a worker in a process of its own.
type subscriber struct {
	t     *testing.T
	cmd   *exec.Cmd
	log   *syncBuffer
	ended chan struct{}
}

type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// start runs a worker with those settings beside those that all have.
func start(t *testing.T, addr, name string, env ...string) *subscriber {
	t.Helper()
	s := &subscriber{t: t, cmd: exec.Command(os.Args[0]), log: &syncBuffer{}, ended: make(chan struct{})}
	s.cmd.Env = append([]string{asSubscriber + "=1", "REDIS_ADDR=" + addr, "CHANNEL=" + key, "POD_NAME=" + name, "HEALTH_PORT=0", rowOff + "=" + os.Getenv(rowOff)}, env...)
	s.cmd.Stderr = s.log
	require.NoError(t, s.cmd.Start())
	go func() {
		_ = s.cmd.Wait() // the exit code is read from its state
		close(s.ended)
	}()
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("worker %s:\n%s", name, s.log)
		}
	})
	return s
}

// kill ends the process without any chance to clean up.
func (s *subscriber) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.ended
}

func (s *subscriber) terminate() {
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
}

// exitCode waits for the end.
func (s *subscriber) exitCode() int {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(patient):
		s.t.Fatalf("the worker did not end:\n%s", s.log)
	}
	return s.cmd.ProcessState.ExitCode()
}

func (s *subscriber) awaitLog(text string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return strings.Contains(s.log.String(), text) }, patient, often, text)
}

// handler receives messages over HTTP and counts them by payload.
type handler struct {
	URL string

	mu     sync.Mutex
	counts map[string]int
	ids    map[string]string
	order  []string
}

// handle starts a handler whose answer decides the status of each delivery; n is how
// often that payload has come, from 1.
func handle(t *testing.T, answer func(payload string, n int) int) *handler {
	t.Helper()
	h := &handler{counts: map[string]int{}, ids: map[string]string{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		payload := string(body)
		want, _, several := strings.Cut(payload, "/") // a message of several queues names its own
		if !several {
			want = key
		}
		if r.Header.Get(delivery.HeaderChannel) != want {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		h.mu.Lock()
		h.counts[payload]++
		h.order = append(h.order, payload)
		h.ids[payload] = r.Header.Get(delivery.HeaderMessageID)
		n := h.counts[payload]
		h.mu.Unlock()
		w.WriteHeader(answer(payload, n))
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	h.URL = server.URL
	return h
}

func ok(string, int) int { return http.StatusOK }

// hold answers OK once release is closed.
func hold(release <-chan struct{}) func(string, int) int {
	return func(string, int) int {
		<-release
		return http.StatusOK
	}
}

// handleNever starts a handler that does not answer while the test runs.
func handleNever(t *testing.T) *handler {
	t.Helper()
	never := make(chan struct{})
	h := handle(t, hold(never))
	t.Cleanup(func() { close(never) }) // before the handler's server is closed, which waits for it
	return h
}

func (h *handler) count(payload string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts[payload]
}

// inOrder are the payloads as they came.
func (h *handler) inOrder() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.order)
}

// received is how many different payloads came.
func (h *handler) received() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.counts)
}

// kindOfQueue has what differs between lists and streams in the tests.
type kindOfQueue struct {
	name    string
	publish func(t *testing.T, client *redis.Client, payload string)
	// left is how many messages wait or are held, -1 if the server doesn't say.
	left func(t *testing.T, client *redis.Client) int64
	// abandon makes the worker's messages look as if it had been gone for long.
	abandon func(t *testing.T, client *redis.Client, worker string)
	dead    func(t *testing.T, client *redis.Client) []string
	// consumers that are registered.
	consumers func(t *testing.T, client *redis.Client) []string
}
