package frameworks

import (
	"testing"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// TestBeeQueue: bee-queue has no pause.
func TestBeeQueue(t *testing.T) {
	for name, prefix := range map[string]string{"default prefix": "", "prefix of one's own": "acme"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := broker.Server{Address: redistest.Start(t).Addr}
			d := startDriver(t, "node", []string{"node", "beequeue.js"}, server, map[string]any{"prefix": prefix})
			version := ranVersion(t, "bee-queue", call[string](d, "version", nil))
			reader := newReader(t, server, framework.BeeQueue, prefix, mail)
			check := func(name string, want counts) {
				t.Helper()
				tell := func() counts { return d.counts(mail) }
				ours := settled(t, want, tell, func() count { return reader.total(t) }, name)
				compare(t, step{
					framework: "bee-queue " + version, scenario: "working", step: name, queue: mail, states: want.String(),
					theirs: count{Ready: want["waiting"] + want["due"], InFlight: want["active"]}, ours: ours,
				})
			}
			check("new", counts{})
			d.add(mail, 4, nil)
			d.add("image", 2, nil)
			check("enqueued; and some of another queue", counts{"waiting": 4})
			d.add(mail, 1, options{"delay": later.Milliseconds()})
			check("scheduled and not due", counts{"waiting": 4, "delayed": 1})
			d.add(mail, 1, options{"delay": soon.Milliseconds()})
			check("scheduled and due", counts{"waiting": 4, "delayed": 2, "due": 1})
			d.work(mail, 2) // which moves what is due
			check("run", counts{"waiting": 3, "delayed": 1, "active": 2})
			d.release(mail, 1, "")
			check("one done", counts{"waiting": 2, "delayed": 1, "active": 2, "succeeded": 1})
			d.release(mail, 1, "failed for good")
			check("one failed", counts{"waiting": 1, "delayed": 1, "active": 2, "succeeded": 1, "failed": 1})
			d.release(mail, 3, "")
			check("all done", counts{"delayed": 1, "succeeded": 4, "failed": 1})
			d.add(mail, 1, options{"retries": 1, "backoff": later.Milliseconds()})
			d.release(mail, 1, "try much later")
			check("a retry that is not due", counts{"delayed": 2, "succeeded": 4, "failed": 1})
		})
	}
}
