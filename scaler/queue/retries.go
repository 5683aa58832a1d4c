package queue

import (
	"strings"

	"github.com/redis/go-redis/v9"
)

// retries reads how many of a group's pending entries wait for another delivery
// (WaitingConsumer): those are ready, and not in flight. Nobody asks while nothing is pending.
type retries struct {
	group   string // which is asked about; empty: none was pending when it was last seen
	command *redis.XPendingCmd
	asked   bool // in the round under way
	waiting int64
}

// of has the group asked about in the next read.
func (w *retries) of(group *groupInfo) {
	switch {
	case group == nil || group.pending == 0:
		w.group = ""
	case w.group != group.name:
		w.group, w.command = group.name, nil
	}
}

func (w *retries) ask(commands []redis.Cmder, q *Queue) []redis.Cmder {
	w.asked, w.waiting = w.group != "", 0
	if !w.asked {
		return commands
	}
	if w.command == nil {
		w.command = keyed(redis.NewXPendingCmd(unbound, "xpending", q.Key, w.group), 1)
	}
	return append(commands, fresh(w.command))
}

// answer reads the reply. A user who may not ask, by a rule of an older version, has all pending
// entries in flight.
func (w *retries) answer() error {
	if !w.asked {
		return nil
	}
	pending, err := w.command.Result()
	switch {
	case noSuchKey(err), err != nil && (redis.HasErrorPrefix(err, "NOPERM") || strings.HasPrefix(err.Error(), "NOGROUP")):
		return nil
	case err != nil:
		return err
	}
	w.waiting = pending.Consumers[WaitingConsumer]
	w.command.SetVal(nil)
	if w.waiting < 0 {
		return notACount(w.command, w.waiting)
	}
	return nil
}

// answer is the depth with what waits for another delivery among what is ready.
func (s *streamReader) answer(r round) (Depth, bool, error) {
	if s.page == 0 { // else it was asked for in the round before
		if err := s.retries.answer(); err != nil {
			return Depth{}, true, err
		}
	}
	depth, done, err := s.read(r)
	if done && err == nil {
		if depth.InFlight > 0 && s.retries.group != "" && !s.retries.asked && !r.last {
			return Depth{}, false, nil // some have become pending since the last read
		}
		waiting := min(s.retries.waiting, depth.InFlight)
		depth.Ready, depth.InFlight = Sum(depth.Ready, waiting), depth.InFlight-waiting
	}
	return depth, done, err
}
