package chaos

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

var (
	messages = flag.Int("messages", 2000, "messages of each kind of queue, 1,000 at least")
	rate     = flag.Int("rate", 500, "messages that are published each second, of each kind")
	faultsOf = flag.String("faults", "all", `faults, separated by commas; or "all" or "none"`)
	seed     = flag.Uint64("seed", 0, "what faults are drawn from; 0: another each time")
	workers  = flag.Int("workers", 5, "workers of each queue")
	out      = flag.String("out", "", "the folder for the report and the workers' log")
	logLevel = flag.String("log", "info", "the workers' LOG_LEVEL")
	existing = flag.String("program", "", "the subscriber to run, of another version for example; empty: it is built")
	only     = flag.String("kind", "", `"list" or "stream"; empty: both`)
)

// The faults' end is when all messages are published. What remains then has this time.
const drainWithin = 15 * time.Minute

// tellEvery is how often the log is told what remains.
const tellEvery = 5 * time.Second

// TestChaos publishes numbered messages while faults are made, and accounts for each of them.
func TestChaos(t *testing.T) {
	faults, err := parseFaults(*faultsOf)
	require.NoError(t, err)
	program := prepare(t)
	for i, kind := range []queue.Kind{queue.List, queue.Stream} {
		if *only != "" && *only != string(kind) {
			continue
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			run(t, kind, program, plan{messages: *messages, rate: *rate, faults: faults, salt: uint64(i)})
		})
	}
}

// TestPowerLoss accounts for a tenth of the messages, on servers that lose what they wrote last. It may bring messages again, and
// no message, count or dead letter may be wrong, and nothing may stay: what a worker knows is then newer than what the server knows.
func TestPowerLoss(t *testing.T) {
	program := prepare(t)
	for i, kind := range []queue.Kind{queue.List, queue.Stream} {
		if *only != "" && *only != string(kind) {
			continue
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			run(t, kind, program, plan{
				messages: max(1000, *messages/10), rate: max(1, *rate/4), faults: []fault{power, kill, fail20}, salt: uint64(2 + i),
			})
		})
	}
}

// prepare returns the program to run.
func prepare(t *testing.T) (program string) {
	t.Helper()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("to repeat: make chaos MESSAGES=%d RATE=%d FAULTS=%s SEED=%d", *messages, *rate, *faultsOf, *seed)
	redis.SetLogger(silent{})
	if *existing != "" {
		return *existing
	}
	return buildSubscriber(t)
}

// silent takes go-redis's own log lines, one for each attempt to reach a server that is away.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// buildSubscriber builds the program as the image has it.
func buildSubscriber(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "subscriber")
	build := exec.CommandContext(t.Context(), "go", "-C", "../..", "build", "-trimpath", "-o", program, "./cmd/subscriber")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	text, err := build.CombinedOutput()
	require.NoError(t, err, string(text))
	return program
}

// scene is everything of one kind of queue.
type scene struct {
	kind      queue.Kind
	wasFull   bool // oom is among the faults
	forgetful bool // power is
	server    *redistest.Server
	ledger    *ledger
	fleet     *fleet
	paths     []*slowPath
	publisher *publisher
	reader    *reader
	injector  *injector
	history   *history
}

// plan is what a run does.
type plan struct {
	messages, rate int
	faults         []fault
	salt           uint64 // what makes its draws others than another run's
}

// name is that of the report and of the log.
func (s *scene) name() string {
	if s.forgetful {
		return string(s.kind) + "-power"
	}
	return string(s.kind)
}

func run(t *testing.T, kind queue.Kind, program string, p plan) {
	s, draw := newScene(t, kind, program, p)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Duration(p.messages/p.rate)*time.Second+drainWithin)
	defer cancel()
	watching, stopWatching := context.WithCancel(ctx)
	faulty, calm := context.WithCancel(ctx)
	var faulting, beside sync.WaitGroup
	defer beside.Wait()
	defer stopWatching()
	defer faulting.Wait()
	defer calm()
	beside.Go(func() { s.reader.watch(watching) })
	for _, kind := range p.faults {
		rng := draw()
		faulting.Go(func() { s.injector.run(faulty, kind, rng) })
	}
	err := s.publisher.run(ctx)
	calm()
	faulting.Wait()
	published := time.Now()
	if err == nil {
		err = s.publisher.run(ctx) // what the server forgot at last
	}
	if err == nil {
		err = s.drain(ctx)
	}
	drained := time.Since(published)
	stopWatching()
	beside.Wait()
	r := s.report(t, drained, err)
	t.Log(r.text)
	if *out != "" {
		require.NoError(t, os.WriteFile(filepath.Join(*out, s.name()+".txt"), []byte(r.text), 0o644))
	}
	require.Empty(t, r.faults)
}

// newScene starts everything. draw returns another source of random numbers each time.
func newScene(t *testing.T, kind queue.Kind, program string, p plan) (s *scene, draw func() *rand.Rand) {
	t.Helper()
	draws := uint64(0)
	draw = func() *rand.Rand {
		draws++
		return rand.New(rand.NewPCG(*seed, p.salt<<32|draws))
	}
	// Without "always": what a process has written survives its SIGKILL, whether it was synced to the disk or
	// not. "everysec" may delay the write itself.
	s = &scene{kind: kind, wasFull: slices.Contains(p.faults, oom), forgetful: slices.Contains(p.faults, power), history: &history{start: time.Now()}}
	// What a server forgot comes with another ID, by which equal messages are told apart.
	s.ledger = newLedger(p.messages, s.forgetful)
	s.server = redistest.Start(t, "--appendonly", "yes", "--appendfsync", "no")
	folder := *out
	if folder == "" {
		folder = t.TempDir()
	}
	log, err := os.Create(filepath.Join(folder, s.name()+".log"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	s.fleet = &fleet{program: program, kind: kind, handler: startHandler(t, s.ledger, draw()), log: log}
	for i := range *workers {
		s.paths = append(s.paths, startSlowPath(t, s.server.Addr, draw(), func(from, to time.Time) {
			s.history.add(event{kind: late, worker: s.fleet.nameAt(i, from), from: from, to: to})
		}))
	}
	startFleet(t, s.fleet, s.paths)
	client := newClient(t, s.server.Addr)
	s.publisher = &publisher{kind: kind, client: client, ledger: s.ledger, rate: p.rate}
	s.reader = newReader(t, s.server.Addr, kind, s.ledger)
	s.injector = &injector{server: s.server, client: client, fleet: s.fleet, handler: s.fleet.handler, history: s.history, ledger: s.ledger}
	return s, draw
}

// drain waits until every message is done and nothing is left, and what was late has come, too.
func (s *scene) drain(ctx context.Context) error {
	told := time.Now()
	for _, path := range s.paths {
		path.hold(0)
	}
	for round := range 2 {
		for {
			left, err := s.left(ctx)
			if err == nil && left == "" {
				break
			}
			if time.Since(told) > tellEvery {
				told = time.Now()
				fmt.Fprintf(s.fleet.log, "left at %s: %s (%v)\n", told.Format(time.StampMilli), left, err)
			}
			if !spend(ctx, tick) {
				return fmt.Errorf("time was up, and there was left: %s: %w", left, cmp.Or(err, ctx.Err()))
			}
		}
		if round > 0 {
			return nil
		}
		for _, path := range s.paths {
			path.await(ctx)
		}
	}
	return nil
}
