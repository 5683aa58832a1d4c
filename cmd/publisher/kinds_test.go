package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

func TestScoreIsNow(t *testing.T) {
	for unit, want := range map[string]float64{scoreSeconds: 1_800_000_000, scoreMilliseconds: 1_800_000_000_500} {
		p := newPublisher(options{score: unit}, nil, nil)
		p.now = func() time.Time { return time.UnixMilli(1_800_000_000_500) }
		require.InDelta(t, want, p.scoreNow(), 0, unit)
	}
}

func TestAutoFollowsASortedSet(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	require.NoError(t, client.ZAdd(t.Context(), "q", redis.Z{Score: 1, Member: "first"}).Err())
	code, _, side := publishTo(t, server.Addr, "--count=3", "--progress=0", "--score=UnixMilliseconds")
	require.Zero(t, code, side)
	members := client.ZRangeWithScores(t.Context(), "q", 0, -1).Val()
	require.Len(t, members, 4)
	require.InDelta(t, time.Now().UnixMilli(), members[3].Score, float64(time.Minute/time.Millisecond))
}

func TestPubSub(t *testing.T) {
	server := redistest.Start(t)
	sub := server.Client().Subscribe(t.Context(), "q")
	defer sub.Close()
	_, err := sub.Receive(t.Context())
	require.NoError(t, err)
	code, out, side := publishTo(t, server.Addr, "--queue-type=PubSub", "--count=250", "--pipeline=100", "--progress=0")
	require.Zero(t, code, side)
	require.Contains(t, out, "sent 250 messages")
	for i := range 250 {
		message, err := sub.ReceiveMessage(t.Context())
		require.NoError(t, err)
		require.Contains(t, message.Payload, fmt.Sprintf("-%012d.", i))
	}
}

func TestCluster(t *testing.T) {
	cluster := redistest.StartCluster(t, 3)
	client := cluster.Client()
	for kind, length := range map[string]func() *redis.IntCmd{
		kindList:      func() *redis.IntCmd { return client.LLen(t.Context(), kindList) },
		kindStream:    func() *redis.IntCmd { return client.XLen(t.Context(), kindStream) },
		kindSortedSet: func() *redis.IntCmd { return client.ZCard(t.Context(), kindSortedSet) },
		kindPubSub:    nil,
	} {
		t.Run(kind, func(t *testing.T) {
			code, out, side := publishTo(t, cluster.Addrs()[0], "--redis-mode=Cluster", "--queue-type="+kind, "--channel="+kind, "--count=250", "--progress=0")
			require.Zero(t, code, side)
			require.Contains(t, out, "sent 250 messages")
			if length != nil {
				require.EqualValues(t, 250, length().Val())
			}
		})
	}
}
