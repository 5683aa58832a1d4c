package queue

import "github.com/redis/go-redis/v9"

const rqQueue = "rq:queue:"

// rqReader reads one queue of RQ, into which jobs are pushed on the right. A worker moves
// a job to the queue's intermediate list, and from there to the sorted set wip, whose
// scores say until when each is believed to be alive (rq/registry.py).
type rqReader struct {
	scheduled    due
	waiting      *redis.IntCmd // LLEN
	intermediate *redis.IntCmd // LLEN
	started      *redis.IntCmd // ZCOUNT
	oldest       *redis.StringCmd
	job          *jobTime // nil, as is oldest: ages are not wanted
}

func newRQReader(q Queue) *rqReader {
	key := rqQueue + q.Key
	reader := &rqReader{
		scheduled:    newDue("rq:scheduled:"+q.Key, secondsClock, q.Age),
		waiting:      number("llen", key),
		intermediate: number("llen", key+":intermediate"),
		started:      number("zcount", "rq:wip:"+q.Key, "", "+inf"),
	}
	if q.Age {
		reader.oldest = text("lindex", key, 0)
		reader.job = &jobTime{hash: "rq:job:", field: "enqueued_at", read: readISO}
	}
	return reader
}

// ask has the keys in the order in which a job runs through them.
func (q *rqReader) ask(commands []redis.Cmder, r round) []redis.Cmder {
	q.started.Args()[2] = unixSeconds(r.now)
	commands = q.scheduled.ask(commands, r.now)
	commands = append(commands, fresh(q.waiting), fresh(q.intermediate), fresh(q.started))
	if q.job == nil {
		return commands
	}
	return q.job.ask(append(commands, fresh(q.oldest)))
}

func (q *rqReader) answer(r round) (Depth, bool, error) {
	replies := replies{queue: r.queue}
	depth := Depth{Kind: RQ, Added: -1}
	depth.Ready, depth.Oldest = replies.due(&q.scheduled, r.now)
	depth.Ready = Sum(depth.Ready, replies.number(q.waiting, List))
	depth.InFlight = Sum(replies.number(q.intermediate, List), replies.number(q.started, SortedSet))
	done := true
	if q.job != nil {
		done = q.job.add(&depth, replies.element(q.oldest), &replies, r)
	}
	return replies.result(depth, done)
}
