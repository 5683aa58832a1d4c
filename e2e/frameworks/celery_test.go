package frameworks

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// mail is the queue of an application in Python or Ruby.
const mail = "mail"

// celeryApp is an application that uses Celery, on a server of its own.
type celeryApp struct {
	*driver
	reader         *reader
	name, scenario string
}

// newCeleryApp starts one. late tells whether tasks are acknowledged when they are done.
func newCeleryApp(t *testing.T, prefix string, late bool) *celeryApp {
	t.Parallel()
	server := broker.Server{Address: redistest.Start(t).Addr}
	transport := map[string]any{}
	if prefix != "" {
		transport["global_keyprefix"] = prefix
	}
	d := startDriver(t, "python", []string{python, "drive_celery.py"}, server, map[string]any{"transport": transport, "acksLate": late})
	return &celeryApp{
		driver: d,
		reader: newReader(t, server, framework.Celery, prefix, mail),
		name:   "Celery " + ranVersion(t, "Celery", call[string](d, "version", nil)),
	}
}

// check waits until Celery tells this, and then compares what the scaler reads. What a worker holds is
// in flight, by its own word, and after its death by kombu's.
func (a *celeryApp) check(name string, want counts) {
	a.t.Helper()
	tell := func() counts { return a.counts(mail) }
	ours := settled(a.t, want, tell, func() count { return a.reader.total(a.t) }, name)
	held := want["active"] + want["reserved"] + want["scheduled"]
	if held == 0 {
		held = want["unacked"]
	}
	compare(a.t, step{
		framework: a.name, scenario: a.scenario, step: name, queue: mail, states: want.String(),
		theirs: count{Ready: want["waiting"], InFlight: held}, ours: ours,
	})
}

func TestCelery(t *testing.T) {
	for name, prefix := range map[string]string{"no prefix": "", "prefix of one's own": "acme:"} {
		t.Run(name, func(t *testing.T) {
			a := newCeleryApp(t, prefix, true)
			a.scenario = "acknowledged late"
			a.check("new", counts{})
			a.add(mail, 1, options{"countdown": later.Seconds()})
			a.check("with an ETA", counts{"waiting": 1})
			a.add(mail, 3, nil)
			a.add("image", 2, nil)
			a.check("enqueued; and some of another queue", counts{"waiting": 4})
			for _, priority := range []int{0, 3, 5, 9} {
				a.add(mail, 1, options{"priority": priority})
			}
			a.check("of four priorities", counts{"waiting": 8})

			a.work(mail, 2)
			a.check("run, one for each of 2 processes", counts{"waiting": 5, "unacked": 3, "active": 2, "scheduled": 1})
			a.release(mail, 1, "")
			a.check("one done", counts{"waiting": 4, "unacked": 3, "active": 2, "scheduled": 1})
			a.release(mail, 1, "failed for good")
			a.check("one failed", counts{"waiting": 3, "unacked": 3, "active": 2, "scheduled": 1})
			a.release(mail, 1, "retry")
			a.check("one to be retried, which has an ETA", counts{"waiting": 2, "unacked": 4, "active": 2, "scheduled": 2})
			a.of(mail, "kill")
			a.check("the worker killed (SIGKILL)", counts{"waiting": 2, "unacked": 4})
			call[any](a.driver, "restore", nil)
			a.check("restored after the visibility timeout", counts{"waiting": 6})
			a.work(mail, 4)
			a.check("taken by the next worker", counts{"unacked": 6, "active": 4, "scheduled": 2})
			a.of(mail, "pause")
			a.release(mail, 1, "")
			a.add(mail, 2, nil)
			a.check("told to take no more (cancel_consumer)", counts{"waiting": 2, "unacked": 5, "active": 3, "scheduled": 2})
			a.of(mail, "resume")
			a.check("told to go on (add_consumer)", counts{"waiting": 1, "unacked": 6, "active": 4, "scheduled": 2})
		})
	}
}

// Unless told otherwise, Celery acknowledges a task before it runs it: no server can tell of it then,
// and docs/queues.md says so. What is fetched ahead is seen.
func TestCeleryAcknowledgesEarly(t *testing.T) {
	a := newCeleryApp(t, "", false)
	a.add(mail, 5, nil)
	a.work(mail, 2)
	want := counts{"waiting": 1, "unacked": 2, "active": 2, "reserved": 2}
	ours := settled(t, want, func() counts { return a.counts(mail) }, func() count { return a.reader.total(t) }, "run")
	s := step{
		framework: a.name, scenario: "acknowledged early", step: "run: 2 are not seen", queue: mail, states: want.String(),
		theirs: count{Ready: 1, InFlight: 4}, ours: ours,
	}
	record(s)
	assert.Equal(t, count{Ready: 1, InFlight: 2}, s.ours)
}
