package benchmarks

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kedacore/keda/v2/pkg/scalers"
	"github.com/kedacore/keda/v2/pkg/scalers/scalersconfig"
	"github.com/stretchr/testify/require"
)

// kedaCallers is how many of KEDA's scalers are asked at once. One after the other costs
// more CPU for each, because the process then falls asleep and wakes with each answer.
const kedaCallers = 16

// kedaScalers are KEDA's own scalers, one for each ScaledObject, as its operator builds
// them (KEDA 2.21, pkg/scaling/scalers_builder.go).
func kedaScalers(ctx context.Context, b *testing.B, s *server, n int, build func(context.Context, *scalersconfig.ScalerConfig) (scalers.Scaler, error), metadata func(key string) map[string]string) []scalers.Scaler {
	b.Helper()
	host, port, err := net.SplitHostPort(s.Addr)
	require.NoError(b, err)
	all := make([]scalers.Scaler, n)
	for i := range all {
		m := metadata(key(i))
		m["host"], m["port"] = host, port
		all[i], err = build(ctx, &scalersconfig.ScalerConfig{
			ScalableObjectName: key(i), ScalableObjectNamespace: "shop", ScalableObjectType: "ScaledObject",
			TriggerMetadata: m,
		})
		require.NoError(b, err)
	}
	return all
}

func kedaList(ctx context.Context, config *scalersconfig.ScalerConfig) (scalers.Scaler, error) {
	return scalers.NewRedisScaler(ctx, false, false, config)
}

func kedaStream(ctx context.Context, config *scalersconfig.ScalerConfig) (scalers.Scaler, error) {
	return scalers.NewRedisStreamsScaler(ctx, false, false, config)
}

// ask asks each scaler in turn, from several goroutines, until next says that it is enough.
func ask(ctx context.Context, b *testing.B, all []scalers.Scaler, reads int) {
	b.Helper()
	var taken atomic.Int64
	var failed atomic.Pointer[error]
	var wait sync.WaitGroup
	for range kedaCallers {
		wait.Go(func() {
			for {
				i := int(taken.Add(1)) - 1
				if i >= reads {
					return
				}
				if _, _, err := all[i%len(all)].GetMetricsAndActivity(ctx, "s0-redis"); err != nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	wait.Wait()
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
}
