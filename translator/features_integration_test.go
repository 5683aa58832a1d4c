//go:build integration

package translator

import (
	"fmt"
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

// features are parts of a pod that one version of Kubernetes or another has not, or has not on
// by default.
var features = []string{
	`{hostUsers: false}`,
	`{os: {name: linux}, containers: [{name: subscriber, lifecycle: {stopSignal: SIGUSR1}}]}`,
	`{evictionResponders: [{name: example.com/a, priority: 1}]}`,
	`{resourceClaims: [{name: gpu, resourceClaimName: one}], containers: [{name: subscriber, resources: {claims: [{name: gpu}]}}]}`,
}

// A part of a pod that the API server drops each time, because its feature is off there, is
// not asked for again each time that a channel is looked at, and a Warning says which it is.
// What else is to be changed is.
func TestWhatTheAPIServerDropsIsTold(t *testing.T) {
	t.Parallel()
	p := startPlaneWithKEDA(t)
	p.namespace(t, "shop")
	var pod string
	var dropped []string
	for _, feature := range features {
		if parts, err := notKept(t, p, "shop", feature); err == nil && len(parts) > 0 {
			pod, dropped = feature, parts
			break
		}
	}
	require.NotEmpty(t, pod, "this version has all of these features on: name one here that is off")
	scaler := &countingDown{}
	runController(t, p.administrator(t, controllerUser), scaler, patient)
	channel := p.fleet(t, "shop", "orders", 1, channeltest.Templated(t, "spec: "+pod))[0]
	deployment, scaledObject := deploymentOf(channel), scaledObjectOf(channel)
	p.settled(t)
	require.NoError(t, p.Get(t.Context(), client.ObjectKeyFromObject(scaledObject), scaledObject))
	require.NoError(t, p.Get(t.Context(), client.ObjectKeyFromObject(deployment), deployment))
	version := deployment.ResourceVersion

	from := p.audit(t)
	for round := range 5 {
		// An annotation of somebody else's on a child has the channel reconciled.
		patch := fmt.Sprintf(`{"metadata":{"annotations":{"theirs":"%d"}}}`, round)
		require.NoError(t, p.Patch(t.Context(), scaledObject, client.RawPatch(types.MergePatchType, []byte(patch))))
		asked := scaler.asked.Load()
		require.Eventually(t, func() bool { return scaler.asked.Load() >= asked+2 }, soon, tick)
	}
	requests, _ := p.audited(t, from)
	assert.Empty(t, writesOf(requests), "nothing happened")
	require.NoError(t, p.Get(t.Context(), client.ObjectKeyFromObject(deployment), deployment))
	assert.Equal(t, version, deployment.ResourceVersion)
	notes := p.notes(t, channel, v1.EventNotKept)
	require.Len(t, notes, 1)
	for _, path := range dropped {
		assert.Contains(t, notes[0], "spec."+path)
	}

	p.edited(t, channel, `{"spec":{"image":"new"}}`)
	p.until(t, deployment, func() bool { return container(deployment).Image == "new" })
	require.NoError(t, p.Patch(t.Context(), deployment, client.RawPatch(types.StrategicMergePatchType,
		[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"subscriber","image":"theirs"}]}}}}`))))
	p.until(t, deployment, func() bool { return container(deployment).Image == "new" })
}

// A part of a pod that the API server is too old for is told, with the field's name; what runs
// goes on, and so does everything that is no part of the pod.
func TestWhatTheAPIServerDoesNotKnowIsTold(t *testing.T) {
	s := sharedServer(t)
	namespace := s.namespace(t)
	pod, words := "", ""
	for _, feature := range features {
		if _, err := notKept(t, s, namespace, feature); err != nil {
			pod, words = feature, err.Error()
			break
		}
	}
	require.NotEmpty(t, pod, "this version knows all of these features: name one here that is newer")
	channel := s.channel(t, channeltest.AutoScaled())
	deployment := s.deploymentReady(t, channel)
	before := deployment.DeepCopy()
	s.edit(t, channel, func(c *v1.PubSubChannel) {
		channeltest.Templated(t, "spec: "+pod)(c)
		c.Spec.AutoScaling.MaxReplicas = 7
	})
	eventually(t, s, channel, readyReason(v1.ReasonInvalidSpec), words)
	assert.Contains(t, meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionReady).Message, "field not declared in schema")
	eventually(t, s, scaledObjectOf(channel), func(so *kedav1alpha1.ScaledObject) bool { return *so.Spec.MaxReplicaCount == 7 }, "the ScaledObject follows")
	s.get(t, deployment)
	assert.Equal(t, before.Spec, deployment.Spec)
}

// notes are those of a channel's events with a reason.
func (p *plane) notes(t *testing.T, channel *v1.PubSubChannel, reason string) (notes []string) {
	t.Helper()
	var list eventsv1.EventList
	require.NoError(t, p.List(t.Context(), &list, client.InNamespace(channel.Namespace)))
	for _, event := range list.Items {
		if event.Reason == reason && event.Regarding.UID == channel.UID {
			notes = append(notes, event.Note)
		}
	}
	return notes
}
