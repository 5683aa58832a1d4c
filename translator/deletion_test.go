package translator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

// A leftover is told once, after the grace by the controller's own clock.
func TestLeftovers(t *testing.T) {
	var l leftovers
	key := types.NamespacedName{Namespace: "shop", Name: "orders"}
	look := func(uid types.UID, at time.Duration, tell bool, again time.Duration) {
		t.Helper()
		gotTell, gotAgain := l.look(key, uid, channeltest.Now.Add(at))
		assert.Equal(t, tell, gotTell)
		assert.Equal(t, again, gotAgain)
	}
	look("a", 0, false, 30*time.Second)
	look("a", 10*time.Second, false, 20*time.Second)
	look("a", -time.Hour, false, 30*time.Second)
	look("a", 30*time.Second, true, 0)
	look("a", time.Hour, false, 0)
	look("b", time.Hour, false, 30*time.Second)
	l.forget(key)
	assert.Empty(t, l.seen)
}
