package letters

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/deadletter"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

func channel(address string, change func(*v1.PubSubChannelSpec)) *plan.Plan {
	c := &v1.PubSubChannel{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders"},
		Spec:       v1.PubSubChannelSpec{ChannelName: "orders", RedisAddress: address},
	}
	if change != nil {
		change(&c.Spec)
	}
	return plan.Of(c)
}

func noEnv(string) string { return "" }

// write puts letters into a box, a second apart.
func write(t *testing.T, client redis.UniversalClient, box deadletter.Box, ids ...string) {
	t.Helper()
	for i, id := range ids {
		letter := deadletter.Letter{ID: id, Payload: "p-" + id, Reason: "no", Time: time.Unix(1_700_000_000+int64(i), 0), Deliveries: 1}
		if box.Group != "" {
			letter.Payload, letter.Fields = "", map[string]string{"payload": "p-" + id}
		}
		_, err := client.TxPipelined(t.Context(), func(tx redis.Pipeliner) error {
			box.Put(t.Context(), tx, letter)
			return nil
		})
		require.NoError(t, err)
	}
}

// Of a channel whose type nobody names, the letters of lists and of streams are found, of all keys.
func TestLettersOfAllKeys(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	require.NoError(t, client.XGroupCreateMkStream(t.Context(), "events", "billing", "0").Err())
	write(t, client, deadletter.Box{Key: "orders"}, "a", "b")
	write(t, client, deadletter.Box{Key: "events", Group: "billing"}, "1-1")
	write(t, client, deadletter.Box{Key: "events", Group: "others"}, "1-1")
	o, err := Open(channel("elsewhere:1", func(s *v1.PubSubChannelSpec) {
		s.Queue = &v1.QueueSpec{Keys: []string{"orders", "events"}, ConsumerGroup: "billing"}
	}), server.Addr, noEnv)
	require.NoError(t, err)
	defer o.Close()
	list, more, err := o.List(t.Context(), 1)
	require.NoError(t, err)
	require.EqualValues(t, 1, more)
	require.Len(t, list, 2)
	require.Equal(t, "b", list[0].ID, "the newest first")
	ended, err := o.Requeue(t.Context(), []string{"b", "nobody"})
	require.ErrorIs(t, err, deadletter.ErrGone)
	require.ErrorContains(t, err, `"nobody"`)
	require.Equal(t, []string{"b"}, ended)
	ended, err = o.Requeue(t.Context(), nil)
	require.NoError(t, err)
	slices.Sort(ended)
	require.Equal(t, []string{"1-1", "a"}, ended)
	require.EqualValues(t, 2, client.ZCard(t.Context(), queue.TakenKey("orders")).Val())
	require.EqualValues(t, 1, client.XLen(t.Context(), "events").Val())
	write(t, client, deadletter.Box{Key: "orders"}, "c")
	ended, err = o.Purge(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, []string{"c"}, ended)
	list, _, err = o.List(t.Context(), 0)
	require.NoError(t, err)
	require.Empty(t, list)
}

// Two people requeue everything at the same time: each letter goes back once.
func TestRequeueOfAllByTwo(t *testing.T) {
	server := redistest.Start(t)
	var ids []string
	for i := range 300 {
		ids = append(ids, strconv.Itoa(i))
	}
	write(t, server.Client(), deadletter.Box{Key: "orders"}, ids...)
	answers := make(chan []string, 2)
	for range 2 {
		o, err := Open(channel(server.Addr, nil), "", noEnv)
		require.NoError(t, err)
		defer o.Close()
		go func() {
			ended, err := o.Requeue(t.Context(), nil)
			if err != nil {
				t.Error(err)
			}
			answers <- ended
		}()
	}
	all := append(<-answers, <-answers...)
	slices.Sort(all)
	slices.Sort(ids)
	require.Equal(t, ids, all)
	require.EqualValues(t, len(ids), server.Client().ZCard(t.Context(), queue.TakenKey("orders")).Val())
}

// A server at maxmemory takes nothing back, and the letters stay.
func TestRequeueOnAFullServer(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	write(t, client, deadletter.Box{Key: "orders"}, "a")
	o, err := Open(channel(server.Addr, nil), "", noEnv)
	require.NoError(t, err)
	defer o.Close()
	require.NoError(t, client.ConfigSet(t.Context(), "maxmemory", "1").Err())
	ended, err := o.Requeue(t.Context(), nil)
	require.Empty(t, ended)
	require.ErrorContains(t, o.Explain(err), "maxmemory")
	require.ErrorContains(t, o.Explain(err), "the letters are still there")
	require.NoError(t, client.ConfigSet(t.Context(), "maxmemory", "0").Err())
	ended, err = o.Requeue(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, ended)
}

