package scaler_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
	"github.com/jawaracloud/pubsub-operator/scaler/target"
)

// shortLived is a cluster whose ScaledObjects are there while they are asked about.
type shortLived struct {
	extra func(metadata map[string]string) // adds to a trigger's metadata
}

func (c *shortLived) Find(_ context.Context, _, name string) (target.Object, error) {
	metadata := map[string]string{"channelName": name}
	c.extra(metadata)
	return target.NewObject(target.Version{UID: types.UID(name), Generation: 1}, target.ScaleTriggers{Type: "external", Metadata: metadata}), nil
}

func (c *shortLived) State(context.Context, string, string) (target.State, error) {
	return target.State{}, nil
}

// heap is the bytes in use.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// Who makes and deletes ScaledObjects again and again must not fill the scaler's memory with
// what it read of them: nobody asks about one that is gone, so nothing tells that it is.
func TestScaledObjectsThatAreGoneAreForgotten(t *testing.T) {
	for name, test := range map[string]struct {
		objects int
		every   time.Duration
		extra   func(map[string]string)
	}{
		"large ones, at once": {100, 0, func(m map[string]string) { m["padding"] = strings.Repeat("x", 1<<20) }},
		"many, over an hour":  {3600, time.Second, func(m map[string]string) { m["keyPrefix"] = strings.Repeat("x", 10<<10) }},
	} {
		t.Run(name, func(t *testing.T) {
			pool := sampling.NewPool(sampling.Options{})
			t.Cleanup(pool.Close)
			now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
			service := scaler.New(scaler.Options{Pool: pool, Targets: &shortLived{extra: test.extra}, Now: func() time.Time { return now }})
			before := heap()
			for i := range test.objects {
				ref := &externalscaler.ScaledObjectRef{Namespace: "shop", Name: fmt.Sprint("o", i)}
				_, _ = service.GetMetricSpec(t.Context(), ref) // what it answers is of no matter
				now = now.Add(test.every)
			}
			assert.Less(t, int64(heap())-int64(before), int64(8<<20), "bytes that are kept")
			runtime.KeepAlive(service)
		})
	}
}

// What stands is read once, unless it is too large to be kept.
func TestWhatStandsIsReadOnce(t *testing.T) {
	pool := sampling.NewPool(sampling.Options{})
	t.Cleanup(pool.Close)
	allocations := func(extra func(map[string]string)) float64 {
		service := scaler.New(scaler.Options{Pool: pool, Targets: &shortLived{extra: extra}})
		return testing.AllocsPerRun(100, func() {
			_, err := service.GetMetricSpec(t.Context(), &externalscaler.ScaledObjectRef{Namespace: "shop", Name: "orders"})
			require.NoError(t, err)
		})
	}
	padding := strings.Repeat("x", 65<<10)
	read := allocations(func(map[string]string) {})
	large := allocations(func(m map[string]string) { m["consumerGroup"] = padding })
	assert.Less(t, read+10, large, "allocations of a call")
}
