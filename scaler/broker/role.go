package broker

import (
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// A master that was demoted keeps its connections, and answers on them with what it had,
// or what it has copied so far. So each pipeline ends with ROLE: a depth counts only where
// the server was the master when it had given it.

// StaleReplicaError is a server that is not the master any more.
type StaleReplicaError struct {
	Address string // of the server that was read
	Master  string // as that server says; empty where it does not
}

func (e *StaleReplicaError) Error() string {
	if e.Master == "" {
		return fmt.Sprintf("the server at %s is a replica now", e.Address)
	}
	return fmt.Sprintf("the server at %s is a replica of %s now", e.Address, e.Master)
}

// errNoReply is the error of a command until its reply has been read: go-redis leaves a
// command as it is where the server refuses the connection.
var errNoReply = errors.New("no reply")

// checkRole reads the reply to ROLE. refused is set where the server does not let this user
// ask, or does not know the command: the depths are then taken as they are.
func checkRole(role *redis.SliceCmd, address string) (refused bool, err error) {
	reply, err := role.Result()
	switch {
	case err == nil:
	case redis.HasErrorPrefix(err, "NOPERM"), redis.HasErrorPrefix(err, "unknown command"), redis.HasErrorPrefix(err, "unsupported"):
		return true, nil
	default:
		return false, fmt.Errorf("ROLE: %w", err)
	}
	if len(reply) == 0 {
		return true, nil
	}
	// "slave" on Redis and older versions of DragonFly.
	if reply[0] != "slave" && reply[0] != "replica" {
		return false, nil
	}
	stale := &StaleReplicaError{Address: address}
	if len(reply) > 2 {
		stale.Master = fmt.Sprintf("%v:%v", reply[1], reply[2])
	}
	return false, stale
}
