package channeltest

import (
	"testing"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
)

// ScalerError is an error of the scaler's own.
func ScalerError(code codes.Code, message string) error {
	return inspect.Error(code, "Test", message)
}

// Now is when what is observed is observed: a Friday, 16:04:05 in Berlin.
var Now = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

// Fleet is a Deployment in the state that the Deployment controller tells.
func Fleet(wanted, total, ready int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "orders-subscriber", Generation: 2},
		Spec:       appsv1.DeploymentSpec{Replicas: &wanted},
		Status:     appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: total, UpdatedReplicas: total, ReadyReplicas: ready},
	}
}

// Answered is an answer with the decision to hold, given Now.
func Answered(replicas int32, depth int64, reason inspectv1.Reason, words string) *inquiry.Answer {
	return &inquiry.Answer{
		At:       Now,
		Since:    Now,
		Question: inquiry.Question{Replicas: replicas},
		Response: &inspectv1.ExplainResponse{
			QueueDepth: depth, Ready: depth, Reason: reason, Action: inspectv1.Action_ACTION_HOLD, LastingExplanation: words,
			Replicas: replicas, DesiredReplicas: replicas, ToleranceHonoured: true,
		},
	}
}

// KEDAReady is a ScaledObject of which KEDA says whether it is ready.
func KEDAReady(status metav1.ConditionStatus) *kedav1alpha1.ScaledObject {
	so := &kedav1alpha1.ScaledObject{}
	so.Status.Conditions.SetReadyCondition(status, "Test", "words of KEDA's")
	return so
}

// ConditionOf is the condition of that type, which must be there.
func ConditionOf(t *testing.T, status v1.PubSubChannelStatus, kind string) metav1.Condition {
	t.Helper()
	c := meta.FindStatusCondition(status.Conditions, kind)
	require.NotNil(t, c, kind)
	return *c
}

// Rolling is a Deployment on its way from one template to another.
func Rolling(wanted, total, updated, ready int32) *appsv1.Deployment {
	deployment := Fleet(wanted, total, ready)
	deployment.Status.UpdatedReplicas = updated
	return deployment
}

// WithCondition is a Deployment that gets no further.
func WithCondition(deployment *appsv1.Deployment, kind appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string) *appsv1.Deployment {
	deployment.Status.Conditions = []appsv1.DeploymentCondition{{Type: kind, Status: status, Reason: reason, Message: message}}
	return deployment
}
