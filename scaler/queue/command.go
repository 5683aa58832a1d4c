package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// unbound is the context of every command: a command outlives the read that it was made
// for, and go-redis goes by the context of the pipeline.
var unbound = context.Background()

// errNoReply is the error of a command until its reply has been read.
var errNoReply = errors.New("no reply")

// fresh readies a command to be sent, for the first time or again. go-redis leaves the
// error and the value of a command as they are where the server refuses the connection
// (a wrong password, for one): without an error of its own an old value, or 0, would pass
// for a reply.
func fresh[C redis.Cmder](command C) C {
	command.SetErr(errNoReply)
	return command
}

// keyed says which argument is the command's key, so that a client of a cluster need not
// ask COMMAND for that.
func keyed[C redis.Cmder](command C, position int8) C {
	command.SetFirstKeyPos(position)
	return command
}

// number is a command that replies with a number, and whose first argument is its key.
func number(args ...any) *redis.IntCmd { return keyed(redis.NewIntCmd(unbound, args...), 1) }

// text is a command that replies with a string, and whose first argument is its key.
func text(args ...any) *redis.StringCmd { return keyed(redis.NewStringCmd(unbound, args...), 1) }

// countOf is the reply to a command that counts something. No count is negative: a server
// that says so, or what stands in its place, is not to be believed.
func countOf(command *redis.IntCmd) (int64, error) {
	count, err := command.Result()
	if err != nil {
		return 0, err
	}
	if count < 0 {
		return 0, notACount(command, count)
	}
	return count, nil
}

// notACount is the error of a command, with its first argument, that counted less than none.
func notACount(command redis.Cmder, count int64) error {
	words := strings.ToUpper(command.Name())
	if args := command.Args(); len(args) > 1 {
		words = fmt.Sprintf("%s %v", words, args[1])
	}
	return &ReplyError{Command: words, Err: fmt.Errorf("%d is not a count", count)}
}

// counted reads a counter that does without: -1 where there is none, or none that the user
// may read.
func counted(command *redis.StringCmd) (int64, error) {
	reply, err := command.Result()
	switch {
	case errors.Is(err, redis.Nil), err != nil && redis.HasErrorPrefix(err, "NOPERM"):
		return -1, nil
	case err != nil:
		return -1, err
	}
	if count, err := strconv.ParseInt(reply, 10, 64); err == nil && count >= 0 {
		return count, nil
	}
	return -1, nil
}

func wrongType(err error) bool {
	return err != nil && redis.HasErrorPrefix(err, "WRONGTYPE") // which allocates in any case
}

// noSuchKey tells an absent key from other errors: XINFO answers "ERR no such key", on
// Redis and on DragonFly.
func noSuchKey(err error) bool {
	return err != nil && strings.Contains(err.Error(), "no such key")
}
