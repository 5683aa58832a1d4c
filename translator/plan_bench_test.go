package translator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// BenchmarkPlan is what a reconcile of an idle channel computes, without the API server: its
// plan, what is made of it, and its status.
func BenchmarkPlan(b *testing.B) {
	channel := testChannel(scaled(func(a *v1.AutoScalingSpec) {
		a.Schedules = []v1.Schedule{{Name: "day", Timezone: "Europe/Berlin", Start: "0 8 * * *", End: "0 18 * * *", MinReplicas: 2}}
	}))
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a := &Applier{Scaler: ScalerRef{Address: "scaler:9090"}}
	seen := observed{at: now, deployment: workers(3, 3, 3), scaledObject: kedaReady("True"), answer: answered(3, 7, inspectv1.Reason_REASON_IDLE, "idle")}
	b.ReportAllocs()
	for b.Loop() {
		p := planOf(channel)
		require.Nil(b, p.Invalid)
		deployment, err := a.permittedDeployment(p)
		require.NoError(b, err)
		_, err = runtime.DefaultUnstructuredConverter.ToUnstructured(deployment)
		require.NoError(b, err)
		require.True(b, mayBeMany(p, seen.deployment) && budgetWanted(p))
		_, err = runtime.DefaultUnstructuredConverter.ToUnstructured(buildDisruptionBudget(p))
		require.NoError(b, err)
		_, err = a.permittedScaledObject(p, "hash")
		require.NoError(b, err)
		newQuestion(p.Trigger, 3, true)
		freed(p, seen)
		nextStatus(p, seen, now)
		lookAgain(p, seen, now)
	}
}
