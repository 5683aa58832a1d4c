package channels

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
)

// State is what counts of a channel for one who follows decisions.
type State struct {
	// Autoscaled is true while its autoscaling is on.
	Autoscaled bool
	// Generation is that of the spec that its ScaledObject was made from: another one
	// means another trigger.
	Generation int64
	// Unreadable says why the channel can't be decoded, and the remedy; whether it autoscales
	// is unknown then. Empty: it was.
	Unreadable string
}

// Event is news about the channels that are followed.
type Event struct {
	Channel types.NamespacedName
	// State is nil where the channel was deleted.
	State *State
	// Object is the channel as it was read, for FollowStatuses.
	Object *v1.PubSubChannel
	// Listed stands alone: all channels that there are have been told. It comes after each
	// list, so also when the API server answers again.
	Listed bool
	// Err stands alone: the channels can't be listed or watched now; it goes on.
	Err error
}

// Selection says which channels are followed.
type Selection struct {
	// Namespace; empty: all.
	Namespace string
	// Names; empty: all.
	Names []string
}

// pause is how long the API server is left alone after a watch that ended or failed.
const pause = time.Second

// Follow tells of the channels until the context ends; then it returns nil. Only the first
// list may fail.
func Follow(ctx context.Context, cluster *connect.Cluster, selection Selection, each func(Event)) error {
	f := follower{cluster: cluster, selection: selection, each: each, known: map[types.NamespacedName]State{}}
	return f.follow(ctx)
}

// FollowStatuses does the same, and tells of each change of a channel, with the channel.
func FollowStatuses(ctx context.Context, cluster *connect.Cluster, selection Selection, each func(Event)) error {
	f := follower{cluster: cluster, selection: selection, each: each, known: map[types.NamespacedName]State{}, whole: true}
	return f.follow(ctx)
}

func (f *follower) follow(ctx context.Context) error {
	for first := true; ctx.Err() == nil; first = false {
		version, err := f.list(ctx)
		if err == nil {
			f.each(Event{Listed: true})
			err = f.watch(ctx, version)
		} else if first && ctx.Err() == nil {
			return err
		}
		if err != nil && ctx.Err() == nil {
			f.each(Event{Err: err})
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

type follower struct {
	cluster   *connect.Cluster
	selection Selection
	each      func(Event)
	known     map[types.NamespacedName]State
	whole     bool // each change counts, and not only that of a State
}

func (f *follower) options() client.ListOptions {
	options := client.ListOptions{Namespace: f.selection.Namespace, Raw: &metav1.ListOptions{}}
	if len(f.selection.Names) == 1 { // so that a right to this one is enough
		options.Raw.FieldSelector = "metadata.name=" + f.selection.Names[0]
	}
	return options
}

// list tells what changed since the last one.
func (f *follower) list(ctx context.Context) (version string, err error) {
	requesting, cancel := f.cluster.Bounded(ctx)
	defer cancel()
	list, options := newList(), f.options()
	if err := f.cluster.Client.List(requesting, list, &options); err != nil {
		if apierrors.IsNotFound(err) {
			return "", errNotInstalled
		}
		access := connect.Access{Verb: "list", Resource: Resource, Namespace: f.selection.Namespace}
		return "", fmt.Errorf("listing PubSubChannels: %w", connect.RequestError(requesting, err, access, ""))
	}
	listed := map[types.NamespacedName]bool{}
	for i := range list.Items {
		channel, err := decode(&list.Items[i])
		if err != nil {
			return "", err
		}
		listed[client.ObjectKeyFromObject(channel)] = true
		f.see(channel)
	}
	for key := range f.known {
		if !listed[key] {
			f.forget(key)
		}
	}
	return list.GetResourceVersion(), nil
}

// watch tells of changes until the API server ends the watch, which it does now and then.
func (f *follower) watch(ctx context.Context, version string) error {
	options := f.options()
	options.Raw.ResourceVersion = version
	watcher, err := f.cluster.Client.Watch(ctx, newList(), &options)
	if err != nil {
		access := connect.Access{Verb: "watch", Resource: Resource, Namespace: f.selection.Namespace}
		return fmt.Errorf("watching PubSubChannels: %w", connect.RequestError(ctx, err, access, ""))
	}
	defer watcher.Stop()
	for {
		var event watch.Event
		select {
		case <-ctx.Done():
			return nil
		case event = <-watcher.ResultChan():
		}
		raw, ok := event.Object.(*unstructured.Unstructured)
		switch {
		case !ok || event.Type == watch.Error: // the end, or an error such as a version that is too old: the next list makes up for it
			return nil
		case event.Type == watch.Deleted:
			f.forget(client.ObjectKeyFromObject(raw))
		default:
			channel, err := decode(raw)
			if err != nil {
				return err
			}
			f.see(channel)
		}
	}
}

func (f *follower) see(channel *v1.PubSubChannel) {
	key := client.ObjectKeyFromObject(channel)
	if len(f.selection.Names) > 0 && !slices.Contains(f.selection.Names, key.Name) {
		return
	}
	state := State{Autoscaled: autoscaled(channel), Generation: channel.Status.ObservedGeneration, Unreadable: unreadable(channel)}
	if last, known := f.known[key]; known && last == state && !f.whole {
		return
	}
	f.known[key] = state
	event := Event{Channel: key, State: &state}
	if f.whole {
		event.Object = channel
	}
	f.each(event)
}

func (f *follower) forget(key types.NamespacedName) {
	if _, known := f.known[key]; known {
		delete(f.known, key)
		f.each(Event{Channel: key})
	}
}
