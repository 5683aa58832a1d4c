package diagnosis

import (
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
)

// Seen is what was seen of the pods of a channel whose workers are not all up.
type Seen struct {
	Trouble *Trouble      // nil: none was found
	Kept    bool          // the pods have not been looked at yet: what Ready tells of them stays
	Unread  error         // why they could not be looked at
	Again   time.Duration // when to look again; 0: when something changes
}

// OfPods reports whether a reason of Ready comes from a look at the pods.
func OfPods(reason string) bool {
	switch reason {
	case v1.ReasonWorkersFailing, v1.ReasonWorkersNotStarting, v1.ReasonWorkersUnschedulable:
		return true
	}
	return false
}

// head is the cause and how many have it.
func (t *Trouble) head(deployment *appsv1.Deployment) string {
	wanted := ptr.Deref(deployment.Spec.Replicas, 1)
	return fmt.Sprintf("%d of %d workers: %s", min(t.Workers, wanted), wanted, t.Cause)
}

// Message is the head and the details; those that are told already stay, where the new ones
// only count on, or say less.
func (t *Trouble) Message(deployment *appsv1.Deployment, last metav1.Condition) string {
	head := t.head(deployment)
	message := head
	if t.Details != "" {
		message += ": " + t.Details
	}
	if strings.HasPrefix(last.Message, head) && (t.Vague || inspect.WithoutDigits(last.Message) == inspect.WithoutDigits(message)) {
		return last.Message
	}
	return message
}
