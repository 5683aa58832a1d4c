package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

// injector makes one kind of fault after the other, until it is told to stop. When it returns, what it
// did is mended.
type injector struct {
	server  *redistest.Server
	client  *redis.Client
	fleet   *fleet
	handler *handler
	history *history
	ledger  *ledger

	mu       sync.Mutex
	problems []string // workers that did not end as they should
}

// between draws a time.
func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)))
}

// pauses are the bounds of the time between two faults of a kind.
var pauses = map[fault][2]time.Duration{
	kill:        {2 * time.Second, 5 * time.Second},
	freeze:      {5 * time.Second, 15 * time.Second},
	late:        {time.Second, 4 * time.Second},
	restart:     {15 * time.Second, 35 * time.Second},
	connections: {3 * time.Second, 8 * time.Second},
	oom:         {15 * time.Second, 40 * time.Second},
	outage:      {20 * time.Second, 45 * time.Second},
	fail20:      {15 * time.Second, 40 * time.Second},
	fail5:       {10 * time.Second, 30 * time.Second},
	term:        {4 * time.Second, 10 * time.Second},
	power:       {2 * time.Second, 8 * time.Second},
}

// run makes faults of a kind until ctx ends.
func (i *injector) run(ctx context.Context, kind fault, rng *rand.Rand) {
	for turn := 0; spend(ctx, between(rng, pauses[kind][0], pauses[kind][1])); turn++ {
		e := event{kind: kind, from: time.Now()}
		switch kind {
		case kill, freeze, late, term:
			if e.worker = i.atWorker(ctx, kind, rng, turn); e.worker == "" {
				continue // others are at all of them; what is late is noted when it is over
			}
		case restart:
			i.restart(ctx, rng)
		case power:
			i.losePower(ctx, rng)
		case connections:
			i.endConnections(ctx, rng)
		case oom:
			i.client.ConfigSet(ctx, "maxmemory", "1") // where it fails, there is no fault
			spend(ctx, between(rng, 3*time.Second, 12*time.Second))
			i.makeRoom()
		case outage:
			i.handler.close()
			spend(ctx, between(rng, 2*time.Second, 15*time.Second))
			i.handler.open()
		case fail20, fail5:
			i.handler.fail(map[fault]int{fail20: 20, fail5: 5}[kind])
			spend(ctx, between(rng, 5*time.Second, 15*time.Second))
			i.handler.fail(0)
		}
		e.to = time.Now()
		i.history.add(e)
	}
}

// makeRoom ends the server's being full, which a server that was started anew is not.
func (i *injector) makeRoom() {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if i.client.ConfigSet(context.Background(), "maxmemory", "0").Err() == nil {
			return
		}
		spend(context.Background(), often)
	}
}

// atWorker makes a fault at one worker, and returns its name.
func (i *injector) atWorker(ctx context.Context, kind fault, rng *rand.Rand, turn int) string {
	s := i.fleet.pick(rng)
	if kind == term { // one after the other
		if s != nil {
			s.mu.Unlock()
		}
		s = i.fleet.seats[turn%len(i.fleet.seats)]
		s.mu.Lock()
	}
	if s == nil {
		return ""
	}
	defer s.mu.Unlock()
	name := s.worker.name
	switch kind {
	case late:
		s.path.hold(1 + rng.IntN(3))
		return ""
	case kill:
		s.worker.kill()
		i.fleet.start(s, rng.IntN(2) == 0)
	case term:
		if err := s.worker.terminate(); err != nil {
			i.problem(err.Error())
		}
		i.fleet.start(s, false)
	case freeze:
		_ = s.worker.cmd.Process.Signal(syscall.SIGSTOP) // it runs
		spend(ctx, between(rng, lease+time.Second, lease+15*time.Second))
		_ = s.worker.cmd.Process.Signal(syscall.SIGCONT)
	default: // the others are not at a worker
	}
	return name
}

func (i *injector) problem(text string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.problems = append(i.problems, text)
}

// restart kills the server. One time in eight it is away for longer than the lease.
func (i *injector) restart(ctx context.Context, rng *rand.Rand) {
	away := between(rng, 100*time.Millisecond, 4*time.Second)
	if rng.IntN(8) == 0 {
		away = between(rng, lease+time.Second, lease+10*time.Second)
	}
	i.server.Kill()
	spend(ctx, away)
	i.server.Restart()
}

// losePower ends the server, and has it start again without some of what it wrote in its last second and a half. A machine that loses
// its power has written what was synced (appendfsync everysec), up to any byte of it.
func (i *injector) losePower(ctx context.Context, rng *rand.Rand) {
	_, before := i.server.AppendOnlyFile()
	spend(ctx, between(rng, 0, 1500*time.Millisecond))
	i.ledger.undo(func() {
		i.server.Kill()
		file, size := i.server.AppendOnlyFile()
		if size > before {
			if err := os.Truncate(file, before+rng.Int64N(size-before)); err != nil {
				i.problem(err.Error())
			}
		}
		spend(ctx, between(rng, 100*time.Millisecond, 2*time.Second))
		i.server.Restart()
	})
	i.rewrite()
}

// rewrite has the server write its append-only file anew, as docs/subscriber.md says. Of a transaction that was cut in the
// middle of a command Redis 7.0 leaves the beginning in its file: it executes that at the next start, before what came
// later, and so loses messages that it had taken since (https://github.com/valkey-io/valkey/pull/4342).
func (i *injector) rewrite() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for err := errors.New(""); err != nil; spend(ctx, often) {
		if err = i.client.BgRewriteAOF(ctx).Err(); ctx.Err() != nil { // a server that starts refuses it
			i.problem(fmt.Sprintf("BGREWRITEAOF: %v", err))
			return
		}
	}
	for {
		info, err := i.client.InfoMap(ctx, "persistence").Result()
		p := info["Persistence"]
		switch {
		case err == nil && p["aof_rewrite_in_progress"] == "0" && p["aof_rewrite_scheduled"] == "0" && p["aof_last_bgrewrite_status"] == "ok":
			return
		case ctx.Err() != nil:
			i.problem(fmt.Sprintf("the append-only file was not written anew: %v (%v)", p, err))
			return
		}
		spend(ctx, often)
	}
}

// clientIDs finds the IDs in the reply to CLIENT LIST.
var clientIDs = regexp.MustCompile(`(?m)^id=(\d+)`)

// endConnections ends all connections of workers, or half of them.
func (i *injector) endConnections(ctx context.Context, rng *rand.Rand) {
	if rng.IntN(2) == 0 {
		i.client.ClientKillByFilter(ctx, "TYPE", "normal") // an error says that the server is away
		return
	}
	for _, id := range clientIDs.FindAllStringSubmatch(i.client.ClientList(ctx).Val(), -1) {
		if rng.IntN(2) == 0 {
			i.client.ClientKillByFilter(ctx, "ID", id[1])
		}
	}
}
