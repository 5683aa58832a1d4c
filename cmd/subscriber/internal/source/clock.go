package source

import "time"

// serverClock is the server's clock as it was told last. It goes on by the monotonic clock here: the wall
// clock here may be set to another time, and nobody would notice. It is not safe for concurrent use.
type serverClock struct {
	told time.Time     // by the server
	at   time.Time     // when it came, by Options.Now; zero: it has not been told
	took time.Duration // from the question to it: told may be so much older
}

// now is the server's time; until that is told, it is ours.
func (c *serverClock) now(here time.Time) time.Time {
	if c.at.IsZero() {
		return here
	}
	return c.told.Add(here.Sub(c.at))
}

// learn takes what the server told to a question, and returns by how much that is more than what was expected, and less where
// it is negative: as far as it is certain, whenever between question and answer the server looked. The first time it is 0.
func (c *serverClock) learn(told, asked, here time.Time) (ahead time.Duration) {
	if !c.at.IsZero() {
		most, least := told.Sub(c.now(here)), told.Sub(c.now(asked))
		ahead = max(0, most-c.took) + min(0, least)
	}
	c.told, c.at, c.took = told, here, here.Sub(asked)
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
