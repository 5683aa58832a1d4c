package connect

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
)

// A server that is down, or that never answers, is told with its address and a remedy, within the deadline.
func TestTheAPIServerCannotBeReached(t *testing.T) {
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // its connections are never accepted
	require.NoError(t, err)
	defer func() { _ = silent.Close() }()
	gone, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	for name, test := range map[string]struct{ address, want string }{
		"down":   {gone.Addr().String(), "to get /version: the API server http://" + gone.Addr().String() + " can't be reached: dial tcp " + gone.Addr().String() + ": connect: connection refused: check the connection, and that this is the cluster you mean (kubectl config current-context)"},
		"silent": {silent.Addr().String(), "to get /version: the API server http://" + silent.Addr().String() + " gave no answer within 100ms: check the connection, or allow more with --request-timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, err := NewCluster(&rest.Config{Host: "http://" + test.address, Timeout: 100 * time.Millisecond})
			require.NoError(t, err)
			_, err = cluster.ServerVersion(t.Context())
			require.ErrorIs(t, err, ErrUnreachable)
			assert.ErrorContains(t, err, test.want)
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	cluster, err := NewCluster(&rest.Config{Host: "http://" + gone.Addr().String()})
	require.NoError(t, err)
	_, err = cluster.ServerVersion(ctx)
	require.Error(t, err)
	assert.NotErrorIs(t, err, ErrUnreachable, "Ctrl-C tells nothing of the server")
}
