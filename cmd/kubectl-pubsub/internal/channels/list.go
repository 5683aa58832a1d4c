package channels

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
	"github.com/jawaracloud/pubsub-operator/translator/reading"
)

// List returns the channels of a namespace, or of all where it is empty, that have the labels:
// those with the names, each once, or all without any. Of names, those that can be read are returned beside the
// error of the others; a name that does not exist is a FindingError.
func List(ctx context.Context, cluster *connect.Cluster, selection Selection, selector labels.Selector) ([]*v1.PubSubChannel, error) {
	if len(selection.Names) > 0 {
		return named(ctx, cluster, selection)
	}
	var found []*v1.PubSubChannel
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

func named(ctx context.Context, cluster *connect.Cluster, selection Selection) (found []*v1.PubSubChannel, err error) {
	var errs []error
	for i, name := range selection.Names {
		if slices.Contains(selection.Names[:i], name) {
			continue
		}
		channel, err := get(ctx, cluster, types.NamespacedName{Namespace: selection.Namespace, Name: name})
		if err == nil {
			found = append(found, channel)
			continue
		}
		errs = append(errs, err)
		if errors.Is(err, errNotInstalled) || IsHopeless(ctx, err) {
			break
		}
	}
	return found, errors.Join(errs...)
}

// IsHopeless is whether the next request to the API server would fail as this one did.
func IsHopeless(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, connect.ErrUnreachable) || apierrors.IsUnauthorized(err)
}

// SetPaused holds the number of a channel's workers, or lets it go. It reports whether that
// changed anything. A channel that was deleted meanwhile is a FindingError.
func SetPaused(ctx context.Context, cluster *connect.Cluster, channel *v1.PubSubChannel, paused bool) (changed bool, err error) {
	unknown := reading.Unreadable(channel) != "" // whether it is paused as well
	if !unknown && channel.Spec.Paused == paused {
		return false, nil
	}
	ctx, cancel := cluster.Bounded(ctx)
	defer cancel()
	patch := []byte(`{"spec":{"paused":true}}`)
	if !paused {
		patch = []byte(`{"spec":{"paused":null}}`) // the field is removed, so that it is nobody's, and what applies the channel sets it without a conflict
	}
	key := client.ObjectKeyFromObject(channel)
	target := &unstructured.Unstructured{} // whatever is in it, it need not be decoded
	target.SetGroupVersionKind(kind)
	target.SetNamespace(key.Namespace)
	target.SetName(key.Name)
	switch err := cluster.Client.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch)); {
	case apierrors.IsNotFound(err) && !connect.NoSuchKind(err):
		return false, finding("PubSubChannel %s was deleted meanwhile", key)
	case err != nil:
		access := connect.Access{Verb: "patch", Resource: Resource, Name: key.Name, Namespace: key.Namespace}
		return false, fmt.Errorf("changing PubSubChannel %s: %w", key, connect.RequestError(ctx, err, access, ""))
	}
	return !unknown || target.GetGeneration() != channel.Generation, nil
}
