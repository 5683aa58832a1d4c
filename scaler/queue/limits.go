package queue

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// limits is how many jobs of a queue may run, whatever workers there are.
type limits struct {
	concurrency int64 // in work at the same time
	max         int64 // that begin in a window; at least one does
	window      int64 // milliseconds
}

// noLimits is where the queue has none.
var noLimits = limits{concurrency: math.MaxInt64, max: math.MaxInt64}

// rate is the limit of the rate as the framework's fields have it.
func (l limits) rate() string {
	if l.window == math.MaxInt64 {
		return fmt.Sprintf("max %d", l.max) // nothing says in how long
	}
	return fmt.Sprintf("max %d, duration %d ms", l.max, l.window)
}

// hold takes from what is ready what no worker may take, because workers for it would find nothing to do. How long that
// has waited tells nothing of the workers either:
//   - Of a paused queue it is all.
//   - By the concurrency it is what goes beyond it together with what is in work. If no more may begin at all, there is no age.
//   - By the rate it is what can't begin within one window. It is not told by what of the window is left, because
//     the depth would go up and down with it. There is no age while the rate holds jobs back.
func (d *presetDepth) hold(queue string) {
	free := max(0, d.limits.concurrency-d.InFlight)
	switch {
	case d.Ready == 0:
		return
	case d.paused:
		d.Ready = 0
		d.Remark = fmt.Sprintf("queue %q is paused, so what waits there does not count", queue)
	case d.Ready > d.limits.max && d.limits.max < free:
		d.Ready, d.Oldest = d.limits.max, time.Time{}
		d.Remark = fmt.Sprintf("queue %q has a global rate limit (%s), so no more of what waits counts", queue, d.limits.rate())
	case d.Ready > free:
		d.Ready = free
		d.Remark = fmt.Sprintf("queue %q has a global concurrency of %d, so what waits counts only as far as it may run", queue, d.limits.concurrency)
	}
	if d.Ready == 0 {
		d.Oldest = time.Time{}
	}
}

// limitedQueue is the hash that has a queue's limits.
type limitedQueue struct {
	fields  *framework.Limits
	command *redis.SliceCmd // HMGET
}

func newLimitedQueue(key framework.Key, name string) *limitedQueue {
	return &limitedQueue{
		fields:  key.Limits,
		command: keyed(redis.NewSliceCmd(unbound, "hmget", name, key.Limits.Concurrency, key.Limits.Max, key.Limits.Window), 1),
	}
}

func (l *limitedQueue) ask(commands []redis.Cmder, _ round) []redis.Cmder {
	return append(commands, fresh(l.command))
}

func (l *limitedQueue) add(depth *presetDepth, replies *replies, _ round) bool {
	fields, err := l.command.Result()
	if err == nil && len(fields) != 3 {
		err = &ReplyError{Command: "HMGET", Err: fmt.Errorf("%d fields in place of 3", len(fields))}
	}
	replies.failed(l.command, framework.Hash, err)
	if err != nil {
		return true
	}
	depth.limits.concurrency = l.number(replies, l.fields.Concurrency, fields[0])
	depth.limits.max = max(1, l.number(replies, l.fields.Max, fields[1]))
	depth.limits.window = l.number(replies, l.fields.Window, fields[2])
	return true
}

// ErrLimit is in the chain of errors of a global limit that is no number: somebody wrote another value there than
// the framework does.
var ErrLimit = errors.New("not a count")

// number is a limit, rounded up; none where the field is missing.
func (l *limitedQueue) number(replies *replies, name string, field any) int64 {
	text, ok := field.(string)
	if !ok {
		return math.MaxInt64
	}
	limit, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(limit) || limit < 0 {
		key, _ := l.command.Args()[1].(string)
		replies.failed(l.command, framework.Hash, &ReplyError{Command: "HMGET " + key, Err: fmt.Errorf("%s is %q, %w", name, text, ErrLimit)})
		return math.MaxInt64
	}
	if limit >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(math.Ceil(limit))
}
