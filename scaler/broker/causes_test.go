package broker

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/declared"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// Each type of errors that this package and queue have is classed on purpose. One without a
// row would be told as a server that can't be reached, with a remedy that helps nobody.
func TestEveryErrorHasACause(t *testing.T) {
	type row struct {
		err   error
		cause Cause
	}
	own := map[string]row{
		"AtSentinelError":     {&AtSentinelError{}, NotRedis},
		"MasterAddressError":  {&MasterAddressError{}, NotRedis},
		"ModeError":           {&ModeError{}, Fault},
		"NodesError":          {&NodesError{}, ReplyTooLarge},
		"NotAllowedError":     {&NotAllowedError{}, NotAllowed},
		"NotRESPError":        {&NotRESPError{}, NotRedis},
		"PanicError":          {&PanicError{}, Fault},
		"ReadError":           {&ReadError{Err: &SecretError{}}, SecretUnreadable},
		"ReplyBudgetError":    {&ReplyBudgetError{}, ReplyBudget},
		"ReplyLimitError":     {&ReplyLimitError{}, ReplyTooLarge},
		"SecretError":         {&SecretError{}, SecretUnreadable},
		"StaleReplicaError":   {&StaleReplicaError{}, StaleReplica},
		"TLSError":            {&TLSError{}, TLSFailed},
		"TooManyServersError": {&TooManyServersError{}, TooManyServers},
	}
	queues := map[string]row{
		"AgeUnknownError": {&queue.AgeUnknownError{}, AgeUnknown},
		"BacklogError":    {&queue.BacklogError{}, Unreadable},
		"ElsewhereError":  {&queue.ElsewhereError{}, ClusterDown},
		"GroupError":      {&queue.GroupError{}, NoGroup},
		"ReplyError":      {&queue.ReplyError{}, Unreadable},
		"UnknownError":    {&queue.UnknownError{}, Fault},
		"WrongTypeError":  {&queue.WrongTypeError{}, WrongType},
	}
	others := map[string]row{
		"no such host":              {&net.DNSError{IsNotFound: true}, UnknownHost},
		"a name server's failure":   {&net.DNSError{}, Unreachable},
		"a silent name server":      {&net.DNSError{IsTimeout: true, UnwrapErr: context.DeadlineExceeded}, Unreachable},
		"refused":                   {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, Unreachable},
		"a dial without an answer":  {&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, Unreachable},
		"no answer":                 {context.DeadlineExceeded, Slow},
		"no answer, by the network": {&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, Slow},
		"one is silent, one away":   {errors.Join(&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), Unreachable},
		"cut off":                   {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, Unreachable},
		"a backlog that is refused": {&queue.BacklogError{Err: reply("NOPERM x")}, Forbidden},
	}
	for path, rows := range map[string]map[string]row{"scaler/broker": own, "scaler/queue": queues, "": others} {
		if path != "" {
			for _, name := range declared.Errors(t, "github.com/jawaracloud/pubsub-operator/"+path) {
				require.Contains(t, rows, name, "which cause has an error of this type of %s?", path)
			}
		}
		for name, row := range rows {
			assert.Equal(t, row.cause, causeOf(row.err), name)
			assert.Equal(t, row.cause, causeOf(fmt.Errorf("wrapped: %w", row.err)), name)
		}
	}
}

// What a server answers with is classed by how that begins (Redis 7, src/server.c,
// createSharedObjects; DragonFly the same).
func TestEveryReplyHasACause(t *testing.T) {
	known := map[string]Cause{
		"WRONGTYPE": WrongType, "LOADING": Loading, "MASTERDOWN": Loading, "BUSY": Loading, "READONLY": StaleReplica,
		"CLUSTERDOWN": ClusterDown, "TRYAGAIN": ClusterDown, "MOVED": ClusterDown, "ASK": ClusterDown,
		"NOAUTH": Unauthorized, "WRONGPASS": Unauthorized, "invalid password": Unauthorized, "NOPERM": Forbidden, "DENIED": Forbidden,
		"AUTH <password> called without any password configured": Unauthorized, "Client sent AUTH, but no password is set": Unauthorized,
		"max number of clients": Unreachable,
	}
	for _, row := range replies {
		assert.Contains(t, known, row.prefix)
	}
	for prefix, cause := range known {
		assert.Equal(t, cause, causeOf(reply(prefix+" x")), prefix)
		assert.Equal(t, cause, causeOf(reply("ERR "+prefix+" x")), prefix)
	}
	assert.Equal(t, Unreadable, causeOf(reply("ERR x")))
}

