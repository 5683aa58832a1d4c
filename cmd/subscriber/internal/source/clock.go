package source

import "time"

// serverClock is the server's clock as it was told last. It goes on by the monotonic clock here: the wall
// clock here may be set to another time, and nobody would notice. It is not safe for concurrent use.
type serverClock struct {
	told time.Time // by the server
	at   time.Time // when it came, by Options.Now; zero: it has not been told
}

// now is the server's time; until that is told, it is ours.
func (c *serverClock) now(here time.Time) time.Time {
	if c.at.IsZero() {
		return here
	}
	return c.told.Add(here.Sub(c.at))
}

// learn takes what the server told, and returns by how much that is more than what was expected; 0 the
// first time.
func (c *serverClock) learn(told, here time.Time) (ahead time.Duration) {
	if !c.at.IsZero() {
		ahead = told.Sub(c.now(here))
	}
	c.told, c.at = told, here
	return ahead
}

// tellJump tells that the server's clock does not go on as it did: times that the server keeps are then
// longer or shorter than they were meant to be.
func (o Options) tellJump(ahead time.Duration) {
	if ahead.Abs() <= heartbeatInterval {
		return
	}
	direction := "ahead"
	if ahead < 0 {
		direction = "back"
	}
	o.Log.Warn("the server's clock jumped, or another server took its place: what is in work stays with its workers, and what waits may come sooner or later than it was to",
		"channel", o.Key, "direction", direction, "by", ahead.Abs().Round(time.Second))
}
