package translator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/types"
)

func TestWarningsHaveAPace(t *testing.T) {
	var w lastWarnings
	orders, mails := types.NamespacedName{Namespace: "shop", Name: "orders"}, types.NamespacedName{Namespace: "shop", Name: "mails"}
	now := time.Now()
	assert.True(t, w.due(orders, "QueueUnreadable", now))
	assert.False(t, w.due(orders, "QueueUnreadable", now.Add(9*time.Minute)))
	assert.True(t, w.due(orders, "KEDANotReady", now.Add(time.Minute)), "another reason")
	assert.True(t, w.due(mails, "QueueUnreadable", now.Add(time.Minute)), "another channel")
	assert.True(t, w.due(orders, "QueueUnreadable", now.Add(10*time.Minute)))
	assert.True(t, w.due(orders, "QueueUnreadable", now), "the clock was put back")
	w.forget(orders)
	assert.True(t, w.due(orders, "QueueUnreadable", now))
	w.forget(orders)
	w.forget(mails)
	assert.Empty(t, w.last)
}