// An error has one remedy: its own, or that of its cause.
func TestEveryCauseHasARemedy(t *testing.T) {
	itself := map[Cause]string{
		WrongType:  (&queue.WrongTypeError{}).Error(),
		NoGroup:    (&queue.GroupError{}).Error(),
		AgeUnknown: (&queue.AgeUnknownError{}).Error(),
		NotRedis:   (&NotRESPError{}).Error(),
		Fault:      (&PanicError{}).Error(),
		Unreadable: "", // nobody knows what to do about any answer
	}
	for _, cause := range declared.Values[Cause](t) {
		remedy, known := remedies[cause]
		words, own := itself[cause]
		assert.True(t, known, "%s has no row", cause)
		assert.NotEqual(t, own, remedy != "", "%s: %q, %q", cause, remedy, words)
	}
	for cause, words := range itself {
		hints := []string{"correct ", "set ", "leave ", "log has the details"}
		found := cause == Unreadable
		for _, hint := range hints {
			found = found || strings.Contains(words, hint)
		}
		assert.True(t, found, "%s: %q says nothing of what to do", cause, words)
	}
}

// What shows that a server is set up in another way than its trigger says, or where what is wrong
// stands, has a remedy of its own, not that of its cause.
func TestEveryMistakeHasItsOwnRemedy(t *testing.T) {
	unreadable := func(name string, err error) error { return &SecretError{Purpose: "the password", Name: name, Err: err} }
	tests := map[string]struct {
		mode Mode
		err  error
		want string
	}{
		"an environment":            {Standalone, unreadable("", errBreak), "correct the variable in the environment of the target's container"},
		"a Secret":                  {Standalone, unreadable("auth", errNoKey), remedies[SecretUnreadable]},
		"no right":                  {Standalone, unreadable("auth", fmt.Errorf("%w: x", ErrForbidden)), "name the namespace in the chart's scaler.secrets.namespaces"},
		"too many at a time":        {Standalone, unreadable("auth", errSecretsBusy), "it is tried again by itself; triggers that share a Secret are read with one"},
		"no such master":            {Sentinel, redis.Nil, "correct sentinelMaster"},
		"no sentinel":               {Sentinel, reply("ERR unknown command 'sentinel'"), "the server is not a sentinel"},
		"no cluster":                {Cluster, reply("ERR This instance has cluster support disabled"), "the server is not in a cluster: leave redisMode out"},
		"no cluster, DragonFly":     {Cluster, reply("ERR Cluster is disabled. Enabled via passing --cluster_mode=emulated|yes"), "the server is not in a cluster: leave redisMode out"},
		"no password":               {Standalone, reply("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"), "the server's default user has no password: leave passwordFromSecret out"},
		"no password, Redis 5":      {Standalone, reply("ERR Client sent AUTH, but no password is set"), "the server's default user has no password: leave passwordFromSecret out"},
		"sentinels' password":       {Sentinel, &sentinelError{reply("ERR Client sent AUTH, but no password is set")}, "the sentinels have no password: leave sentinelPasswordFromSecret out"},
		"sentinels' rights":         {Sentinel, &sentinelError{reply("NOPERM x")}, "give the sentinels' user the rights that docs/queues.md names for sentinels"},
		"sentinels' TLS":            {Sentinel, &sentinelError{&TLSError{}}, "make sentinelTLS (by default as tls), caFromSecret"},
		"sentinels' clients":        {Sentinel, &sentinelError{reply("ERR max number of clients reached")}, "the sentinels take no more connections: raise their maxclients"},
		"sentinels' stale word":     {Sentinel, &StaleReplicaError{}, "the sentinels name a replica: compare SENTINEL MASTER"},
		"an API server's rest":      {Standalone, &SecretError{Name: "auth", Err: context.DeadlineExceeded}, "the API server does not answer the scaler: it is asked again by itself"},
		"no cluster for Secrets":    {Standalone, unreadable("auth", errNoSecrets), "give the credentials by the environment"},
		"another name":              {Standalone, &TLSError{Err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "redis"}}, "set tlsServerName to a name that the server's certificate has"},
		"another authority":         {Standalone, &TLSError{Err: x509.UnknownAuthorityError{}}, "let caFromSecret name the authority"},
		"an old certificate":        {Standalone, &TLSError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}, "renew the server's certificate"},
		"a renamed command":         {Standalone, reply("ERR unknown command 'llen'"), "the server may have the command renamed"},
		"a script":                  {Standalone, reply("BUSY Redis is busy running a script."), "end it (SCRIPT KILL)"},
		"a replica alone":           {Standalone, reply("MASTERDOWN Link with MASTER is down"), "the server is a replica without its master"},
		"an odd reply":              {Standalone, &queue.ReplyError{Command: "LLEN q", Err: errNoReply}, "report it as a fault, with the server's version"},
		"a limit that is no number": {Standalone, &queue.ReplyError{Command: "HMGET bull:a:meta", Err: fmt.Errorf("max is \"x\", %w", queue.ErrLimit)}, "set the limit anew with the framework's own functions (BullMQ: setGlobalConcurrency"},
		"a sentinel, by select":     {Standalone, reply("ERR unknown command 'select'"), "if it is a sentinel, set redisMode to Sentinel"},
		"no command of clusters":    {Cluster, reply("ERR unknown command 'cluster'"), "if it is a sentinel, set redisMode to Sentinel"},
		"a cluster's database":      {Standalone, reply("ERR SELECT is not allowed in cluster mode"), "set redisMode to Cluster and leave database out"},
		"a database too many":       {Standalone, reply("ERR DB index is out of range"), "database is 0, and the server has fewer"},
		"too many clients":          {Standalone, reply("ERR max number of clients reached"), "the server takes no more connections"},
		"protected mode":            {Standalone, reply("DENIED Redis is running in protected mode"), "the server is in protected mode"},
		"a wrong password":          {Standalone, reply("WRONGPASS invalid username-password pair"), "must not end in a space"},
		"sentinels' wrong password": {Sentinel, &sentinelError{reply("WRONGPASS x")}, "correct what sentinelUsernameFromSecret and sentinelPasswordFromSecret name"},
		"no sentinel there":         {Sentinel, &sentinelError{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}, "check that the sentinels run and accept connections there"},
		"a master out of reach":     {Sentinel, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "replica-announce-ip"},
		"a master of no host":       {Sentinel, &net.DNSError{IsNotFound: true}, "replica-announce-ip"},
		"a subcommand":              {Standalone, reply("ERR unknown subcommand or wrong number of arguments for 'groups'"), "the server may have the command renamed"},
		"a subcommand, Redis 5":     {Standalone, reply("ERR Unknown subcommand or wrong number of arguments for 'groups'"), "the server may have the command renamed"},
		"a node's address":          {Cluster, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "the cluster names this node: check that it runs"},
		"a cluster":                 {Standalone, reply("MOVED 1 a:1"), "the server is one of a cluster: set redisMode to Cluster"},
		"a slot that moves":         {Cluster, reply("MOVED 1 a:1"), remedies[ClusterDown]},
		"a command of another":      {Standalone, reply("NOPERM x"), remedies[Forbidden]},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.ErrorContains(t, &ReadError{Server: Server{Mode: test.mode}, Node: "node", Err: test.err}, test.want)
		})
	}
}
