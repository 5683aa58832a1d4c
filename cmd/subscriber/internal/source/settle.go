package source

import (
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"
)

// settleEach tells the server each of the ends that it may not know of, and returns those that it did not take, for the next time.
// The trouble of one holds up no other:
//   - What is refused stays, and the others are told.
//   - Once there is no room, what needs some is left out: the rest is what makes room.
//   - Where no answer comes, the others would wait for none either. But it may be this one's fault, for one if it is too large to be
//     sent in time: so it is the last of the next time.
//
// err is that the server is full only if there is no other.
func settleEach[E interface{ needsRoom() bool }](open []E, tell func(*E) error) (left []E, err error) {
	full := false
	for i := range open {
		if full && open[i].needsRoom() {
			left = append(left, open[i])
			continue
		}
		told := tell(&open[i])
		switch {
		case told == nil:
			continue
		case !answered(told):
			return slices.Concat(open[i+1:], left, open[i:i+1]), told
		case isFull(told):
			full = true
		}
		left = append(left, open[i])
		if err == nil || isFull(err) {
			err = told
		}
	}
	return left, err
}

// answered tells whether the server refused a command, rather than that nothing was heard of it.
func answered(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer)
}
