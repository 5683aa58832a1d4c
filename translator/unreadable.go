package translator

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
	"github.com/jawaracloud/pubsub-operator/translator/status"
)

// unreadablePatch changes the status of a channel that can't be decoded, where it can be
// decoded itself. What a newer CRD has in it, and nobody here knows, stays. A status that
// can't be decoded is replaced as a whole.
func unreadablePatch(channel *v1.PubSubChannel, stored, next v1.PubSubChannelStatus) (client.Patch, error) {
	if equality.Semantic.DeepEqual(stored, v1.PubSubChannelStatus{}) { // the API server gives each one an observedGeneration
		data, err := json.Marshal([]map[string]any{
			{"op": "add", "path": "/status", "value": next}, // or replaces it
			{"op": "replace", "path": "/metadata/resourceVersion", "value": channel.ResourceVersion},
		})
		return client.RawPatch(types.JSONPatchType, data), err
	}
	identity := metav1.ObjectMeta{ResourceVersion: channel.ResourceVersion}
	patch := client.MergeFromWithOptions(&v1.PubSubChannel{ObjectMeta: identity, Status: stored}, client.MergeFromWithOptimisticLock{})
	data, err := patch.Data(&v1.PubSubChannel{ObjectMeta: identity, Status: next})
	return client.RawPatch(types.MergePatchType, data), err
}

// reportUnreadable writes the status of a channel that can't be decoded. It reads no more of
// the answer than what was kept of the status.
func (r *Reconciler) reportUnreadable(ctx context.Context, p *plan.Plan) error {
	r.observer.forget(client.ObjectKeyFromObject(p.Channel))
	next := status.Unreadable(p, r.now())
	if !r.heartbeat.due(p.Channel.Status, &next, r.now()) {
		return nil
	}
	r.logReady(p.Channel, next)
	stored := r.pruned.stored(identityOf(p.Channel), p.Channel.Status)
	patch, err := unreadablePatch(p.Channel, stored, next)
	if err != nil {
		return fmt.Errorf("writing the status of PubSubChannel %s/%s: %w", p.Channel.Namespace, p.Channel.Name, err)
	}
	answer := &unstructured.Unstructured{}
	answer.SetGroupVersionKind(v1.GroupVersion.WithKind("PubSubChannel"))
	answer.SetNamespace(p.Channel.Namespace)
	answer.SetName(p.Channel.Name)
	if err := r.client.Status().Patch(ctx, answer, patch); apierrors.IsInvalid(err) {
		r.noteRefusedStatus(ctx, p.Channel, next, stored, err)
		return nil
	} else if err != nil {
		return fmt.Errorf("writing the status of PubSubChannel %s/%s: %w", p.Channel.Namespace, p.Channel.Name, err)
	}
	if answer.GetResourceVersion() != p.Channel.ResourceVersion {
		r.replaced.add(client.ObjectKeyFromObject(p.Channel), p.Channel.ResourceVersion)
	}
	r.recordRefusal(ctx, p.Channel, next)
	kept, err := statusOf(answer)
	if err != nil {
		return nil //nolint:nilerr // somebody else has written it just now, and it is read again
	}
	return r.noteDropped(p.Channel, next, kept)
}

// statusOf is the status in an answer, if it can be decoded.
func statusOf(answer *unstructured.Unstructured) (kept v1.PubSubChannelStatus, err error) {
	data, err := json.Marshal(answer.Object["status"])
	if err == nil {
		err = json.Unmarshal(data, &kept)
	}
	return kept, err
}
