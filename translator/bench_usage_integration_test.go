//go:build integration

package translator

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// answering answers as the scaler does about a queue that stands still: as much text, and
// as fresh from the wire.
type answering struct{}

func (answering) Explain(_ context.Context, request *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
	rate := 12.5
	data, err := proto.Marshal(&inspectv1.ExplainResponse{
		QueueDepth: 100, Ready: 90, InFlight: 10, QueueType: "list", SampleAge: durationpb.New(time.Second),
		Replicas: 1, DesiredReplicas: 1, Action: inspectv1.Action_ACTION_HOLD, Reason: inspectv1.Reason_REASON_WITHIN_BAND,
		Explanation: fmt.Sprintf("queue depth 100 of %s is within 50 … 150 = 100 × 1 × 50 … 150 %%: holding at 1", request.GetName()),
		LowerBound:  50, UpperBound: 150, Active: true, MetricValue: 100, TargetQueueDepth: 100, MessageRate: &rate,
		LastingExplanation: fmt.Sprintf("queue depth 100 of %s is within 50 … 150 = 100 × 1 × 50 … 150 %%: holding at 1", request.GetName()),
		Keys:               []*inspectv1.KeyDepth{{Key: "orders", QueueType: "list", Ready: 90, InFlight: 10}},
		Policy: &inspectv1.Policy{
			MinReplicas: 1, MaxReplicas: 20, TargetQueueDepth: 100, ScaleUpThreshold: 150, ScaleDownThreshold: 50,
			CooldownPeriod: durationpb.New(time.Minute), MaxScaleDownStep: "20%",
		},
	})
	if err != nil {
		return nil, err
	}
	response := &inspectv1.ExplainResponse{}
	return response, proto.Unmarshal(data, response)
}

// liveHeap is the bytes of live objects, stacks not among them.
func liveHeap() uint64 {
	var stats runtime.MemStats
	for range 3 { // finalizers, and what sync.Pool keeps over one collection
		runtime.GC()
	}
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// cpuTime is what this process has used so far, its own and the kernel's for it: the API
// server and etcd are others.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// histogram is how many reconciles took at most so many seconds, by the upper bounds of
// controller-runtime's buckets.
type histogram struct {
	bounds []float64
	counts []uint64 // cumulative
}

// reconcileTimes reads controller-runtime's own histogram.
func reconcileTimes(b *testing.B) histogram {
	b.Helper()
	families, err := metrics.Registry.Gather()
	require.NoError(b, err)
	var h histogram
	for _, family := range families {
		if family.GetName() != "controller_runtime_reconcile_time_seconds" {
			continue
		}
		for _, bucket := range family.GetMetric()[0].GetHistogram().GetBucket() {
			h.bounds = append(h.bounds, bucket.GetUpperBound())
			h.counts = append(h.counts, bucket.GetCumulativeCount())
		}
		h.bounds = append(h.bounds, math.Inf(1))
		h.counts = append(h.counts, family.GetMetric()[0].GetHistogram().GetSampleCount())
	}
	return h
}

// minus is what came since.
func (h histogram) minus(before histogram) histogram {
	for i := range before.counts {
		h.counts[i] -= before.counts[i]
	}
	return h
}

func (h histogram) total() uint64 { return h.counts[len(h.counts)-1] }

// quantile interpolates within a bucket, as Prometheus does, in seconds.
func (h histogram) quantile(q float64) float64 {
	rank := q * float64(h.total())
	below, lower := uint64(0), 0.0
	for i, count := range h.counts {
		if float64(count) >= rank {
			if math.IsInf(h.bounds[i], 1) {
				return lower
			}
			return lower + (h.bounds[i]-lower)*(rank-float64(below))/float64(count-below)
		}
		below, lower = count, h.bounds[i]
	}
	return lower
}
