package broker

import (
	"errors"
	"fmt"
	"strings"

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

// AtSentinelError is a server that was read as one that holds data, and is a sentinel.
type AtSentinelError struct {
	Address string
	Masters []string // whose names it knows
}

// maxMasters is how many masters an error names.
const maxMasters = 10

func (e *AtSentinelError) Error() string {
	remedy := "set redisMode to Sentinel, and sentinelMaster to the name under which it knows the master"
	if len(e.Masters) > 0 {
		remedy += ", one of: " + strings.Join(e.Masters, ", ")
	}
	return fmt.Sprintf("the server at %s is a sentinel: %s", e.Address, remedy)
}

// atSentinel reads the rest of a sentinel's reply to ROLE: the names of its masters (Redis 7,
// src/sentinel.c, sentinelRoleCommand).
func atSentinel(address string, rest []any) error {
	found := &AtSentinelError{Address: address}
	if len(rest) == 0 {
		return found
	}
	masters, _ := rest[0].([]any)
	for _, master := range masters[:min(len(masters), maxMasters)] {
		if name, ok := master.(string); ok {
			found.Masters = append(found.Masters, name)
		}
	}
	return found
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
	if reply[0] == "sentinel" {
		return false, atSentinel(address, reply[1:])
	}
	// Redis and DragonFly (1.40) say "slave".
	if reply[0] != "slave" && reply[0] != "replica" {
		return false, nil
	}
	stale := &StaleReplicaError{Address: address}
	if len(reply) > 2 {
		stale.Master = fmt.Sprintf("%v:%v", reply[1], reply[2])
	}
	return false, stale
}
