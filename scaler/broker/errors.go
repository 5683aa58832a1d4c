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

// ReadError is a depth that could not be read. Its text says what to do.
type ReadError struct {
	Server Server
	Err    error
}

func (e *ReadError) Unwrap() error { return e.Err }

func (e *ReadError) Error() string {
	text := fmt.Sprintf("reading %s: %v", e.Server, e.Err)
	if remedy := remedies[e.Cause()]; remedy != "" {
		text += ": " + remedy
	}
	return text
}

// Cause is a class of failures that want the same remedy.
type Cause string

// The causes.
const (
	Unreachable  Cause = "BrokerUnreachable"  // no connection, or it broke
	UnknownHost  Cause = "BrokerUnknownHost"  // the name does not resolve
	Slow         Cause = "BrokerTimeout"      // connected, but no answer in time
	Loading      Cause = "BrokerLoading"      // the server loads its data, or changes its role
	Unauthorized Cause = "BrokerUnauthorized" // it wants credentials, or other ones
	Forbidden    Cause = "BrokerForbidden"    // the user may not run the command
	WrongType    Cause = "QueueWrongType"     // the key holds something else
	NoGroup      Cause = "QueueGroupUnclear"  // several consumer groups, none named
	Unreadable   Cause = "BrokerError"        // any other answer
)

var remedies = map[Cause]string{
	Unreachable:  "check that the server runs and accepts connections there, or correct redisAddress",
	UnknownHost:  "no such host: correct redisAddress (a host without a dot is a Service in the namespace of the ScaledObject)",
	Slow:         "the server accepts connections but does not answer: check its load, or that it is a Redis or DragonFly server",
	Loading:      "the server is not ready yet: it is asked again by itself",
	Unauthorized: "the server wants other credentials",
	Forbidden:    "let the server's user run TYPE, EXISTS, LLEN, ZRANGE, XINFO and XRANGE",
}

// Cause classifies the failure.
func (e *ReadError) Cause() Cause {
	var dns *net.DNSError
	var wrongType *queue.WrongTypeError
	var group *queue.GroupError
	var network *net.OpError
	switch err := e.Err; {
	case errors.As(err, &wrongType), redis.HasErrorPrefix(err, "WRONGTYPE"):
		return WrongType
	case errors.As(err, &group):
		return NoGroup
	case errors.As(err, &dns) && dns.IsNotFound:
		return UnknownHost
	case redis.HasErrorPrefix(err, "LOADING"), redis.HasErrorPrefix(err, "MASTERDOWN"), redis.HasErrorPrefix(err, "BUSY"):
		return Loading
	case redis.HasErrorPrefix(err, "NOAUTH"), redis.HasErrorPrefix(err, "WRONGPASS"):
		return Unauthorized
	case redis.HasErrorPrefix(err, "NOPERM"):
		return Forbidden
	case errors.As(err, new(redis.Error)), errors.As(err, new(*queue.ReplyError)):
		return Unreadable
	case errors.As(err, &network) && network.Op == "dial", errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &dns):
		return Unreachable
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return Slow
	default:
		return Unreachable
	}
}
