package watched

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
)

// question asks the transform of an informer for its namespace. A cache makes an informer for each
// namespace. Of what it gives to one, only the transform differs by namespace.
type question struct {
	namespace string
	answered  bool
}

// Transform is a transform of one namespace's objects, which NamespaceOf can ask for the namespace.
func Transform(namespace string, transform toolscache.TransformFunc) toolscache.TransformFunc {
	return func(object any) (any, error) {
		if asked, ok := object.(*question); ok {
			asked.namespace, asked.answered = namespace, true
			return object, nil
		}
		if transform == nil {
			return object, nil
		}
		return transform(object)
	}
}

// NamespaceOf is the namespace of a transform that Transform has made.
func NamespaceOf(transform toolscache.TransformFunc) (string, error) {
	asked := &question{}
	if transform != nil {
		if _, err := transform(asked); err != nil {
			return "", fmt.Errorf("finding out the namespace of an informer: %w", err)
		}
	}
	if !asked.answered {
		return "", errors.New("finding out the namespace of an informer: its transform is not one of the package watched")
	}
	return asked.namespace, nil
}

// NewInformer makes the informers of a cache with Configs (cache.Options.NewInformer).
func (n *Namespaces) NewInformer(given toolscache.ListerWatcher, object runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
	if n == nil {
		return toolscache.NewSharedIndexInformer(given, object, resync, indexers)
	}
	i := &informer{namespaces: n, kind: &kind{}}
	i.SharedIndexInformer = toolscache.NewSharedIndexInformer(i.listening(given), object, resync, indexers)
	i.kind.synced = i.SharedIndexInformer.HasSynced
	return i
}

// informer is one for a namespace that may be unreadable.
type informer struct {
	toolscache.SharedIndexInformer
	namespaces *Namespaces
	namespace  string // from SetTransform, before it runs
	kind       *kind
}

// listening hears how each attempt to read goes. Only a watch that begins tells that it began well: a
// list goes before it, or it lists itself. Who may list and not watch fails at every attempt.
func (i *informer) listening(given toolscache.ListerWatcher) toolscache.ListerWatcher {
	requests := toolscache.ToListerWatcherWithContext(given)
	return toolscache.ToListWatcherWithWatchListSemantics(&toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list, err := requests.ListWithContext(ctx, options)
			if err != nil {
				i.namespaces.heard(ctx, i.namespace, i.kind, err)
			}
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			events, err := requests.WatchWithContext(ctx, options)
			// A server that can't list by a watch refuses that, and is asked for a list next.
			if err == nil || options.SendInitialEvents == nil {
				i.namespaces.heard(ctx, i.namespace, i.kind, err)
			}
			return events, err
		},
	}, given)
}

// SetTransform is called once, before the informer is started.
func (i *informer) SetTransform(transform toolscache.TransformFunc) (err error) {
	if i.namespace, err = NamespaceOf(transform); err != nil {
		return err
	}
	i.namespaces.add(i.namespace, i.kind)
	if err := i.SetWatchErrorHandlerWithContext(logFailure); err != nil {
		return err
	}
	return i.SharedIndexInformer.SetTransform(transform)
}

// logFailure leaves out what tell says once: an informer that may not read tries for ever.
func logFailure(ctx context.Context, reflector *toolscache.Reflector, err error) {
	if !apierrors.IsForbidden(err) {
		toolscache.DefaultWatchErrorHandler(ctx, reflector, err)
	}
}

// RunWithContext runs until the context ends.
func (i *informer) RunWithContext(ctx context.Context) {
	go func() {
		select {
		case <-i.HasSyncedChecker().Done():
			i.namespaces.tell(ctx, i.namespace)
		case <-ctx.Done():
		}
	}()
	i.SharedIndexInformer.RunWithContext(ctx)
}

// HasSynced reports whether nobody has to wait for the first read.
func (i *informer) HasSynced() bool {
	return i.SharedIndexInformer.HasSynced() || i.namespaces.waived(i.kind)
}

// AddEventHandler adds a handler that is not waited for either.
func (i *informer) AddEventHandler(handler toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error) {
	return i.registered(i.SharedIndexInformer.AddEventHandler(handler))
}

// AddEventHandlerWithResyncPeriod adds a handler that is not waited for either.
func (i *informer) AddEventHandlerWithResyncPeriod(handler toolscache.ResourceEventHandler, period time.Duration) (toolscache.ResourceEventHandlerRegistration, error) {
	return i.registered(i.SharedIndexInformer.AddEventHandlerWithResyncPeriod(handler, period))
}

// AddEventHandlerWithOptions adds a handler that is not waited for either.
func (i *informer) AddEventHandlerWithOptions(handler toolscache.ResourceEventHandler, options toolscache.HandlerOptions) (toolscache.ResourceEventHandlerRegistration, error) {
	return i.registered(i.SharedIndexInformer.AddEventHandlerWithOptions(handler, options))
}

// RemoveEventHandler removes a handler.
func (i *informer) RemoveEventHandler(handle toolscache.ResourceEventHandlerRegistration) error {
	if ours, ok := handle.(registration); ok {
		handle = ours.ResourceEventHandlerRegistration
	}
	return i.SharedIndexInformer.RemoveEventHandler(handle)
}

func (i *informer) registered(handle toolscache.ResourceEventHandlerRegistration, err error) (toolscache.ResourceEventHandlerRegistration, error) {
	if err != nil {
		return nil, err
	}
	return registration{handle, i}, nil
}

// registration is of a handler that has nothing to wait for while its namespace can't be read.
type registration struct {
	toolscache.ResourceEventHandlerRegistration
	informer *informer
}

// HasSynced reports whether nobody has to wait for what the handler is told first.
func (r registration) HasSynced() bool {
	return r.ResourceEventHandlerRegistration.HasSynced() || r.informer.namespaces.waived(r.informer.kind)
}
