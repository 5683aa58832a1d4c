package redistest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

// A server that loads its data answers INFO, and refuses all else.
func TestARestartedServerHasItsData(t *testing.T) {
	const keys = 300
	server := redistest.Start(t, "--appendonly", "yes", "--enable-debug-command", "yes",
		"--key-load-delay", "3000", "--loading-process-events-interval-bytes", "1024") // µs for each key, so about a second
	client := server.Client()
	require.NoError(t, client.Do(t.Context(), "DEBUG", "POPULATE", keys, "key", 1000).Err())
	require.NoError(t, client.BgRewriteAOF(t.Context()).Err())
	require.Eventually(t, func() bool {
		info := client.Info(t.Context(), "persistence").Val()
		return strings.Contains(info, "aof_rewrite_in_progress:0\r") && strings.Contains(info, "aof_rewrite_scheduled:0\r") && strings.Contains(info, "aof_last_bgrewrite_status:ok\r")
	}, time.Minute, 10*time.Millisecond)
	server.Kill()
	server.Restart()
	impatient := redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1})
	t.Cleanup(func() { _ = impatient.Close() })
	size, err := impatient.DBSize(t.Context()).Result()
	require.NoError(t, err)
	require.EqualValues(t, keys, size)
}
