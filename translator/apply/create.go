package apply

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// noVersion is a resource version that no object ever has, as etcd's revisions begin with 1
// while it is empty. An apply with it creates, and is a conflict where an object of that
// name is there already: kube-apiserver compares versions only when there is one to compare
// with (k8s.io/apiserver, pkg/registry/generic/registry/store.go, Update).
const noVersion = "1"

// findOrCreate gets a channel's child from a cache that holds only what carries the
// operator's labels, and where that has none from the API server: an object without the
// labels is there all the same. Where there is none at all, it is created, and false
// returned. create applies without force, at the version that it gets, if any: so whoever
// made an object of that name keeps it.
func (a *Applier) findOrCreate(ctx context.Context, channel *v1.PubSubChannel, cached client.Reader, child client.Object, create func(version *string) error) (found bool, err error) {
	key := client.ObjectKeyFromObject(child)
	found, err = Find(ctx, cached, key, child)
	if found || err != nil {
		return found, err
	}
	if channel.Status.ObservedGeneration < 1 { // it is new, and as a rule nothing of that name is there
		if err := create(ptr.To(noVersion)); !apierrors.IsConflict(err) {
			return false, err
		}
	}
	found, err = Find(ctx, a.Live, key, child)
	if found || err != nil {
		return found, err
	}
	return false, create(nil)
}

// Find returns false where there is no such object.
func Find(ctx context.Context, reader client.Reader, key types.NamespacedName, object client.Object) (bool, error) {
	err := reader.Get(ctx, key, object)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, &readError{fmt.Errorf("reading %T %s: %w", object, key, err)}
	}
	return true, nil
}

// readError says that nothing is known of an object, not even whose it is.
type readError struct{ error }

func (e *readError) Unwrap() error { return e.error }
