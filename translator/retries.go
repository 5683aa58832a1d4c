package translator

import (
	"math/rand/v2"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// retries paces what failed and could not be told, for each channel on its own: at once,
// then at ever longer intervals up to that of the status. The workqueue's own would go up to
// 1,000 s, and let ten a second pass for all channels together.
type retries struct {
	workqueue.TypedRateLimiter[reconcile.Request]
}

func newRetries(interval time.Duration) retries {
	return retries{workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](conflictRetry, min(interval, maxRetry))}
}

// When is up to a fifth shorter: channels that failed together are tried again apart.
func (r retries) When(request reconcile.Request) time.Duration {
	return time.Duration(float64(r.TypedRateLimiter.When(request)) * (1 - explainJitter*rand.Float64()))
}
