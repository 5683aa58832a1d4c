package queue

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClientName(t *testing.T) {
	for channel, want := range map[string]string{
		"orders": "pubsub:orders", "a b": "pubsub:a%20b", "100%": "pubsub:100%25", "é": "pubsub:%C3%A9",
	} {
		require.Equal(t, want, ClientName(channel))
	}
}
