package translator

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// A channel of the start has its turn, however many others are always due.
func TestEachChannelHasItsTurn(t *testing.T) {
	request := func(name string) reconcile.Request {
		return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: name}}
	}
	looked := make(chan struct{})
	var due workqueue.TypedRateLimitingInterface[reconcile.Request]
	options := queueOptions(time.Second)
	options.Reconciler = reconcile.Func(func(_ context.Context, r reconcile.Request) (reconcile.Result, error) {
		if r == request("of-the-start") {
			close(looked)
			return reconcile.Result{}, nil
		}
		due.Add(r)
		return reconcile.Result{}, nil
	})
	options.MaxConcurrentReconciles, options.SkipNameValidation, options.LogConstructor = 1, new(true), func(*reconcile.Request) logr.Logger { return logr.Discard() }
	c, err := controller.NewTypedUnmanaged("test", options)
	require.NoError(t, err)
	require.NoError(t, c.Watch(source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		due = queue
		for i := range 10 {
			queue.Add(request(fmt.Sprint("later-", i)))
		}
		queue.(priorityqueue.PriorityQueue[reconcile.Request]). //nolint:forcetypeassert // as controller-runtime's handlers do
									AddWithOpts(priorityqueue.AddOpts{Priority: new(handler.LowPriority)}, request("of-the-start"))
		return nil
	})))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Start(ctx) }()
	select {
	case <-looked:
	case <-time.After(time.Minute):
		t.Error("it never has its turn")
	}
	cancel()
	require.NoError(t, <-ended)
}
