package broker

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// remedies has one for each cause; empty where the error itself has it.
var remedies = map[Cause]string{
	Unreachable:      "check that the server runs and accepts connections there, or correct redisAddress",
	UnknownHost:      "no such host: correct redisAddress (a host without a dot is a Service in the namespace of the ScaledObject)",
	Slow:             "the server accepts connections but does not answer: check its load, or that it is a Redis or DragonFly server",
	Loading:          "the server is not ready yet: it is asked again by itself",
	Unauthorized:     "the server wants other credentials: correct what usernameFromSecret and passwordFromSecret name, or set them",
	Forbidden:        "give the server's user the rights that docs/queues.md names",
	NotAllowed:       "the administrator of the scaler decides which servers it may connect to: use one of those, or have this one added to its --allowed-broker-addresses",
	SecretUnreadable: "correct the Secret or the reference to it; it must be in the namespace of the ScaledObject",
	StaleReplica:     "the master is looked for by itself; where that lasts, redisAddress leads to a replica: correct it",
	TLSFailed:        "make tls, caFromSecret, clientCertificateFromSecret and tlsServerName fit the server (enableTLS is KEDA's, for its own connection to the scaler)",
	ReplyTooLarge:    "check that it is a Redis or DragonFly server, and its stream's entries and consumers, or correct redisAddress",
	ReplyBudget:      "it is asked again by itself; where that lasts, make the entries of the streams on those servers smaller",
	TooManyServers:   "let its channels share servers, or have the administrator raise the scaler's --max-servers-per-namespace",
	WrongType:        "",
	NoGroup:          "",
	AgeUnknown:       "",
	NotRedis:         "",
	Fault:            "",
	Unreadable:       "",
	ClusterDown:      "the queue's slot is without a master, or moves to another: it is asked again by itself; where that lasts, look at the cluster's CLUSTER INFO",
}

// What servers answer, by how it begins or what it has in it.
const (
	tooManyClients       = "max number of clients"                                  // Redis and DragonFly, beyond maxclients
	authWithoutPassword  = "AUTH <password> called without any password configured" //nolint:gosec // what Redis says from 6 on
	authWithoutPassword5 = "Client sent AUTH, but no password is set"               //nolint:gosec // what Redis said before 6
	noSuchDatabase       = "DB index is out of range"
	selectInCluster      = "SELECT is not allowed in cluster mode"
	clusterDisabled      = "cluster support disabled" // Redis
	clusterDisabledDF    = "Cluster is disabled"      // DragonFly: "Enabled via passing --cluster_mode=emulated|yes"
	unknownCommand       = "unknown command"
)

// Remedy is what to do about the error: what its circumstances tell, else what its cause does;
// empty where the error says it itself.
func (e *ReadError) Remedy() string {
	for _, of := range []func() string{e.ofSecret, e.ofCertificate, e.ofTopology, e.ofSentinels, e.ofReply, e.ofNode} {
		if remedy := of(); remedy != "" {
			return remedy
		}
	}
	return remedies[e.Cause()]
}

// ofSecret is the remedy where a Secret, or an environment, is not as it should be.
func (e *ReadError) ofSecret() string {
	var secret *SecretError
	switch {
	case errors.As(e.Err, &secret) && secret.Name == "":
		return "correct the variable in the environment of the target's container"
	case errors.Is(e.Err, ErrForbidden):
		return "let the scaler get it: name the namespace in the chart's scaler.secrets.namespaces, or bind the ClusterRole of the scaler's Secrets to its ServiceAccount there"
	case errors.Is(e.Err, errNoSecrets):
		return "give the credentials by the environment of the target's container (passwordFromEnv), or run the scaler with access to a cluster"
	case errors.As(e.Err, &secret) && secret.Key == "" && errors.As(secret.Err, new(net.Error)):
		return "the API server does not answer the scaler: it is asked again by itself"
	case errors.Is(e.Err, errSecretsBusy):
		return "it is tried again by itself; triggers that share a Secret are read with one"
	default:
		return ""
	}
}

// ofCertificate is the remedy where what is wrong with the server's certificate is known.
func (e *ReadError) ofCertificate() string {
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(e.Err, new(x509.HostnameError)):
		return "set tlsServerName to a name that the server's certificate has, or give it a certificate for its address"
	case errors.As(e.Err, new(x509.UnknownAuthorityError)):
		return "let caFromSecret name the authority that signed the server's certificate"
	case errors.As(e.Err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the server's certificate, or correct the clocks"
	default:
		return ""
	}
}

// ofTopology is the remedy where the server is set up in another way than its Mode says.
func (e *ReadError) ofTopology() string {
	mode := e.Server.Mode
	switch {
	case mode == Sentinel && errors.Is(e.Err, redis.Nil):
		return fmt.Sprintf("no sentinel knows a master %q: correct sentinelMaster", e.Server.SentinelMaster)
	case mode == Sentinel && e.unknown("sentinel"):
		return "the server is not a sentinel: correct redisAddress, or leave redisMode and sentinelMaster out"
	case mode == Cluster && (e.answers(clusterDisabled) || e.answers(clusterDisabledDF)):
		return "the server is not in a cluster: leave redisMode out"
	case mode == Cluster && e.unknown("cluster"):
		return "the server knows no cluster: leave redisMode out, or, if it is a sentinel, set redisMode to Sentinel and sentinelMaster to its master's name"
	case mode != Cluster && redis.HasErrorPrefix(e.Err, "MOVED"):
		return "the server is one of a cluster: set redisMode to Cluster"
	case mode != Cluster && e.answers(selectInCluster):
		return "the server is one of a cluster: set redisMode to Cluster and leave database out"
	case e.unknown("select"):
		return "the server has no databases: if it is a sentinel, set redisMode to Sentinel and sentinelMaster to its master's name; else leave database out"
	default:
		return ""
	}
}

