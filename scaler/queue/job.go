package queue

import (
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// jobTime reads when a job came, which a field of the job's own hash tells. The job of the
// last read is asked about in the same round as which one is the oldest; where that is
// another by now, it takes one more.
//
// A job whose hash is gone has no age: it was taken and removed between the two commands,
// or it has expired in the queue. The age is then that of nobody.
type jobTime struct {
	hash  string // what precedes the job's id in its hash's key
	field string
	read  framework.ReadTime

	id   string
	came *redis.StringCmd // HGET of that id's
}

func (j *jobTime) ask(commands []redis.Cmder) []redis.Cmder {
	if j.id == "" {
		return commands
	}
	return append(commands, fresh(j.came))
}

// add adds when the job of that id came. Where it returns false, another round must tell.
func (j *jobTime) add(depth *Depth, id string, replies *replies, r round) (done bool) {
	came, done := j.of(id, replies, r.last)
	replies.came(depth, came, r.now)
	return done
}

// of is when the job of that id came; zero where there is no such job. Where done is
// false, another round must tell.
func (j *jobTime) of(id string, replies *replies, last bool) (came time.Time, done bool) {
	if id == "" {
		j.id, j.came = "", nil
		return time.Time{}, true
	}
	if id != j.id {
		j.id, j.came = id, text("hget", j.hash+id, j.field)
		return time.Time{}, last
	}
	value, err := j.came.Result()
	if errors.Is(err, redis.Nil) {
		return time.Time{}, true
	}
	if err != nil {
		replies.failed(j.came, framework.Hash, err)
		return time.Time{}, true
	}
	came, err = j.read(value)
	if err != nil {
		replies.failed(j.came, framework.Hash, &ReplyError{Command: fmt.Sprintf("HGET %s %s", j.hash+id, j.field), Err: err})
	}
	return came, true
}

// element is the reply to LINDEX; empty where there is none.
func (r *replies) element(command *redis.StringCmd) string {
	element, err := command.Result()
	if errors.Is(err, redis.Nil) {
		return ""
	}
	r.failed(command, framework.List, err)
	return element
}
