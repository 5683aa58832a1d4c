package scaler_test

import (
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/status"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// What KEDA takes from an environment is in no answer and, as far as it is a credential, in no
// log line: the environment may have it from a Secret. The server gives back all that it gets.
func TestNothingFromTheEnvironmentIsTold(t *testing.T) {
	log := &lines{}
	pool := sampling.NewPool(sampling.Options{Tick: tick, Options: broker.Options{ReadTimeout: 500 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}})
	t.Cleanup(pool.Close)
	f := newFixture(t, func(o *scaler.Options) { o.Pool = pool })
	echo := redistest.StartScripted(t, func(to io.Writer, command []string, _ <-chan struct{}) {
		_, _ = io.WriteString(to, "-ERR unknown command, "+strings.Join(command, " ")+"\r\n") // the client may be gone
	})
	for name, sent := range map[string]map[string]string{
		"credentials":        {"channelName": "q", "redisAddress": echo.Addr, "usernameFromEnv": "marker-username", "passwordFromEnv": "marker-password"},
		"the queue":          {"channelNameFromEnv": "marker-channel", "redisAddress": echo.Addr},
		"the address":        {"channelName": "q", "redisAddressFromEnv": "marker-host.invalid:6379"},
		"a wrong address":    {"channelName": "q", "redisAddressFromEnv": "redis://:marker-password@marker-host:6379"},
		"no number":          {"channelName": "q", "redisAddress": echo.Addr, "targetQueueDepthFromEnv": "marker-number"},
		"an unknown key":     {"channelName": "q", "redisAddress": echo.Addr, "redisPasswordFromEnv": "marker-password"},
		"sentinel and group": {"channelName": "q", "redisAddress": echo.Addr, "redisMode": "Sentinel", "sentinelMasterFromEnv": "marker-master", "sentinelPasswordFromEnv": "marker-password"},
	} {
		t.Run(name, func(t *testing.T) {
			standing := map[string]string{}
			for key, value := range sent {
				if strings.HasSuffix(key, "FromEnv") {
					value = "VARIABLE"
				}
				standing[key] = value
			}
			f.targets.stand(standing)
			ref := &externalscaler.ScaledObjectRef{Name: "orders", Namespace: "shop", ScalerMetadata: sent}
			_, err := f.IsActive(t.Context(), ref)
			require.Error(t, err)
			assert.NotContains(t, err.Error(), "marker", "IsActive")
			_, err = f.inspector.Explain(t.Context(), &inspectv1.ExplainRequest{Name: "orders", Namespace: "shop", ScalerMetadata: sent})
			require.Error(t, err)
			assert.NotContains(t, status.Convert(err).Proto().String(), "marker", "Explain")
			assert.NotContains(t, log.String(), "marker-password")
			assert.NotContains(t, log.String(), "marker-username")
		})
	}
}
