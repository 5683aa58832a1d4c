package frameworks

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

const (
	critical, low = "critical", "low"
	// aside is how far a time may be from the one that asynq tells, which it takes twice.
	aside = 250 * time.Millisecond
)

// asynqApp is an application that uses asynq.
type asynqApp struct {
	t         *testing.T
	name      string // with the version
	redis     asynq.RedisClientOpt
	client    *asynq.Client
	inspector *asynq.Inspector
	reader    *reader
}

func newAsynqApp(t *testing.T, queues ...string) *asynqApp {
	server := redistest.Start(t)
	a := &asynqApp{t: t, redis: asynq.RedisClientOpt{Addr: server.Addr}}
	a.name = "asynq " + ranVersion(t, "asynq", moduleVersion(t, "github.com/hibiken/asynq"))
	a.client, a.inspector = asynq.NewClient(a.redis), asynq.NewInspector(a.redis)
	t.Cleanup(func() {
		assert.NoError(t, a.client.Close())
		assert.NoError(t, a.inspector.Close())
	})
	a.reader = newReader(t, broker.Server{Address: server.Addr}, framework.Asynq, "", queues...)
	return a
}

// enqueue adds n tasks.
func (a *asynqApp) enqueue(queue string, n int, options ...asynq.Option) {
	a.t.Helper()
	for range n {
		_, err := a.client.EnqueueContext(a.t.Context(), asynq.NewTask("work", nil), append(options, asynq.Queue(queue))...)
		require.NoError(a.t, err)
	}
}

// states are numbers of tasks, as asynq.QueueInfo has them.
type states struct{ pending, active, scheduled, retry, aggregating, archived, completed int }

func (s states) String() string {
	told := counts{
		"pending": int64(s.pending), "active": int64(s.active), "scheduled": int64(s.scheduled), "retry": int64(s.retry),
		"aggregating": int64(s.aggregating), "archived": int64(s.archived), "completed": int64(s.completed),
	}
	maps.DeleteFunc(told, func(_ string, n int64) bool { return n == 0 })
	return told.String()
}

// tell is what asynq tells of a queue.
func (a *asynqApp) tell(queue string) *asynq.QueueInfo {
	a.t.Helper()
	info, err := a.inspector.GetQueueInfo(queue)
	require.NoError(a.t, err)
	return info
}

func (a *asynqApp) states(queue string) states {
	a.t.Helper()
	i := a.tell(queue)
	return states{i.Pending, i.Active, i.Scheduled, i.Retry, i.Aggregating, i.Archived, i.Completed}
}

// depth is what the depth should be, by what asynq tells.
func (a *asynqApp) depth(queue string) count {
	a.t.Helper()
	info := a.tell(queue)
	depth := count{InFlight: int64(info.Active)}
	if info.Paused {
		return depth
	}
	depth.Ready = int64(info.Pending)
	for _, list := range []func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		a.inspector.ListScheduledTasks, a.inspector.ListRetryTasks,
	} {
		tasks, err := list(queue, asynq.PageSize(1000))
		require.NoError(a.t, err)
		for _, task := range tasks {
			if !task.NextProcessAt.After(time.Now()) {
				depth.Ready++
			}
		}
	}
	return depth
}

// check waits until asynq tells these states of the queue and that depth, and then
// compares what the scaler reads.
func (a *asynqApp) check(name, queue string, want states, depth count) {
	a.t.Helper()
	eventually(a.t, want, func() states { return a.states(queue) }, name)
	ours := settled(a.t, depth, func() count { return a.depth(queue) }, func() count { return a.reader.counts(a.t)[queue] }, name)
	compare(a.t, step{
		framework: a.name, scenario: strings.ToLower(strings.TrimPrefix(a.t.Name(), "TestAsynq")), step: name, queue: queue, states: want.String(),
		theirs: depth, ours: ours,
	})
	assert.Equal(a.t, want, a.states(queue), "%s: it changed meanwhile", name)
}

