package frameworks

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// oddNames are names of queues that somebody has. A colon is none, because BullMQ refuses it.
var oddNames = map[string]string{
	"spaces":        "new orders of today",
	"Unicode":       "заказы-注文-📦",
	"NUL":           "a\x00b",
	"CR LF":         "a\r\nLLEN b\r\n",
	"braces":        "{orders}",
	"braces within": "a{b}c",
	"empty braces":  "{}orders",
	"a brace alone": "or{ders",
	"quotes":        `"orders" 'x' \`,
	"a glob":        "*?[a-z]$1%s",
	"3,000 bytes":   strings.Repeat("orders-", 3000/7) + "1234",
}

// What a framework itself puts in a queue of such a name is read by that name.
func TestOddNames(t *testing.T) {
	frameworks := map[string]struct {
		folder  string
		program []string
		preset  framework.Framework
		waiting string // the state's name
	}{
		"Celery":    {"python", []string{python, "drive_celery.py"}, framework.Celery, "waiting"},
		"RQ":        {"python", []string{python, "drive_rq.py"}, framework.RQ, "queued"},
		"Sidekiq":   {"ruby", []string{ruby, "drive_sidekiq.rb"}, framework.Sidekiq, "enqueued"},
		"BullMQ":    {"node", []string{"node", "bullmq.js"}, framework.BullMQ, "waiting"},
		"Bull":      {"node", []string{"node", "bull.js"}, framework.Bull, "waiting"},
		"bee-queue": {"node", []string{"node", "beequeue.js"}, framework.BeeQueue, "waiting"},
	}
	for name, f := range frameworks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := broker.Server{Address: redistest.Start(t).Addr}
			d := startDriver(t, f.folder, f.program, server, map[string]any{"transport": map[string]any{}, "acksLate": true, "package": "bullmq"})
			for odd, queue := range oddNames {
				reader := newReader(t, server, f.preset, "", queue)
				for _, neighbour := range []string{"a", "b", "orders"} {
					d.add(neighbour, 1, nil)
				}
				d.add(queue, 2, nil)
				want := counts{f.waiting: 2}
				ours := settled(t, want, func() counts { return d.counts(queue) }, func() count { return reader.total(t) }, odd)
				assert.Equal(t, count{Ready: 2}, ours, odd)
			}
		})
	}
}
