package translator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Nothing waits for longer than the status interval, nor than a minute, however often it
// failed and however many others did.
func TestRetries(t *testing.T) {
	for interval, most := range map[time.Duration]time.Duration{15 * time.Second: 15 * time.Second, time.Hour: time.Minute} {
		paced := newRetries(interval)
		for range 200 {
			paced.When(reconcile.Request{NamespacedName: types.NamespacedName{Name: "other"}})
		}
		request := reconcile.Request{NamespacedName: types.NamespacedName{Name: "orders"}}
		assert.LessOrEqual(t, paced.When(request), conflictRetry, "the first time")
		waits := map[time.Duration]bool{}
		for range 100 {
			wait := paced.When(request)
			assert.LessOrEqual(t, wait, most)
			waits[wait] = true
		}
		assert.Greater(t, len(waits), 50, "not all at once")
		assert.Greater(t, paced.When(request), most*3/4)
	}
}
