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
	transport := map[string]any{}
	if prefix != "" {
		transport["global_keyprefix"] = prefix
	}
	return newCeleryAppWith(t, transport, framework.Options{}, prefix, late)
}

// newCeleryAppWith has options of Celery's transport, which a channel repeats.
func newCeleryAppWith(t *testing.T, transport map[string]any, options framework.Options, prefix string, late bool) *celeryApp {
	t.Parallel()
	server := broker.Server{Address: redistest.Start(t).Addr}
	d := startDriver(t, "python", []string{python, "drive_celery.py"}, server, map[string]any{"transport": transport, "acksLate": late})
	return &celeryApp{
		driver: d,
		reader: newReaderWith(t, server, framework.Celery, options, prefix, mail),
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

// The example of Celery's documentation: ten steps, and another separator.
func TestCeleryPrioritySteps(t *testing.T) {
	steps := []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	options := framework.Options{Steps: framework.StepsOf(steps), Separator: ":"}
	a := newCeleryAppWith(t, map[string]any{"priority_steps": steps, "sep": ":"}, options, "", true)
	a.scenario = "priority_steps and sep"
	for _, priority := range steps {
		a.add(mail, 1, map[string]any{"priority": priority})
	}
	a.check("one of each priority", counts{"waiting": 10})
	a.work(mail, 2)
	a.check("run", counts{"waiting": 8, "unacked": 2, "active": 2})
	a.of(mail, "kill")
	a.check("the worker killed (SIGKILL)", counts{"waiting": 8, "unacked": 2})
}

// Two queues in one database, of which one is asked about: what workers of the other hold is not its own.
func TestCeleryInFlightByQueue(t *testing.T) {
	a := newCeleryAppWith(t, map[string]any{}, framework.Options{InFlight: framework.InFlightOfQueues}, "", true)
	a.scenario = "inFlight: Queue"
	a.add("image", 3, nil)
	a.add(mail, 3, nil)
	a.work("image", 2)
	a.work(mail, 1)
	check := func(name string, want counts) {
		t.Helper()
		tell := func() counts {
			told := a.counts(mail)
			delete(told, "unacked") // of both
			return told
		}
		ours := settled(t, want, tell, func() count { return a.reader.total(t) }, name)
		compare(t, step{
			framework: a.name, scenario: a.scenario, step: name, queue: mail, states: want.String(),
			theirs: count{Ready: want["waiting"], InFlight: want["active"]}, ours: ours,
		})
	}
	check("run, and 2 of another queue", counts{"waiting": 2, "active": 1})
	a.of("image", "kill")
	check("the other's worker killed", counts{"waiting": 2, "active": 1})
	a.release(mail, 1, "")
	check("one done", counts{"waiting": 1, "active": 1})
}