// ofSentinels is the remedy where it was a sentinel that refused, or the master that they name.
func (e *ReadError) ofSentinels() string {
	if e.Server.Mode != Sentinel {
		return ""
	}
	cause := e.Cause()
	if !errors.As(e.Err, new(*sentinelError)) {
		switch cause { //nolint:exhaustive // the others' remedies are as for any server
		case StaleReplica:
			return "the master is looked for by itself; where that lasts, the sentinels name a replica: compare SENTINEL MASTER with the servers' ROLE"
		case Unreachable, UnknownHost:
			return "check that the sentinels at redisAddress run, and that the master that they name does and can be reached from the scaler at the address that it announces to them (replica-announce-ip)"
		}
		return ""
	}
	switch cause { //nolint:exhaustive // as above
	case Unauthorized:
		if e.answers(authWithoutPassword) || e.answers(authWithoutPassword5) {
			return "the sentinels have no password: leave sentinelPasswordFromSecret out"
		}
		return "the sentinels want other credentials: correct what sentinelUsernameFromSecret and sentinelPasswordFromSecret name, or set them; the server's are not sent to sentinels"
	case Forbidden:
		return "give the sentinels' user the rights that docs/queues.md names for sentinels"
	case TLSFailed:
		return "make sentinelTLS (by default as tls), caFromSecret, clientCertificateFromSecret and tlsServerName fit the sentinels"
	case Unreachable:
		if e.tooManyClients() {
			return "the sentinels take no more connections: raise their maxclients"
		}
		return "check that the sentinels run and accept connections there, or correct redisAddress"
	default:
		return ""
	}
}

// ofReply is the remedy for an answer that tells more than its cause.
func (e *ReadError) ofReply() string {
	switch {
	case e.tooManyClients():
		return "the server takes no more connections: raise its maxclients, or find out with CLIENT LIST who holds so many"
	case e.answers(noSuchDatabase):
		return fmt.Sprintf("database is %d, and the server has fewer: lower it, or give the server more (databases of Redis, dbnum of DragonFly)", e.Server.Database)
	case e.answers(authWithoutPassword), e.answers(authWithoutPassword5):
		return "the server's default user has no password: leave passwordFromSecret out, or set usernameFromSecret to the user whose password it is"
	case redis.HasErrorPrefix(e.Err, "WRONGPASS"):
		return remedies[Unauthorized] + " (a Secret's value is sent as it is, and must not end in a space)"
	case redis.HasErrorPrefix(e.Err, unknownCommand), redis.HasErrorPrefix(e.Err, "unknown subcommand"), redis.HasErrorPrefix(e.Err, "Unknown subcommand"):
		return "the server may have the command renamed (rename-command), or be none of those that docs/queues.md names"
	case redis.HasErrorPrefix(e.Err, "BUSY "):
		return "a script keeps the server busy: end it (SCRIPT KILL); the server is asked again by itself"
	case redis.HasErrorPrefix(e.Err, "MASTERDOWN"):
		return "the server is a replica without its master: correct redisAddress, or bring the master back"
	case errors.Is(e.Err, queue.ErrLimit):
		return "set the limit anew with the framework's own functions (BullMQ: setGlobalConcurrency, setGlobalRateLimit), or remove that field (HDEL)"
	case e.isReplyError():
		return "it is read again by itself; where that lasts, report it as a fault, with the server's version (INFO server)"
	case redis.HasErrorPrefix(e.Err, "DENIED"):
		return "the server is in protected mode: give it a password or ACL users, or set its protected-mode to no"
	default:
		return ""
	}
}

// ofNode is the remedy where a node of a cluster can't be reached, whose address the cluster told.
func (e *ReadError) ofNode() string {
	if cause := e.Cause(); e.Server.Mode != Cluster || e.Node == "" || cause != Unreachable && cause != UnknownHost {
		return ""
	}
	return "the cluster names this node: check that it runs, and can be reached from the scaler at that address (cluster-announce-ip, cluster-announce-hostname)"
}

// answers reports whether an error of the server has words in it.
func (e *ReadError) answers(words string) bool {
	return errors.As(e.Err, new(redis.Error)) && strings.Contains(e.Err.Error(), words)
}

// isReplyError reports whether it is a reply of another shape, not one that tells of an error.
func (e *ReadError) isReplyError() bool {
	return errors.As(e.Err, new(*queue.ReplyError)) && !errors.As(e.Err, new(redis.Error))
}

func (e *ReadError) tooManyClients() bool { return redis.HasErrorPrefix(e.Err, tooManyClients) }

// unknown reports whether the server does not know a command. Redis repeats its name as it was sent.
func (e *ReadError) unknown(command string) bool {
	return redis.HasErrorPrefix(e.Err, unknownCommand) && strings.Contains(strings.ToLower(e.Err.Error()), command)
}