// A right that is missing within the transaction has its remedy as well.
func TestRequeueWithoutTheRight(t *testing.T) {
	server := redistest.Start(t)
	write(t, server.Client(), deadletter.Box{Key: "orders"}, "a")
	grant(t, server.Client(), strings.NewReplacer(" +lpush", "", " +del", "").Replace(lettersRule))
	o, err := Open(channel(server.Addr, nil), "", asUser)
	require.NoError(t, err)
	defer o.Close()
	const remedy = "give the user the commands that docs/kubectl-pubsub.md names under dead"
	_, err = o.Requeue(t.Context(), nil)
	require.ErrorContains(t, o.Explain(err), "lpush")
	require.ErrorContains(t, o.Explain(err), remedy)
	_, err = o.Purge(t.Context(), nil)
	require.ErrorContains(t, o.Explain(err), "del")
	require.ErrorContains(t, o.Explain(err), remedy)
}

func TestWhereTheServerIs(t *testing.T) {
	tls := trigger.Redis{Address: "dragonfly.shop:6380", Mode: trigger.Standalone, TLS: true}
	sentinel := trigger.Redis{Address: "s1:26379,s2:26379", Mode: trigger.Sentinel, SentinelMaster: "mymaster", SentinelTLS: true, TLSServerName: "redis"}
	env := map[string]string{"REDIS_ADDR": "wrong:1", "REDIS_PASSWORD": "secret", "REDIS_TLS_CA_FILE": "/ca.pem"}
	get := func(name string) string { return env[name] }

	got, err := redisSettings(tls, "127.0.0.1:7000", get)
	require.NoError(t, err)
	require.Equal(t, connection.Settings{
		Mode: connection.Standalone, Addresses: []string{"127.0.0.1:7000"}, Password: "secret",
		TLS: &connection.TLS{CAFile: "/ca.pem", ServerName: "dragonfly.shop"},
	}, got, "its certificate has the name of the channel's address")
	got, err = redisSettings(sentinel, "", get)
	require.NoError(t, err)
	require.Equal(t, []string{"s1:26379", "s2:26379"}, got.Addresses)
	require.Nil(t, got.TLS)
	require.Equal(t, "redis", got.SentinelTLS.ServerName)
	got, err = redisSettings(sentinel, "127.0.0.1:7000", noEnv)
	require.NoError(t, err, "the master alone, without its sentinels")
	require.Equal(t, connection.Settings{Mode: connection.Standalone, Addresses: []string{"127.0.0.1:7000"}}, got)
	_, err = redisSettings(tls, "127.0.0.1", noEnv)
	require.ErrorContains(t, err, `--redis is "127.0.0.1"`)
}

func TestChannelsWithoutLetters(t *testing.T) {
	for queueType, want := range map[v1.QueueType]string{v1.QueueTypeSortedSet: "SortedSet", v1.QueueTypePubSub: "PubSub"} {
		_, err := Open(channel("x:1", func(s *v1.PubSubChannelSpec) { s.Queue = &v1.QueueSpec{Type: queueType} }), "", noEnv)
		require.ErrorContains(t, err, "PubSubChannel shop/orders: its queue type is "+want)
	}
	_, err := Open(channel("x:1", func(s *v1.PubSubChannelSpec) { s.Queue = &v1.QueueSpec{Preset: "Sidekiq"} }), "", noEnv)
	require.ErrorContains(t, err, "its workers are those of Sidekiq, which keeps failed jobs itself")
}

// What goes wrong on the way comes with its remedy.
func TestErrorsHaveARemedy(t *testing.T) {
	secured := redistest.Start(t, "--requirepass", "secret")
	withSecret := func(s *v1.PubSubChannelSpec) {
		s.Redis = &v1.RedisSpec{PasswordSecret: &v1.SecretKey{Name: "redis-auth", Key: "pw"}}
	}
	password := func(value string) func(string) string {
		return func(name string) string {
			if name == connection.EnvPassword {
				return value
			}
			return ""
		}
	}
	o, err := Open(channel(secured.Addr, withSecret), "", noEnv)
	require.NoError(t, err)
	defer o.Close()
	_, _, err = o.List(t.Context(), 0)
	require.ErrorContains(t, o.Explain(err), "set REDIS_PASSWORD, and REDIS_USERNAME if it has users; the channel's workers have it from the Secret shop/redis-auth, key pw")
	o, err = Open(channel(secured.Addr, withSecret), "", password("secret"))
	require.NoError(t, err)
	defer o.Close()
	_, _, err = o.List(t.Context(), 0)
	require.NoError(t, err)

	o, err = Open(channel("127.0.0.1:1", nil), "", noEnv)
	require.NoError(t, err)
	defer o.Close()
	_, _, err = o.List(t.Context(), 0)
	require.ErrorContains(t, o.Explain(err), "127.0.0.1:1 can't be reached from here")
	require.ErrorContains(t, o.Explain(err), "--redis 127.0.0.1:PORT")
	for answer, remedy := range map[string]string{"READONLY x": "name the master", "MOVED 1 n:1": "to that node", "NOPERM x": "under dead"} {
		require.ErrorContains(t, o.Explain(redisError(answer)), remedy)
	}
	require.NoError(t, o.Explain(nil))
	require.NotContains(t, o.Explain(errors.New("x")).Error(), "REDIS")
}

type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}
