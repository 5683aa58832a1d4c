package source

import (
	"context"
	"fmt"
	"time"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/deadletter"
)

// letter is the message as a dead letter, as of now by the server's clock.
func (o Options) letter(m Message, now time.Time) deadletter.Letter {
	l := deadletter.Letter{
		ID: m.ID, Payload: m.Payload, Reason: m.Reason, Time: now, Deliveries: m.Deliveries, Worker: o.Consumer,
		Trimmed: o.Trim,
	}
	if l.Reason == "" {
		l.Deliveries = max(1, l.Deliveries-1) // this one did not come about
		times := "times"
		if l.Deliveries == 1 {
			times = "time"
		}
		l.Reason = fmt.Sprintf("it was delivered %d %s, which is MAX_DELIVERIES, and the last worker neither finished it nor said why: perhaps it ended the worker",
			l.Deliveries, times)
	}
	if m.fields != nil {
		l.Payload, l.Fields = "", make(map[string]string, len(m.fields))
		for name, value := range m.fields {
			l.Fields[name] = fmt.Sprint(value) // go-redis reads nothing but strings
		}
	}
	return l
}

// buried tells of a message that was given up.
func (o Options) buried(l deadletter.Letter, box deadletter.Box) {
	o.Log.Warn("message goes to the dead letters", "id", l.ID, "deliveries", l.Deliveries, "reason", l.Reason, "letters", box.IndexKey())
	o.event(DeadLettered, 1)
}

// discard removes the oldest dead letters where there are too many. An error changes nothing:
// the next burial tries again.
func (o Options) discard(ctx context.Context, box deadletter.Box, size int64) {
	if o.MaxDead == 0 {
		return
	}
	removed, err := box.Discard(ctx, o.Client, size, o.MaxDead)
	if err != nil {
		o.Log.Debug("the oldest dead letters could not be removed", "error", err)
		return
	}
	if removed > 0 {
		o.Log.Warn("the oldest dead letters were removed, because there are more than DEAD_MAX", "removed", removed, "DEAD_MAX", o.MaxDead, "letters", box.IndexKey())
		o.event(Discarded, removed)
	}
}
