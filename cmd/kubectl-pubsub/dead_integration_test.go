//go:build integration

package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/deadletter"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// The letters of a channel in the cluster, on its server, for a user who may do what the page says
// and no more.
func TestDeadLettersOfAChannel(t *testing.T) {
	c := sharedCluster(t)
	namespace := c.namespace(t)
	c.channel(t, namespace, "orders", false)
	server := redistest.Start(t)
	client := server.Client()
	page, err := os.ReadFile("../../docs/kubectl-pubsub.md")
	require.NoError(t, err)
	_, rule, found := strings.Cut(string(page), "ACL SETUSER orders-letters on ><password> ")
	require.True(t, found)
	rule, _, _ = strings.Cut(rule, "\n")
	user := []any{"ACL", "SETUSER", "orders-letters", "reset", "on", ">pw"}
	for part := range strings.FieldsSeq(rule) {
		user = append(user, part)
	}
	require.NoError(t, client.Do(t.Context(), user...).Err())
	t.Setenv("REDIS_USERNAME", "orders-letters")
	t.Setenv("REDIS_PASSWORD", "pw")
	list, stream := deadletter.Box{Key: "orders"}, deadletter.Box{Key: "orders", Group: queue.DefaultConsumerGroup}
	put := func(box deadletter.Box, letter deadletter.Letter) {
		_, err := client.TxPipelined(t.Context(), func(tx redis.Pipeliner) error {
			box.Put(t.Context(), tx, letter)
			return nil
		})
		require.NoError(t, err)
	}
	dead := func(args ...string) (string, error) {
		out, problems, err := kubectl(t, append([]string{"dead"}, append(args, "-n", namespace, "--redis", server.Addr)...)...)
		return out + problems, err
	}

	out, err := dead("list", "orders")
	require.NoError(t, err)
	require.Equal(t, "orders has no dead letters\n", out)
	for _, id := range []string{"a", "b", "c"} {
		put(list, deadletter.Letter{ID: id, Payload: "p", Reason: "the handler said no", Time: time.Now(), Deliveries: 2, Worker: "pod"})
	}
	out, err = dead("list", "orders")
	require.NoError(t, err)
	require.Contains(t, out, "the handler said no")
	require.Equal(t, 4, strings.Count(out, "\n"), out)
	out, err = dead("list", "orders", "-o", "json", "--limit", "2")
	require.NoError(t, err)
	var letters []map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &letters))
	require.Len(t, letters, 2)
	require.Equal(t, "c", letters[0]["id"])

	out, err = dead("requeue", "orders", "b")
	require.NoError(t, err)
	require.Equal(t, "1 dead letter requeued\n", out)
	out, err = dead("requeue", "orders", "b")
	require.ErrorIs(t, err, deadletter.ErrGone)
	require.Equal(t, "0 dead letters requeued\n", out)
	out, _, err = kubectl(t, "__complete", "dead", "requeue", "-n", namespace, "--redis", server.Addr, "orders", "a", "")
	require.NoError(t, err)
	require.Equal(t, "c", strings.Split(out, "\n")[0])
	_, err = dead("purge", "orders", "--all")
	require.ErrorContains(t, err, "nothing was removed")
	out, err = dead("purge", "orders", "--all", "--yes", "-o", "json")
	require.NoError(t, err)
	require.Contains(t, out, `"purged"`)
	require.Zero(t, client.Exists(t.Context(), list.IndexKey(), list.LetterKey("a"), list.LetterKey("c")).Val())

	id := client.XAdd(t.Context(), &redis.XAddArgs{Stream: "orders", Values: []any{"payload", "x"}}).Val()
	require.NoError(t, client.XGroupCreate(t.Context(), "orders", stream.Group, "$").Err())
	for _, id := range []string{id, "1-1"} { // the stream has the other no more
		put(stream, deadletter.Letter{ID: id, Fields: map[string]string{"payload": "x"}, Time: time.Now(), Deliveries: 1})
	}
	out, err = dead("requeue", "orders", "--all")
	require.NoError(t, err)
	require.Equal(t, "2 dead letters requeued\n", out)
	require.EqualValues(t, 2, client.XLen(t.Context(), "orders").Val())
	require.EqualValues(t, 1, client.XPending(t.Context(), "orders", stream.Group).Val().Count)
	_, err = dead("list", "nosuch")
	require.ErrorContains(t, err, "there is orders")
}
