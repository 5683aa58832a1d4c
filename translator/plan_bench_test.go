package translator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
	"github.com/jawaracloud/pubsub-operator/translator/limits"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
	"github.com/jawaracloud/pubsub-operator/translator/status"
)

// BenchmarkPlan is what a reconcile of an idle channel computes, without the API server: its
// plan, what is made of it, and its status.
func BenchmarkPlan(b *testing.B) {
	channel := channeltest.Channel(channeltest.AutoScaled(func(a *v1.AutoScalingSpec) {
		a.Schedules = []v1.Schedule{{Name: "day", Timezone: "Europe/Berlin", Start: "0 8 * * *", End: "0 18 * * *", MinReplicas: 2}}
	}))
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	seen := status.Observed{At: now, Deployment: channeltest.Fleet(3, 3, 3), ScaledObject: channeltest.KEDAReady("True"), Answer: channeltest.Answered(3, 7, inspectv1.Reason_REASON_IDLE, "idle")}
	b.ReportAllocs()
	for b.Loop() {
		p := plan.Of(channel)
		require.Nil(b, p.Invalid)
		deployment, err := build.Deployment(p)
		require.NoError(b, err)
		require.NoError(b, limits.Limits{}.CheckPod(channel, deployment.Spec.Template))
		_, err = runtime.DefaultUnstructuredConverter.ToUnstructured(deployment)
		require.NoError(b, err)
		require.True(b, build.WantsDisruptionBudget(p, seen.Deployment))
		_, err = runtime.DefaultUnstructuredConverter.ToUnstructured(build.DisruptionBudget(p))
		require.NoError(b, err)
		require.NoError(b, limits.Limits{}.CheckTriggers(p))
		scaledObject := build.ScaledObject(p, build.ScalerRef{Address: "scaler:9090", Certificates: "hash"})
		require.NoError(b, build.CheckScaledObject(p, scaledObject))
		_, err = build.ApplyForm(scaledObject)
		require.NoError(b, err)
		inquiry.NewQuestion(p.Trigger, 3, true)
		status.Freed(p, seen)
		status.Next(p, seen, now)
		status.LookAgain(p, seen, now)
	}
}
