package scaler_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/target"
)

// lateHPA is a cluster in which the HPA has just scaled, and tells of it only after some looks.
type lateHPA struct {
	scaler.Targets
	looks, late int64
}

func (l *lateHPA) State(ctx context.Context, namespace, name string) (target.State, error) {
	state, err := l.Targets.State(ctx, namespace, name)
	if atomic.AddInt64(&l.looks, 1) <= l.late {
		state.LastScale, state.Unsettled = state.LastScale.Add(-time.Hour), true
	}
	return state, err
}

func newLateFixture(t *testing.T, late int64, settle time.Duration) *fixture {
	f := newFixture(t, func(o *scaler.Options) {
		o.Targets, o.SettleTimeout = &lateHPA{Targets: o.Targets, late: late}, settle
	})
	f.targets.set(func(f *fakeTargets) { f.state.Replicas, f.state.LastScale = 2, time.Now() })
	f.depth(t, 0)
	return f
}

// Who asks because the HPA has scaled is not told that it would scale again at once.
func TestExplainWaitsForTheHPAToTellOfItsScaling(t *testing.T) {
	ask := &inspectv1.ExplainRequest{Name: "orders", Namespace: "shop"}
	for name, test := range map[string]struct {
		late   int64
		settle time.Duration
		want   inspectv1.Reason
	}{
		"it tells":                 {late: 3, settle: deadline, want: inspectv1.Reason_REASON_COOLDOWN},
		"somebody else has scaled": {late: 1 << 40, settle: tick, want: inspectv1.Reason_REASON_BELOW_LOWER_BOUND},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newLateFixture(t, test.late, test.settle).inspector.Explain(t.Context(), ask)
			require.NoError(t, err)
			assert.Equal(t, test.want, got.GetReason(), got.GetExplanation())
		})
	}
}

// Who watches is not told either: the first message is that of the HPA's own scaling. If somebody else has scaled, the wait ends.
func TestWatchWaitsForTheHPAToTellOfItsScaling(t *testing.T) {
	f := newLateFixture(t, 3, deadline)
	messages, _ := f.watching(t)
	assert.Zero(t, until(t, messages, "the cooldown holds", func(m *inspectv1.WatchResponse) bool {
		return m.GetExplanation().GetReason() == inspectv1.Reason_REASON_COOLDOWN
	}))

	f = newLateFixture(t, 1<<40, 10*tick)
	messages, _ = f.watching(t)
	until(t, messages, "the depth is below the bound", func(m *inspectv1.WatchResponse) bool {
		return m.GetExplanation().GetReason() == inspectv1.Reason_REASON_BELOW_LOWER_BOUND
	})
	f.depth(t, 500)
	until(t, messages, "the depth is news meanwhile", func(m *inspectv1.WatchResponse) bool {
		return m.GetExplanation().GetQueueDepth() == 500
	})
}

// KEDA waits for nothing: it holds a lock meanwhile.
func TestKEDAIsAnsweredBeforeTheHPATells(t *testing.T) {
	f := newLateFixture(t, 1<<40, deadline)
	_, err := f.GetMetrics(t.Context(), &externalscaler.GetMetricsRequest{ScaledObjectRef: f.ref()})
	assert.NoError(t, err)
}
