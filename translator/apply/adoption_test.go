package apply

import (
	"testing"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/keda"
)

func TestConflictNamesOwnerAndRemedy(t *testing.T) {
	channel := channeltest.Channel()
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "orders-subscriber"}}
	assert.Contains(t, conflictWith("Deployment", deployment, channel).Message, "controlled by nobody")
	deployment.OwnerReferences = []metav1.OwnerReference{{Kind: "Website", Name: "w", Controller: ptr.To(true)}}
	assert.Contains(t, conflictWith("Deployment", deployment, channel).Message, "Website w")
	deployment.OwnerReferences = []metav1.OwnerReference{{Kind: "PubSubChannel", Name: "orders", UID: "old", Controller: ptr.To(true)}}
	assert.Equal(t, v1.PhasePending, conflictWith("Deployment", deployment, channel).Phase, "it goes by itself")
	deployment.DeletionTimestamp, deployment.Finalizers = ptr.To(metav1.NewTime(channeltest.Now)), []string{keda.Finalizer}
	assert.Contains(t, conflictWith("Deployment", deployment, channel).Message, "whose finalizer finalizer.keda.sh KEDA has to remove")
}
