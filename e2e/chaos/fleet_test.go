package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

const (
	// messageTimeout is the workers'; docs/subscriber.md has its unit and its default.
	messageTimeout = 5 * time.Second
	// grace is how long a pod has from SIGTERM on: messageTimeout and 5 s.
	grace = messageTimeout + 5*time.Second
	// concurrency is how many messages a worker has in flight.
	concurrency = 4
)

// worker is a process of the subscriber. Its name tells it from each before it, also where the name that
// the server knows is the same.
type worker struct {
	name, pod string
	cmd       *exec.Cmd
	ended     chan struct{}
}

// seat has one worker after the other, as a pod of a Deployment of a fixed size.
type seat struct {
	path *slowPath

	mu     sync.Mutex // while one fault is at the worker, no other is
	worker *worker
	past   []delivery // when each worker began; under fleet.mu
}

// fleet are the workers of one queue.
type fleet struct {
	t       *testing.T
	program string
	kind    queue.Kind
	handler *handler
	log     *os.File
	seats   []*seat

	mu     sync.Mutex
	serial int
}

// startFleet starts workers, each of which has its own way to the server.
func startFleet(t *testing.T, f *fleet, paths []*slowPath) {
	t.Helper()
	f.t = t
	for _, path := range paths {
		s := &seat{path: path}
		f.seats = append(f.seats, s)
		f.start(s, false)
	}
	t.Cleanup(func() {
		for _, s := range f.seats {
			s.mu.Lock()
			s.worker.kill()
			s.mu.Unlock()
		}
	})
}

// start starts the seat's next worker: a new pod, or the same one's next container, which has the same name.
func (f *fleet) start(s *seat, samePod bool) {
	f.mu.Lock()
	f.serial++
	w := &worker{name: fmt.Sprint("w", f.serial), ended: make(chan struct{})}
	f.mu.Unlock()
	w.pod = w.name
	if samePod {
		w.pod = s.worker.pod
	}
	w.cmd = exec.Command(f.program)
	w.cmd.Env = []string{
		"REDIS_ADDR=" + s.path.Addr, "CHANNEL=" + key, "POD_NAME=" + w.pod, "HEALTH_PORT=0",
		"QUEUE_TYPE=" + map[queue.Kind]string{queue.List: "List", queue.Stream: "Stream"}[f.kind],
		"HANDLER_URL=" + f.handler.url(w.name),
		fmt.Sprint("MESSAGE_TIMEOUT=", int(messageTimeout.Seconds())), fmt.Sprint("CONCURRENCY=", concurrency),
		"LOG_FORMAT=text", "LOG_LEVEL=" + *logLevel,
	}
	w.cmd.Stderr = f.log
	dieWithParent(w.cmd)
	require.NoError(f.t, w.cmd.Start())
	fmt.Fprintf(f.log, "time=%s msg=\"a worker starts\" worker=%s pod=%s pid=%d\n", time.Now().Format(time.RFC3339Nano), w.name, w.pod, w.cmd.Process.Pid)
	go func() {
		_ = w.cmd.Wait() // its state has the exit code
		close(w.ended)
	}()
	s.worker = w
	f.mu.Lock()
	defer f.mu.Unlock()
	s.past = append(s.past, delivery{time.Now(), w.name})
}

// nameAt is the name of a seat's worker at that time.
func (f *fleet) nameAt(seat int, at time.Time) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := "none"
	for _, began := range f.seats[seat].past {
		if began.at.Before(at) {
			name = began.worker
		}
	}
	return name
}

func (w *worker) kill() {
	_ = w.cmd.Process.Kill() // it may have ended
	<-w.ended
}

// terminate ends the worker as a kubelet does, and tells what was wrong with how it went; nil: nothing.
func (w *worker) terminate() error {
	began := time.Now()
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("worker %s had ended by itself: %w", w.name, err)
	}
	select {
	case <-w.ended:
	case <-time.After(2 * grace): // this machine is slower than a node
		w.kill()
		return fmt.Errorf("worker %s did not end within %s of SIGTERM", w.name, 2*grace)
	}
	if code := w.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("worker %s ended with exit code %d, %s after SIGTERM", w.name, code, time.Since(began))
	}
	return nil
}

// pick takes a random worker that no other fault is at; nil where there is none.
func (f *fleet) pick(rng *rand.Rand) *seat {
	for _, i := range rng.Perm(len(f.seats)) {
		if f.seats[i].mu.TryLock() {
			return f.seats[i]
		}
	}
	return nil
}
