package watched

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Guard is a cache with informers of NewInformer, from which nothing is read of a namespace that
// can't be read: not even that an object is not there. A namespace counts as a whole. If one of
// its kinds can't be read, none is.
func (n *Namespaces) Guard(inner cache.Cache) cache.Cache {
	if n == nil {
		return inner
	}
	return guarded{inner, n}
}

type guarded struct {
	cache.Cache
	namespaces *Namespaces
}

// Get reads an object. The namespace is looked at before, because it may become readable
// meanwhile, and after, because the cache may have waited for its first answer.
func (g guarded) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if err := g.namespaces.Check(key.Namespace); err != nil {
		return err
	}
	err := g.Cache.Get(ctx, key, object, options...)
	if unreadable := g.namespaces.Check(key.Namespace); unreadable != nil {
		return unreadable
	}
	return err
}

// List reads the objects of one namespace as Get does. A list of all namespaces has those that can
// be read.
func (g guarded) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	var all client.ListOptions
	all.ApplyOptions(options)
	if all.Namespace == metav1.NamespaceAll {
		return g.Cache.List(ctx, list, options...)
	}
	if err := g.namespaces.Check(all.Namespace); err != nil {
		return err
	}
	err := g.Cache.List(ctx, list, options...)
	if unreadable := g.namespaces.Check(all.Namespace); unreadable != nil {
		return unreadable
	}
	return err
}
