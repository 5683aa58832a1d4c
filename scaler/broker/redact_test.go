package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// reply is an error of a server.
type reply string

func (r reply) Error() string { return string(r) }
func (r reply) RedisError()   {}

func TestWhatIsToldOfAServersError(t *testing.T) {
	r := newRedactor(Server{Address: "redis.shop.svc:6379"}, material{username: "app", password: "pair", sentinelPassword: "a-long-secret"})
	tests := map[string]struct{ says, want string }{
		"as it is":                              {"WRONGTYPE Operation against a key holding the wrong kind of value", "WRONGTYPE Operation against a key holding the wrong kind of value"},
		"an unknown command":                    {"ERR unknown command 'AUTH', with args beginning with: 'hunter2' ", "ERR unknown command 'AUTH'"},
		"of an older Redis":                     {"ERR unknown command `AUTH`, with args beginning with: `hunter2`, ", "ERR unknown command `AUTH`"},
		"a user":                                {"NOPERM User app has no permissions to run the 'llen' command", "NOPERM User … has no permissions to run the 'llen' command"},
		"a user within a word":                  {"ERR happened", "ERR happened"},
		"a word as password":                    {"WRONGPASS invalid username-password pair or user is disabled.", "WRONGPASS …"},
		"a long password":                       {"ERR xa-long-secretx", "ERR …"},
		"a password alone":                      {"pair", "…"},
		"encoded":                               {"ERR YS1sb25nLXNlY3JldA== is wrong", "ERR …"},
		"several lines":                         {"ERR one\r\n\ttwo\x00three\u202e", "ERR one two three"},
		"no UTF-8":                              {"ERR \xff\xfe", "ERR"},
		"long":                                  {"ERR " + strings.Repeat("x", 200), "ERR " + strings.Repeat("x", 115) + "…"},
		"a long one with a password at its cut": {"ERR " + strings.Repeat("x", 110) + "a-long-secret", "ERR …"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			original := reply(test.says)
			err := r.safe(fmt.Errorf("failed: %w", original))
			assert.EqualError(t, err, test.want)
			assert.ErrorIs(t, err, original)
			assert.ErrorAs(t, err, new(redis.Error))
			assert.EqualError(t, r.safe(err), test.want, "once is enough")
		})
	}
}

// A password that is a common word, which the address has too, hides nothing.
func TestAPasswordThatIsInTheAddress(t *testing.T) {
	r := newRedactor(Server{Address: "redis:6379"}, material{password: "redis"})
	assert.EqualError(t, r.safe(&net.DNSError{Err: "no such host", Name: "redis", IsNotFound: true}), "lookup redis: no such host")
	r = newRedactor(Server{Address: "dragonfly:6379"}, material{password: "redis"})
	assert.EqualError(t, r.safe(&net.DNSError{Err: "no such host", Name: "redis", IsNotFound: true}), "…", "a node that a server named so")
}

func TestWhatIsToldOfOtherErrors(t *testing.T) {
	var r redactor
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	for name, err := range map[string]error{
		"the network":  refused,
		"the deadline": context.DeadlineExceeded,
		"cancelled":    context.Canceled,
		"the end":      io.EOF,
		"not allowed":  &NotAllowedError{Address: "a:1"},
		"closed":       redis.ErrClosed,
		"nil":          redis.Nil,
		"no error":     nil,
		"go-redis's":   errors.New("redis: cluster has no nodes"),
	} {
		assert.Equal(t, err, r.safe(err), name)
	}
	for name, err := range map[string]error{
		"text":          errors.New(`redis: can't parse "220 mail ESMTP"`),
		"text in text":  fmt.Errorf("redis: invalid reply: %q: %w", "220 mail", errors.New("220 mail")),
		"several":       errors.Join(errors.New("220 mail"), errors.New("221 mail")),
		"known in text": fmt.Errorf("220 mail: %w", errStranger),
	} {
		assert.EqualError(t, r.safe(err), "it does not answer as a Redis server does", name)
	}
	both := r.safe(fmt.Errorf("220 mail: %w", errors.Join(refused, reply("NOAUTH x"), reply("NOAUTH x"))))
	assert.EqualError(t, both, "dial tcp: connection refused; NOAUTH x")
	assert.ErrorIs(t, both, syscall.ECONNREFUSED)
	assert.Equal(t, Unauthorized, causeOf(both))
}

func TestWhatIsToldOfValues(t *testing.T) {
	r := newRedactor(Server{}, material{password: "a-long-secret"})
	many := make([]string, 100)
	for i := range many {
		many[i] = fmt.Sprint("group-", i, strings.Repeat("x", 100))
	}
	tests := map[string]error{
		"groups":  &queue.GroupError{Key: "s", Groups: append([]string{"is a-long-secret", "b\nc"}, many...)},
		"type":    &queue.WrongTypeError{Key: "k", Want: queue.Auto, Got: "a-long-secret"},
		"reply":   &queue.ReplyError{Command: "HGET bull:q:a-long-secret timestamp", Err: errors.New(`parsing "a-long-secret"`)},
		"replica": &StaleReplicaError{Address: "a:1", Master: "a-long-secret:1" + strings.Repeat("x", 1000)},
	}
	for name, err := range tests {
		t.Run(name, func(t *testing.T) {
			told := r.values(err)
			assert.NotContains(t, told.Error(), "a-long-secret")
			assert.NotContains(t, told.Error(), "\n")
			assert.Less(t, len(told.Error()), 1200)
			assert.Equal(t, fmt.Sprintf("%T", err), fmt.Sprintf("%T", told), "who looks for it finds it")
			assert.Equal(t, causeOf(err), causeOf(told))
		})
	}
	var groups *queue.GroupError
	require.ErrorAs(t, r.values(tests["groups"]), &groups)
	assert.ErrorContains(t, groups, `stream "s" has 102 consumer groups (…, b c, group-0`)
	assert.ErrorContains(t, groups, "and 92 more): set consumerGroup to one of them")
	wrong := &queue.WrongTypeError{Key: "a-long-secret", Want: queue.List, Got: "hash"}
	assert.Equal(t, wrong, r.values(wrong), "keys are what a user named")
}

func TestNote(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	for want, got := range map[string]string{
		"sentinel: GetMasterAddrByName addr=…, master=… failed: BrokerUnauthorized WRONGPASS": Note("sentinel: GetMasterAddrByName addr=%s, master=%q failed: %s", "me:hunter2@a:1", "hunter2", reply("WRONGPASS hunter2")),
		"failed to dial after 3 attempts: BrokerUnreachable":                                  Note("failed to dial after %d attempts: %v", 3, fmt.Errorf("hunter2: %w", refused)),
		"BrokerError": Note("%v", reply("HUNTER2 hunter2")),
		"…":           Note("%s", []byte("hunter2")),
		"no argument": Note("no\nargument"),
	} {
		assert.Equal(t, want, got)
	}
}
