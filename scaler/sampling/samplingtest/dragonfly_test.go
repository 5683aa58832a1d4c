//go:build integration

package samplingtest

import (
	"context"
	"os"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// A real DragonFly, where DRAGONFLY_ADDR (host:port) names one. Its database
// DRAGONFLY_DATABASE (default 9) must be empty, and is afterwards. DRAGONFLY_PASSWORD is
// the default user's, if it has one.
func TestOnDragonFly(t *testing.T) {
	address := os.Getenv("DRAGONFLY_ADDR")
	if address == "" {
		t.Skip("DRAGONFLY_ADDR names no DragonFly server: its differences are tested on the model in dragonflytest only")
	}
	database := 9
	if text := os.Getenv("DRAGONFLY_DATABASE"); text != "" {
		var err error
		database, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	password := os.Getenv("DRAGONFLY_PASSWORD")
	client := redis.NewClient(&redis.Options{
		Addr: address, DB: database, Password: password, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { _ = client.Close() })
	info, err := client.Info(t.Context(), "server").Result()
	require.NoError(t, err)
	assert.Contains(t, info, "dragonfly_version:")
	d := &deployment{
		server:  broker.Server{Address: address, Database: database, Password: broker.Secret{Value: password}},
		secrets: &secrets{}, client: client,
	}
	empty := func(t *testing.T) {
		t.Helper()
		size, err := client.DBSize(t.Context()).Result()
		require.NoError(t, err)
		require.Zero(t, size, "database %d has keys: name another by DRAGONFLY_DATABASE", database)
		t.Cleanup(func() { assert.NoError(t, client.FlushDB(context.WithoutCancel(t.Context())).Err()) })
	}
	for _, fixture := range fixtures(t) {
		t.Run(fixture.name, func(t *testing.T) {
			if fixture.atLeast {
				t.Skip("how much DragonFly holds for a subscriber depends on its publish buffer limit")
			}
			empty(t)
			fixture.check(t, d, d.pool(t, sampling.Options{}))
		})
	}
	for name, trap := range streamTraps {
		t.Run(name, func(t *testing.T) {
			empty(t)
			run(t, client, trap.commands...)
			t.Logf("the naive reading is %d, of the model it is %d", naiveLag(t, client, "s"), trap.naive)
			sample := depth(t, d.pool(t, sampling.Options{}), d.server, queue.Queue{Key: "s", Kind: queue.Stream, Group: "g"})
			assert.Equal(t, trap.ready, sample.Ready)
			assert.Equal(t, trap.inFlight, sample.InFlight)
		})
	}
}
