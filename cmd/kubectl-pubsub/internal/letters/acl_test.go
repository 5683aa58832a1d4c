package letters

import (
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/deadletter"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// The rules of docs/kubectl-pubsub.md, for the channel orders: what whoever looks after its dead
// letters may do, and what else in a cluster.
const (
	lettersRule = "~orders ~{orders}:* +ping +select +watch +unwatch +multi +exec +time +zcard +zrevrange +hgetall" +
		" +zadd +zrem +lpush +del +hset +xpending +xrange +xclaim +xadd"
	clusterRule = "+cluster|slots +asking +command"
	lettersUser = "orders-letters"
)

func grant(t *testing.T, client *redis.Client, rule string) {
	t.Helper()
	arguments := []any{"ACL", "SETUSER", lettersUser, "reset", "on", ">secret"}
	for part := range strings.FieldsSeq(rule) {
		arguments = append(arguments, part)
	}
	require.NoError(t, client.Do(t.Context(), arguments...).Err())
}

// asUser has the credentials of the rule's user.
func asUser(name string) string {
	return map[string]string{connection.EnvUsername: lettersUser, connection.EnvPassword: "secret"}[name]
}

// endLetters lists, requeues and purges letters of both kinds, with whatever these need.
func endLetters(t *testing.T, o *Office, admin redis.UniversalClient) {
	t.Helper()
	stream := deadletter.Box{Key: "orders", Group: queue.DefaultConsumerGroup}
	require.NoError(t, admin.XGroupCreateMkStream(t.Context(), "orders", stream.Group, "$").Err())
	id := admin.XAdd(t.Context(), &redis.XAddArgs{Stream: "orders", Values: []any{"payload", "p"}}).Val()
	write(t, admin, stream, id, "1-1", "1-2")
	list, _, err := o.List(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, list, 3)
	_, err = o.Requeue(t.Context(), []string{id, "1-1"}) // the one is there, the other was trimmed
	require.NoError(t, err)
	_, err = o.Purge(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, admin.Del(t.Context(), "orders").Err())
	write(t, admin, deadletter.Box{Key: "orders"}, "a", "b")
	_, err = o.Requeue(t.Context(), []string{"a"})
	require.NoError(t, err)
	_, err = o.Purge(t.Context(), []string{"b"})
	require.NoError(t, err)
}

// In a cluster a letter, its index and its queue are in one slot, whichever node has it; the rule
// and what it needs there are those of the page.
func TestRuleOfLettersInACluster(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/kubectl-pubsub.md")
	require.NoError(t, err)
	require.Contains(t, string(page), "ACL SETUSER "+lettersUser+" on ><password> "+lettersRule+"\n")
	require.Contains(t, string(page), "`"+clusterRule+"`")
	cluster := redistest.StartCluster(t, 3)
	for _, node := range cluster.Nodes {
		grant(t, node.Client(), lettersRule+" "+clusterRule)
	}
	o, err := Open(channel(strings.Join(cluster.Addrs(), ","), func(s *v1.PubSubChannelSpec) {
		s.Redis = &v1.RedisSpec{Mode: v1.RedisModeCluster}
	}), "", asUser)
	require.NoError(t, err)
	defer o.Close()
	endLetters(t, o, cluster.Client())
	for _, node := range cluster.Nodes {
		require.Empty(t, refused(t, node.Client()))
	}
}

// refused are the commands that a server did not let the user run.
func refused(t *testing.T, client *redis.Client) (commands []string) {
	t.Helper()
	entries, err := client.ACLLog(t.Context(), 100).Result()
	require.NoError(t, err)
	for _, entry := range entries {
		commands = append(commands, entry.Reason+" "+entry.Object)
	}
	return commands
}
