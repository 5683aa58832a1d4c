package frameworks

import (
	"testing"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// laravelApp is an application that uses Laravel's queues, on a server of its own.
type laravelApp struct {
	*driver
	reader *reader
	name   string
}

// check waits until Laravel tells this size, and then compares what the scaler reads. Laravel counts what is not due yet, and
// does not say what of the rest a worker holds: that the test knows.
func (a *laravelApp) check(name string, size, later, held int64) {
	a.t.Helper()
	want := counts{}
	if size > 0 {
		want["size"] = size
	}
	depth := count{Ready: size - later - held, InFlight: held}
	tell := func() counts { return a.counts(mail) }
	ours := func() count { return a.reader.total(a.t) }
	compare(a.t, step{
		framework: a.name, scenario: "working", step: name, queue: mail, states: want.String(),
		theirs: depth, ours: settled(a.t, want, tell, ours, name),
	})
}

// take has a worker take jobs, which may keep them for so many seconds.
func (a *laravelApp) take(n, retryAfter int) {
	a.t.Helper()
	call[any](a.driver, "take", options{"queue": mail, "count": n, "retryAfter": retryAfter})
}

func TestLaravel(t *testing.T) {
	for name, prefix := range map[string]string{"no prefix": "", "an application's prefix": "shop_database_"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := broker.Server{Address: redistest.Start(t).Addr}
			d := startDriver(t, "php", []string{php, "drive_laravel.php"}, server, map[string]any{"prefix": prefix})
			a := &laravelApp{
				driver: d, reader: newReader(t, server, framework.Laravel, prefix, mail),
				name: "Laravel " + ranVersion(t, "Laravel", call[string](d, "version", nil)),
			}
			a.check("new", 0, 0, 0)
			a.add(mail, 4, nil)
			a.add("image", 2, nil)
			a.check("enqueued; and some of another queue", 4, 0, 0)
			a.add(mail, 1, options{"delay": int(later.Seconds())})
			a.check("delayed and not due", 5, 1, 0)
			a.add(mail, 1, options{"delay": 0})
			a.check("delayed and due", 6, 1, 0)
			a.take(2, int(later.Seconds()))
			a.check("run", 6, 1, 2)
			a.of(mail, "done")
			a.check("one done", 5, 1, 1)
			call[any](a.driver, "release", options{"queue": mail, "delay": int(later.Seconds())})
			a.check("one failed, and its retry is not due", 5, 2, 0)
			a.take(1, 1)
			eventually(t, count{Ready: 3}, func() count { return a.reader.total(t) }, "a second later")
			a.check("a worker was killed, and its time is over", 5, 2, 0)
			a.take(3, int(later.Seconds()))
			a.check("all that is due is taken again", 5, 2, 3)
		})
	}
}
