package redistest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

func TestServerAnswersAndComesBackAtTheSameAddress(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	require.NoError(t, client.Set(t.Context(), "k", "v", 0).Err())

	server.Stop()
	require.Error(t, client.Ping(t.Context()).Err())

	addr := server.Addr
	server.Restart()
	require.Equal(t, addr, server.Addr)
	require.Zero(t, client.Exists(t.Context(), "k").Val(), "nothing is kept on disk")
}

func TestServerKeepsDataWhenAsked(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always", "--requirepass", "secret")
	client := server.Client()
	require.NoError(t, client.Set(t.Context(), "k", "v", 0).Err())
	server.Kill()
	server.Restart()
	require.Equal(t, "v", client.Get(t.Context(), "k").Val())
}
