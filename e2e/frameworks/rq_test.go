package frameworks

import (
	"testing"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// rqApp is an application that uses RQ, on a server of its own.
type rqApp struct {
	*driver
	reader         *reader
	name, scenario string
}

func newRQApp(t *testing.T, scenario string) *rqApp {
	t.Parallel()
	server := broker.Server{Address: redistest.Start(t).Addr}
	d := startDriver(t, "python", []string{python, "drive_rq.py"}, server, nil)
	return &rqApp{
		driver: d, reader: newReader(t, server, framework.RQ, "", mail), scenario: scenario,
		name: "RQ " + ranVersion(t, "RQ", call[string](d, "version", nil)),
	}
}

// check waits until RQ's registries tell this, and then compares what the scaler reads.
func (a *rqApp) check(name string, want counts) {
	a.t.Helper()
	depth := count{Ready: want["queued"] + want["due"], InFlight: want["started"]}
	if want["suspended"] > 0 {
		depth.Ready = 0
	}
	tell := func() counts { return a.counts(mail) }
	ours := settled(a.t, want, tell, func() count { return a.reader.total(a.t) }, name)
	compare(a.t, step{
		framework: a.name, scenario: a.scenario, step: name, queue: mail, states: want.String(),
		theirs: depth, ours: ours,
	})
}

func TestRQWaiting(t *testing.T) {
	a := newRQApp(t, "waiting")
	a.check("new", counts{})
	a.add(mail, 3, nil)
	a.add("image", 2, nil)
	a.check("enqueued; and some of another queue", counts{"queued": 3})
	a.add(mail, 1, options{"afterLast": true})
	a.check("deferred until another is done", counts{"queued": 3, "deferred": 1})
	a.add(mail, 2, options{"delay": later.Seconds()})
	a.check("scheduled and not due", counts{"queued": 3, "deferred": 1, "scheduled": 2})
	a.add(mail, 1, options{"delay": 1})
	a.check("scheduled and due", counts{"queued": 3, "deferred": 1, "scheduled": 3, "due": 1})
}

func TestRQWorking(t *testing.T) {
	a := newRQApp(t, "working")
	a.add(mail, 1, options{"retryIn": 0})
	a.add(mail, 1, options{"retryIn": 1})
	a.add(mail, 1, options{"retryIn": later.Seconds()})
	a.add(mail, 1, nil)
	a.add(mail, 1, options{"afterLast": true})
	a.check("enqueued", counts{"queued": 4, "deferred": 1})
	a.work(mail, 1)
	a.check("run", counts{"runs": 1, "queued": 3, "started": 1, "deferred": 1})
	a.release(mail, 1, "try at once")
	a.check("failed, to be retried at once", counts{"runs": 2, "queued": 3, "started": 1, "deferred": 1})
	a.release(mail, 1, "try again")
	a.check("failed, to be retried when due", counts{"runs": 3, "queued": 2, "started": 1, "deferred": 1, "scheduled": 1, "due": 1})
	a.release(mail, 1, "try much later")
	a.check("failed, and its retry is not due", counts{"runs": 4, "queued": 1, "started": 1, "deferred": 1, "scheduled": 2, "due": 1})
	a.release(mail, 1, "")
	a.check("done, and what was deferred until then runs", counts{"runs": 5, "queued": 1, "started": 1, "scheduled": 2, "due": 1, "finished": 1})
	a.release(mail, 1, "")
	a.check("one more done", counts{"runs": 6, "started": 1, "scheduled": 2, "due": 1, "finished": 2})

	a.add(mail, 2, nil)
	a.of(mail, "kill")
	a.check("the worker killed (SIGKILL), and believed to be alive", counts{"runs": 6, "queued": 2, "started": 1, "scheduled": 2, "due": 1, "finished": 2})
	a.check("the worker believed to be dead", counts{"runs": 6, "queued": 2, "scheduled": 2, "due": 1, "finished": 2, "failed": 1})
	a.work(mail, 1)
	a.check("the next worker", counts{"runs": 7, "queued": 1, "started": 1, "scheduled": 2, "due": 1, "finished": 2, "failed": 1})
	a.of(mail, "suspend")
	a.check("suspended with a job in flight", counts{"runs": 7, "queued": 1, "started": 1, "scheduled": 2, "due": 1, "finished": 2, "failed": 1, "suspended": 1})
	a.release(mail, 1, "")
	a.check("suspended, and nothing is taken", counts{"runs": 7, "queued": 1, "scheduled": 2, "due": 1, "finished": 3, "failed": 1, "suspended": 1})
	a.of(mail, "resume")
	a.check("resumed", counts{"runs": 8, "started": 1, "scheduled": 2, "due": 1, "finished": 3, "failed": 1})
}
