// Package channels finds PubSubChannels and follows those that autoscale.
package channels

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
	"github.com/jawaracloud/pubsub-operator/translator/reading"
)

// Resource is PubSubChannel as kubectl auth can-i takes it.
const Resource = "pubsubchannels.pubsub.jawaracloud.io"

// A FindingError is what the cluster says about a channel, unlike an error of asking it.
type FindingError struct{ words string }

func (f *FindingError) Error() string { return f.words }

func finding(format string, args ...any) error { return &FindingError{fmt.Sprintf(format, args...)} }

// IsFinding tells a FindingError from a cluster that could not be asked.
func IsFinding(err error) bool {
	var f *FindingError
	return errors.As(err, &f)
}

// errNotInstalled is for a cluster without the CRD.
var errNotInstalled = finding("this cluster has no PubSubChannels: install the operator with its Helm chart, or choose another --context")

// Exists fails with a FindingError where there is no such channel.
func Exists(ctx context.Context, cluster *connect.Cluster, key types.NamespacedName) error {
	_, err := get(ctx, cluster, key)
	return err
}

// Read reads a channel. It fails with a FindingError where there is none, or where it can't be decoded.
func Read(ctx context.Context, cluster *connect.Cluster, key types.NamespacedName) (*v1.PubSubChannel, error) {
	channel, err := get(ctx, cluster, key)
	if err == nil && reading.Unreadable(channel) != "" {
		return nil, finding("PubSubChannel %s %s", key, unreadable(channel))
	}
	return channel, err
}

// Check fails with a FindingError where nothing would decide about a channel: it does not
// exist, can't be decoded, or its autoscaling is off.
func Check(ctx context.Context, cluster *connect.Cluster, key types.NamespacedName) error {
	channel, err := get(ctx, cluster, key)
	switch {
	case err != nil:
		return err
	case reading.Unreadable(channel) != "":
		return finding("PubSubChannel %s %s", key, unreadable(channel))
	case autoscaled(channel):
		return nil
	}
	return finding(`autoscaling of PubSubChannel %s is off, so nothing decides about its replicas: switch it on with kubectl patch psc %s -n %s --type merge -p '{"spec":{"autoScaling":{"enabled":true}}}'`,
		key, key.Name, key.Namespace)
}

func get(ctx context.Context, cluster *connect.Cluster, key types.NamespacedName) (*v1.PubSubChannel, error) {
	requesting, cancel := cluster.Bounded(ctx)
	defer cancel()
	raw := &unstructured.Unstructured{}
	raw.SetGroupVersionKind(kind)
	err := cluster.Client.Get(requesting, key, raw)
	switch {
	case err == nil:
		return decode(raw)
	case connect.NoSuchKind(err):
		return nil, errNotInstalled
	case apierrors.IsNotFound(err):
		return nil, missing(ctx, cluster, key)
	default:
		access := connect.Access{Verb: "get", Resource: Resource, Name: key.Name, Namespace: key.Namespace}
		return nil, fmt.Errorf("reading PubSubChannel %s: %w", key, connect.RequestError(requesting, err, access, ""))
	}
}

func autoscaled(channel *v1.PubSubChannel) bool {
	return channel.DeletionTimestamp == nil && channel.Spec.AutoScaling != nil && channel.Spec.AutoScaling.Enabled
}

// missing says what there is instead.
func missing(ctx context.Context, cluster *connect.Cluster, key types.NamespacedName) error {
	requesting, cancel := cluster.Bounded(ctx)
	defer cancel()
	list := newList()
	if err := cluster.Client.List(requesting, list); err != nil {
		if err = cluster.Client.List(requesting, list, client.InNamespace(key.Namespace)); err != nil {
			list = newList() // a suggestion less: that there is no such channel counts
		}
	}
	var keys []types.NamespacedName
	for i := range list.Items {
		keys = append(keys, client.ObjectKeyFromObject(&list.Items[i]))
	}
	return finding("there is no PubSubChannel %q in namespace %q: %s", key.Name, key.Namespace, instead(key, keys))
}

// instead is the remedy for a name that does not exist, from those that do.
func instead(wanted types.NamespacedName, existing []types.NamespacedName) string {
	var near, here, elsewhere []string
	for _, key := range existing {
		switch {
		case key.Namespace == wanted.Namespace && isNear(wanted.Name, key.Name):
			near = append(near, key.Name)
		case key.Namespace == wanted.Namespace:
			here = append(here, key.Name)
		case key.Name == wanted.Name:
			elsewhere = append(elsewhere, key.Namespace)
		}
	}
	switch {
	case len(near) > 0:
		return "did you mean " + oneOf(near) + "?"
	case len(elsewhere) > 0:
		return "there is one in namespace " + oneOf(elsewhere) + ": name it with --namespace"
	case len(here) > 0:
		return "there is " + oneOf(here)
	default:
		return "kubectl get psc --all-namespaces lists the existing ones; for a ScaledObject of your own use --scaled-object"
	}
}

// mostNamed is how many names a message holds.
const mostNamed = 5

func oneOf(names []string) string {
	slices.Sort(names)
	if len(names) > mostNamed {
		return strings.Join(names[:mostNamed], ", ") + fmt.Sprintf(" or one of %d more", len(names)-mostNamed)
	}
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// isNear is true for a name that a slip of the keyboard makes of the other one.
func isNear(wanted, name string) bool {
	return strings.HasPrefix(name, wanted) || distance(wanted, name) <= max(1, min(3, len(wanted)/3))
}

// distance is Levenshtein's: the fewest letters to add, drop or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// Names lists the channels of a namespace, for completion.
func Names(ctx context.Context, cluster *connect.Cluster, namespace string) ([]string, error) {
	ctx, cancel := cluster.Bounded(ctx)
	defer cancel()
	list := newList()
	if err := cluster.Client.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	var names []string
	for _, channel := range list.Items {
		names = append(names, channel.GetName())
	}
	return names, nil
}
