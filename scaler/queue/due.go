package queue

import (
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// The times that can be when a message came: after the turn of the millennium, and no more
// ahead of the scaler's clock than clocks may differ.
const (
	earliestMilliseconds = 978307200000 // 2001-01-01
	clockSkew            = 24 * time.Hour
)

// plausible tells a time from a number that is none.
func plausible(t, now time.Time) bool {
	return t.UnixMilli() >= earliestMilliseconds && !t.After(now.Add(clockSkew))
}

// earlier is the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// due counts the members of a sorted set whose score is a time that has come.
type due struct {
	clock framework.Clock
	count *redis.IntCmd    // ZCOUNT
	first *redis.ZSliceCmd // the member of the lowest score; nil: ages are not wanted
}

func newDue(key string, clock framework.Clock, age bool) due {
	d := due{clock: clock, count: number("zcount", key, "-inf", "")}
	if age {
		d.first = keyed(redis.NewZSliceCmd(unbound, "zrange", key, 0, 0, "withscores"), 1)
	}
	return d
}

func (d *due) ask(commands []redis.Cmder, now time.Time) []redis.Cmder {
	d.count.Args()[3] = d.clock.Latest(now)
	commands = append(commands, fresh(d.count))
	if d.first != nil {
		commands = append(commands, fresh(d.first))
	}
	return commands
}

// since is when the first member became due; zero where none has. Where known is false,
// its score is no time.
func (d *due) since(now time.Time) (since time.Time, known bool, err error) {
	if d.first == nil {
		return time.Time{}, true, nil
	}
	members, err := d.first.Result()
	if err != nil || len(members) == 0 {
		return time.Time{}, true, err
	}
	since = d.clock.Time(members[0].Score)
	if since.After(now) {
		return time.Time{}, true, nil
	}
	return since, plausible(since, now), nil
}