// work runs a worker of one queue until stop is called. Each task is held until one of
// outcomes is its own; it may be that of another's.
func (a *asynqApp) work(queue string, concurrency int, retryAfter time.Duration) (outcomes chan<- error, stop func()) {
	a.t.Helper()
	results := make(chan error)
	server := asynq.NewServer(a.redis, asynq.Config{
		Concurrency:       concurrency,
		Queues:            map[string]int{queue: 1},
		LogLevel:          asynq.FatalLevel,
		TaskCheckInterval: tick,
		// What is due is left where it is: a worker need not run.
		DelayedTaskCheckInterval: later,
		RetryDelayFunc:           func(int, error, *asynq.Task) time.Duration { return retryAfter },
	})
	require.NoError(a.t, server.Start(asynq.HandlerFunc(func(ctx context.Context, _ *asynq.Task) error {
		select {
		case err := <-results:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})))
	return results, server.Shutdown
}

// give is the outcome of n tasks that are held.
func (a *asynqApp) give(outcomes chan<- error, outcome error, n int) {
	a.t.Helper()
	for range n {
		select {
		case outcomes <- outcome:
		case <-time.After(deadline):
			a.t.Fatal("the worker holds no task")
		}
	}
}

func TestAsynqWaiting(t *testing.T) {
	t.Parallel()
	a := newAsynqApp(t, critical, low)
	assert.Equal(t, map[string]count{critical: {}, low: {}}, a.reader.counts(t), "queues that asynq has not seen")

	a.enqueue(critical, 3)
	a.enqueue(low, 2)
	a.check("enqueued", critical, states{pending: 3}, count{Ready: 3})
	a.check("enqueued", low, states{pending: 2}, count{Ready: 2})

	a.enqueue(critical, 2, asynq.ProcessIn(later))
	a.check("scheduled and not due", critical, states{pending: 3, scheduled: 2}, count{Ready: 3})
	a.enqueue(critical, 1, asynq.ProcessIn(soon))
	a.enqueue(critical, 1, asynq.ProcessAt(time.Now().Add(soon)))
	a.check("scheduled and due", critical, states{pending: 3, scheduled: 4}, count{Ready: 5})
	a.enqueue(critical, 1, asynq.ProcessAt(time.Now().Add(-later)))
	a.check("due at once", critical, states{pending: 4, scheduled: 4}, count{Ready: 6})
	a.enqueue(critical, 1, asynq.Group("digest"))
	a.check("held back for a group", critical, states{pending: 4, scheduled: 4, aggregating: 1}, count{Ready: 6})

	require.NoError(t, a.inspector.PauseQueue(critical))
	a.check("paused", critical, states{pending: 4, scheduled: 4, aggregating: 1}, count{})
	a.check("the other is not paused", low, states{pending: 2}, count{Ready: 2})
	require.NoError(t, a.inspector.UnpauseQueue(critical))
	a.check("resumed", critical, states{pending: 4, scheduled: 4, aggregating: 1}, count{Ready: 6})

	archived, err := a.inspector.ArchiveAllPendingTasks(critical)
	require.NoError(t, err)
	require.Equal(t, 4, archived)
	a.check("archived", critical, states{scheduled: 4, aggregating: 1, archived: 4}, count{Ready: 2})
}

func TestAsynqWorking(t *testing.T) {
	t.Parallel()
	a := newAsynqApp(t, critical, low)
	a.enqueue(critical, 5, asynq.MaxRetry(1), asynq.Retention(later))
	a.enqueue(low, 1)

	outcomes, stop := a.work(critical, 2, soon)
	a.check("in flight", critical, states{pending: 3, active: 2}, count{Ready: 3, InFlight: 2})
	require.NoError(t, a.inspector.PauseQueue(critical))
	a.check("paused with tasks in flight", critical, states{pending: 3, active: 2}, count{InFlight: 2})
	a.give(outcomes, nil, 2)
	a.check("completed, and kept", critical, states{pending: 3, completed: 2}, count{})
	require.NoError(t, a.inspector.UnpauseQueue(critical))
	a.check("resumed", critical, states{pending: 1, active: 2, completed: 2}, count{Ready: 1, InFlight: 2})
	a.give(outcomes, errors.New("try again"), 1)
	a.check("failed, to be retried when due", critical, states{active: 2, retry: 1, completed: 2}, count{Ready: 1, InFlight: 2})
	a.give(outcomes, asynq.SkipRetry, 1)
	a.check("failed for good", critical, states{active: 1, retry: 1, archived: 1, completed: 2}, count{Ready: 1, InFlight: 1})
	a.give(outcomes, nil, 1)
	a.check("all done", critical, states{retry: 1, archived: 1, completed: 3}, count{Ready: 1})
	a.check("a queue without a worker", low, states{pending: 1}, count{Ready: 1})
	stop()

	outcomes, stop = a.work(low, 1, later)
	a.give(outcomes, errors.New("try much later"), 1)
	a.check("failed, and its retry is not due", low, states{retry: 1}, count{})
	stop()
}

func TestAsynqOldest(t *testing.T) {
	t.Parallel()
	a := newAsynqApp(t, critical, low)
	assert.Zero(t, a.reader.read(t)[critical].Oldest, "nothing waits")

	a.enqueue(critical, 1)
	a.check("enqueued", critical, states{pending: 1}, count{Ready: 1})
	require.Eventually(t, func() bool { return a.tell(critical).Latency > 4*aside }, deadline, tick)
	a.enqueue(critical, 2)
	a.enqueue(low, 1)
	for _, queue := range []string{critical, low} {
		a.agreesOnTheOldest(queue)
	}

	outcomes, stop := a.work(critical, 1, later)
	a.check("the oldest is in flight", critical, states{pending: 2, active: 1}, count{Ready: 2, InFlight: 1})
	a.agreesOnTheOldest(critical) // what is in flight does not wait
	a.give(outcomes, nil, 3)
	a.check("all done", critical, states{}, count{})
	assert.Zero(t, a.reader.read(t)[critical].Oldest, "nothing waits any more")
	stop()

	due := time.Now().Add(soon)
	a.enqueue(critical, 1, asynq.ProcessAt(due))
	a.check("due", critical, states{scheduled: 1}, count{Ready: 1})
	assert.WithinDuration(t, due.Truncate(time.Second), a.reader.read(t)[critical].Oldest, 0, "it waits since it was due")
}

// agreesOnTheOldest compares since when the oldest task waits by asynq's latency and by ours.
// asynq takes the time twice: it is asked again where the machine had else to do in between.
func (a *asynqApp) agreesOnTheOldest(queue string) {
	a.t.Helper()
	require.EventuallyWithT(a.t, func(c *assert.CollectT) {
		info := a.tell(queue)
		assert.WithinDuration(c, info.Timestamp.Add(-info.Latency), a.reader.read(a.t)[queue].Oldest, aside, queue)
	}, deadline, tick)
}
