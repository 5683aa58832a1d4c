package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
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
	remedy := e.mistaken()
	if remedy == "" {
		remedy = remedies[e.Cause()]
	}
	if remedy != "" {
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
	NotRedis         Cause = "BrokerNotRedis"         // what it sends is no reply of Redis
	TooManyServers   Cause = "BrokerTooMany"          // the namespace has as many servers as one may have
	Fault            Cause = "ScalerFault"            // of the scaler itself
	Unreadable       Cause = "BrokerError"            // any other answer
)

// remedies has one for each cause; empty where the error itself has it.
var remedies = map[Cause]string{
	Unreachable:      "check that the server runs and accepts connections there, or correct redisAddress",
	UnknownHost:      "no such host: correct redisAddress (a host without a dot is a Service in the namespace of the ScaledObject)",
	Slow:             "the server accepts connections but does not answer: check its load, or that it is a Redis or DragonFly server",
	Loading:          "the server is not ready yet: it is asked again by itself",
	Unauthorized:     "the server wants other credentials: correct what usernameFromSecret and passwordFromSecret name, or set them",
	Forbidden:        "give the server's user the rights that docs/queues.md names",
	NotAllowed:       "the administrator of the scaler decides which servers it may connect to: use one of those, or have this one added",
	SecretUnreadable: "correct the Secret or the reference to it; it must be in the namespace of the ScaledObject",
	StaleReplica:     "the master is looked for by itself; where that lasts, redisAddress leads to a replica: correct it",
	TLSFailed:        "make tls, caFromSecret, clientCertificateFromSecret and tlsServerName fit the server",
	ReplyTooLarge:    "check that it is a Redis or DragonFly server, and its stream's entries and consumers, or correct redisAddress",
	ReplyBudget:      "it is asked again by itself; where that lasts, make the entries of the streams on those servers smaller",
	TooManyServers:   "let its channels share servers, or have the administrator raise the scaler's --max-servers-per-namespace",
	WrongType:        "",
	NoGroup:          "",
	AgeUnknown:       "",
	NotRedis:         "",
	Fault:            "",
	Unreadable:       "",
	ClusterDown:      "the queue's slot is without a master, or moves to another: it is asked again by itself",
}

// mistaken is the remedy where the server is set up in another way than its Mode says.
func (e *ReadError) mistaken() string {
	mode := e.Server.Mode
	var secret *SecretError
	switch {
	case errors.As(e.Err, &secret) && secret.Name == "":
		return "correct the variable in the environment of the target's container"
	case errors.Is(e.Err, ErrForbidden):
		return "let the scaler get it: name the namespace in the chart's scaler.secrets.namespaces, or bind the ClusterRole of the scaler's Secrets to its ServiceAccount there"
	case errors.Is(e.Err, errSecretsBusy):
		return "it is tried again by itself; triggers that share a Secret are read with one"
	case mode == Sentinel && errors.Is(e.Err, redis.Nil):
		return fmt.Sprintf("no sentinel knows a master %q: correct sentinelMaster", e.Server.SentinelMaster)
	case mode == Sentinel && redis.HasErrorPrefix(e.Err, "unknown command") && strings.Contains(strings.ToLower(e.Err.Error()), "sentinel"):
		return "the server is not a sentinel: correct redisAddress, or leave redisMode out"
	case mode == Cluster && strings.Contains(e.Err.Error(), "cluster support disabled"):
		return "the server is not in a cluster: leave redisMode out"
	case mode != Cluster && redis.HasErrorPrefix(e.Err, "MOVED"):
		return "the server is one of a cluster: set redisMode to Cluster"
	default:
		return ""
	}
}

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
	case errors.As(err, new(*NotRESPError)), errors.As(err, new(*MasterAddressError)):
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
	{"NOPERM", Forbidden},
}

func replyCause(err error) Cause {
	for _, reply := range replies {
		if redis.HasErrorPrefix(err, reply.prefix) {
			return reply.cause
		}
	}
	return Unreadable
}
