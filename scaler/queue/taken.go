package queue

import (
	"math"

	"github.com/redis/go-redis/v9"
)

// takenMessages reads how many of a list's messages cmd/subscriber's workers have taken and not
// finished (TakenKey). A message goes from the queue through NextKey to there, and stays
// until its end, so in this order none is missed.
type takenMessages struct {
	next   *redis.IntCmd // LLEN of NextKey
	inWork *redis.IntCmd // ZCOUNT of those in work
	all    *redis.IntCmd // ZCARD
}

func (t *takenMessages) ask(commands []redis.Cmder, q *Queue) []redis.Cmder {
	if t.next == nil {
		t.next = number("llen", NextKey(q.Key))
		t.inWork = number("zcount", TakenKey(q.Key), InWork, "+inf")
		t.all = number("zcard", TakenKey(q.Key))
	}
	return append(commands, fresh(t.next), fresh(t.inWork), fresh(t.all))
}

// answer is how many wait to be delivered, and how many are in work. What changed between the two
// counts is told as the later one has it.
func (t *takenMessages) answer() (waiting, inWork int64, err error) {
	var counts [3]int64
	for i, command := range []*redis.IntCmd{t.next, t.inWork, t.all} {
		if counts[i], err = countOf(command); err != nil {
			return 0, 0, err
		}
	}
	next, inWork, all := counts[0], counts[1], counts[2]
	inWork = min(inWork, all)
	return Sum(next, all-inWork), inWork, nil
}

// arrivals counts what ever came to a list whose consumers count what they have finished.
// While there are no consumers nothing is finished, so the last count is good until some
// come: it was asked for after the names of those who left.
type arrivals struct {
	command  *redis.StringCmd // GET of FinishedKey
	done     *redis.ZSliceCmd // ZRANGE of DoneKey, WITHSCORES
	spare    *redis.IntCmd    // LLEN of SpareKey
	finished int64            // -1: they don't count
	inPlace  int64            // of finished, those that are missing in SpareKey: the server is full, or was a moment ago
	highest  int64            // that was told; -1: none was
}

func newArrivals(q *Queue) *arrivals {
	return &arrivals{
		command:  text("get", FinishedKey(q.Key)),
		done:     keyed(redis.NewZSliceCmd(unbound, "zrange", DoneKey(q.Key), 0, 0, "withscores"), 1),
		spare:    number("llen", SpareKey(q.Key)),
		finished: -1, highest: -1,
	}
}

// count reads what is finished, by each of the counters.
func (a *arrivals) count() error {
	finished, err := counted(a.command)
	if wrongType(err) {
		finished, err = -1, nil // it is something else that bears this name
	}
	if err != nil {
		return err
	}
	a.finished = finished
	done, err := a.done.Result()
	if err != nil && !notOurs(err) {
		return err
	}
	if err == nil && len(done) == 1 && done[0].Member == DoneMember && done[0].Score >= 0 && done[0].Score < math.MaxInt64 { // else it is none of ours
		a.finished = Sum(max(0, finished), int64(done[0].Score))
	}
	there, err := countOf(a.spare)
	if err != nil && !notOurs(err) {
		return err
	}
	a.inPlace = 0
	if err == nil && there > 0 && there <= Spares {
		a.inPlace = Spares + 1 - there
		a.finished = Sum(max(0, a.finished), a.inPlace)
	}
	return nil
}

// notOurs tells whether an error says that a counter is another's, or may not be read.
func notOurs(err error) bool { return wrongType(err) || redis.HasErrorPrefix(err, "NOPERM") }

// movingMessages is how many messages may be counted twice because they moved between the
// commands of one read. A count that falls by more is that of a list that was emptied.
const movingMessages = 64

// added is how many messages ever came. A read is not atomic: where the next one finds a
// few messages less, the count stands still instead of falling.
func (a *arrivals) added(depth Depth) int64 {
	if a.finished < 0 {
		a.highest = -1
		return -1
	}
	added := Sum(depth.Total(), a.finished)
	if depth.LowerBound || added < a.highest && a.highest-added <= movingMessages {
		return a.highest
	}
	a.highest = added
	return added
}
