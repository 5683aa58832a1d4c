package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// ReadError is a depth that could not be read. Its text is one line, says what to do, and never
// has a secret: what is in Err has passed redactor.safe and redactor.values.
type ReadError struct {
	Server Server
	Node   string // of the cluster, where one was asked; else empty
	Err    error
}

func (e *ReadError) Unwrap() error { return e.Err }

func (e *ReadError) Error() string {
	text := fmt.Sprintf("reading %s: ", e.Server)
	if e.Node != "" {
		text += "node " + e.Node + ": "
	}
	text += e.Err.Error()
	if remedy := e.Remedy(); remedy != "" {
		text += ": " + remedy
	}
	return oneLine(text)
}

// TooManyServersError is a server that is not read, because its namespace has asked for as
// many others as one may have.
type TooManyServersError struct {
	Namespace string
	Max       int
}

func (e *TooManyServersError) Error() string {
	return fmt.Sprintf("namespace %s has %d servers watched already, which is as many as one may have", e.Namespace, e.Max)
}

// Cause is a class of failures that want the same remedy.
type Cause string

// The causes.
const (
	Unreachable      Cause = "BrokerUnreachable"      // no connection, or it broke
	UnknownHost      Cause = "BrokerUnknownHost"      // the name does not resolve
	Slow             Cause = "BrokerTimeout"          // connected, but no answer in time
	Loading          Cause = "BrokerLoading"          // the server loads its data, or changes its role
	Unauthorized     Cause = "BrokerUnauthorized"     // it wants credentials, or other ones
	Forbidden        Cause = "BrokerForbidden"        // the user may not run the command
	NotAllowed       Cause = "BrokerNotAllowed"       // the scaler may not connect there
	SecretUnreadable Cause = "BrokerSecretUnreadable" // a Secret is missing, or is not as it should be
	StaleReplica     Cause = "BrokerIsReplica"        // it was the master, and is not any more
	TLSFailed        Cause = "BrokerTLSFailed"        // certificates don't fit, or one side does not expect TLS
	ClusterDown      Cause = "BrokerClusterDown"      // the cluster does not serve the queue's slot now
	WrongType        Cause = "QueueWrongType"         // the key holds something else
	NoGroup          Cause = "QueueGroupUnclear"      // several consumer groups, none named
	AgeUnknown       Cause = "QueueAgeUnknown"        // the age of its messages is not recorded
	ReplyTooLarge    Cause = "BrokerReplyTooLarge"    // a reply beyond what a depth can need
	ReplyBudget      Cause = "BrokerReplyBudget"      // no room beside the replies of other servers
	NotRedis         Cause = "BrokerNotRedis"         // what it sends is no reply of Redis, or it is a sentinel where a server should be
	TooManyServers   Cause = "BrokerTooMany"          // the namespace has as many servers as one may have
	Fault            Cause = "ScalerFault"            // of the scaler itself
	Unreadable       Cause = "BrokerError"            // any other answer
)

// Cause classifies the failure.
func (e *ReadError) Cause() Cause { return causeOf(e.Err) }

func causeOf(err error) Cause {
	if cause := ownCause(err); cause != "" {
		return cause
	}
	if errors.As(err, new(redis.Error)) {
		return replyCause(err)
	}
	var dns *net.DNSError
	var network *net.OpError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return UnknownHost
	case errors.As(err, &network) && network.Op == "dial", errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &dns):
		return Unreachable
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return Slow
	default:
		return Unreachable
	}
}

// ownCause is the cause of errors that this project makes; empty for others.
func ownCause(err error) Cause {
	switch {
	case errors.As(err, new(*PanicError)), errors.As(err, new(*ModeError)), errors.As(err, new(*queue.UnknownError)):
		return Fault
	case errors.As(err, new(*NotAllowedError)):
		return NotAllowed
	case errors.As(err, new(*SecretError)):
		return SecretUnreadable
	case errors.As(err, new(*StaleReplicaError)):
		return StaleReplica
	case errors.As(err, new(*TLSError)):
		return TLSFailed
	case errors.As(err, new(*ReplyLimitError)), errors.As(err, new(*NodesError)):
		return ReplyTooLarge
	case errors.As(err, new(*ReplyBudgetError)):
		return ReplyBudget
	case errors.As(err, new(*NotRESPError)), errors.As(err, new(*MasterAddressError)), errors.As(err, new(*AtSentinelError)):
		return NotRedis
	case errors.As(err, new(*TooManyServersError)):
		return TooManyServers
	case errors.As(err, new(*queue.WrongTypeError)):
		return WrongType
	case errors.As(err, new(*queue.GroupError)):
		return NoGroup
	case errors.As(err, new(*queue.AgeUnknownError)):
		return AgeUnknown
	case errors.As(err, new(*queue.ElsewhereError)):
		return ClusterDown
	case errors.As(err, new(*queue.ReplyError)):
		return Unreadable
	case errors.As(err, new(*queue.BacklogError)) && !errors.As(err, new(redis.Error)):
		return Unreadable
	default:
		return ""
	}
}

// replies are the causes of errors that a server answers with, by how those begin.
var replies = []struct {
	prefix string
	cause  Cause
}{
	{"WRONGTYPE", WrongType},
	{"LOADING", Loading},
	{"MASTERDOWN", Loading},
	{"BUSY", Loading},
	{"READONLY", StaleReplica},
	{"CLUSTERDOWN", ClusterDown},
	{"TRYAGAIN", ClusterDown},
	{"MOVED", ClusterDown},
	{"ASK", ClusterDown},
	{"NOAUTH", Unauthorized},
	{"WRONGPASS", Unauthorized},
	{"invalid password", Unauthorized}, // Redis before 6
	{authWithoutPassword, Unauthorized},
	{authWithoutPassword5, Unauthorized},
	{"NOPERM", Forbidden},
	{"DENIED", Forbidden},
	{tooManyClients, Unreachable},
}

func replyCause(err error) Cause {
	for _, reply := range replies {
		if redis.HasErrorPrefix(err, reply.prefix) {
			return reply.cause
		}
	}
	return Unreadable
}
