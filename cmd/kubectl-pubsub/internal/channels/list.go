package channels

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
)

// List returns the channels of a namespace, or of all where it is empty, that have the labels:
// those with the names, or all without any. A name that does not exist is a FindingError.
func List(ctx context.Context, cluster *connect.Cluster, selection Selection, selector labels.Selector) ([]*v1.PubSubChannel, error) {
	var found []*v1.PubSubChannel
	for _, name := range selection.Names {
		channel, err := get(ctx, cluster, types.NamespacedName{Namespace: selection.Namespace, Name: name})
		if err != nil {
			return nil, err
		}
		found = append(found, channel)
	}
	if len(selection.Names) > 0 {
		return found, nil
	}
	ctx, cancel := cluster.Bounded(ctx)
	defer cancel()
	list := newList()
	if err := cluster.Client.List(ctx, list, client.InNamespace(selection.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		if connect.NoSuchKind(err) {
			return nil, errNotInstalled
		}
		access := connect.Access{Verb: "list", Resource: Resource, Namespace: selection.Namespace}
		return nil, fmt.Errorf("listing PubSubChannels: %w", connect.RequestError(ctx, err, access, ""))
	}
	for i := range list.Items {
		channel, err := decode(&list.Items[i])
		if err != nil {
			return nil, err
		}
		found = append(found, channel)
	}
	return found, nil
}

// SetPaused holds the number of a channel's workers, or lets it go. It reports whether that
// changed anything.
func SetPaused(ctx context.Context, cluster *connect.Cluster, channel *v1.PubSubChannel, paused bool) (changed bool, err error) {
	if channel.Spec.Paused == paused {
		return false, nil
	}
	ctx, cancel := cluster.Bounded(ctx)
	defer cancel()
	patch := fmt.Appendf(nil, `{"spec":{"paused":%t}}`, paused)
	key := client.ObjectKeyFromObject(channel)
	target := &v1.PubSubChannel{}
	target.Namespace, target.Name = key.Namespace, key.Name
	if err := cluster.Client.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch)); err != nil {
		access := connect.Access{Verb: "patch", Resource: Resource, Name: key.Name, Namespace: key.Namespace}
		return false, fmt.Errorf("changing PubSubChannel %s: %w", key, connect.RequestError(ctx, err, access, ""))
	}
	return true, nil
}
