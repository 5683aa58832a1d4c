package frameworks

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// sidekiqApp is an application that uses Sidekiq, on a server of its own.
type sidekiqApp struct {
	*driver
	reader         *reader
	name, scenario string
}

func newSidekiqApp(t *testing.T, namespace string) *sidekiqApp {
	t.Parallel()
	server := broker.Server{Address: redistest.Start(t).Addr}
	d := startDriver(t, "ruby", []string{ruby, "drive_sidekiq.rb"}, server, map[string]any{"prefix": namespace})
	return &sidekiqApp{
		driver: d, reader: newReader(t, server, framework.Sidekiq, namespace, mail), scenario: "working",
		name: "Sidekiq " + ranVersion(t, "Sidekiq", call[string](d, "version", nil)),
	}
}

// check waits until Sidekiq's API tells this, and then compares what the scaler reads.
func (a *sidekiqApp) check(name string, want counts) {
	a.t.Helper()
	tell := func() counts { return a.counts(mail) }
	ours := settled(a.t, want, tell, func() count { return a.reader.total(a.t) }, name)
	compare(a.t, step{
		framework: a.name, scenario: a.scenario, step: name, queue: mail, states: want.String(),
		theirs: count{Ready: want["enqueued"] + want["due"], InFlight: want["busy"]}, ours: ours,
	})
}

func TestSidekiq(t *testing.T) {
	for name, namespace := range map[string]string{"no namespace": "", "a namespace": "shop"} {
		t.Run(name, func(t *testing.T) {
			a := newSidekiqApp(t, namespace)
			a.check("new", counts{})
			a.add(mail, 5, nil)
			a.add("image", 2, nil)
			a.check("enqueued; and some of another queue", counts{"enqueued": 5})
			a.add(mail, 1, options{"delay": later.Seconds()})
			a.check("scheduled and not due", counts{"enqueued": 5, "scheduled": 1})
			a.add(mail, 1, options{"delay": 1})
			a.check("scheduled and due", counts{"enqueued": 5, "scheduled": 2, "due": 1})

			a.work(mail, 2)
			a.check("run", counts{"enqueued": 3, "scheduled": 2, "due": 1, "processes": 1, "busy": 2})
			a.release(mail, 1, "")
			a.check("one done", counts{"enqueued": 2, "scheduled": 2, "due": 1, "processes": 1, "busy": 2})
			a.release(mail, 2, "try again")
			a.check("two failed, and their retries are not due", counts{"scheduled": 2, "retry": 2, "due": 1, "processes": 1, "busy": 2})
			a.of(mail, "retryNow")
			a.check("a retry is due", counts{"scheduled": 2, "retry": 2, "due": 2, "processes": 1, "busy": 2})
			a.add(mail, 3, nil)
			a.of(mail, "quiet")
			a.check("told to take no more (quiet)", counts{"enqueued": 3, "scheduled": 2, "retry": 2, "due": 2, "processes": 1, "busy": 2, "quiet": 1})
			a.release(mail, 1, "")
			a.check("one done, and none taken", counts{"enqueued": 3, "scheduled": 2, "retry": 2, "due": 2, "processes": 1, "busy": 1, "quiet": 1})
			a.of(mail, "kill")
			a.check("the process killed (SIGKILL), and believed to be alive", counts{"enqueued": 3, "scheduled": 2, "retry": 2, "due": 2, "processes": 1, "busy": 1, "quiet": 1})
			a.of(mail, "expire")
			a.check("its heartbeat expired", counts{"enqueued": 3, "scheduled": 2, "retry": 2, "due": 2})
			a.work(mail, 1)
			a.check("the next process", counts{"enqueued": 2, "scheduled": 2, "retry": 2, "due": 2, "processes": 1, "busy": 1})
			a.of(mail, "stop")
			a.check("stopped, its job pushed back", counts{"enqueued": 3, "scheduled": 2, "retry": 2, "due": 2})
		})
	}
}

func TestSidekiqOldest(t *testing.T) {
	a := newSidekiqApp(t, "")
	oldest := func() time.Time { return a.reader.read(t)[mail].Oldest }
	assert.Zero(t, oldest(), "nothing waits")
	a.add(mail, 1, nil)
	first := oldest()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		latency := time.Duration(call[float64](a.driver, "oldest", map[string]any{"queue": mail}) * float64(time.Second))
		assert.WithinDuration(c, time.Now().Add(-latency), first, aside, "by Sidekiq's latency")
	}, deadline, tick)
	a.add(mail, 1, nil)
	assert.Equal(t, first, oldest(), "it still waits")
}
