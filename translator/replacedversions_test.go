package translator

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/types"
)

func TestReplacedVersions(t *testing.T) {
	var r replacedVersions
	orders, payments := types.NamespacedName{Namespace: "shop", Name: "orders"}, types.NamespacedName{Namespace: "shop", Name: "payments"}
	assert.False(t, r.is(orders, "7"), "nothing was replaced")
	r.add(orders, "7")
	assert.True(t, r.is(orders, "7"))
	assert.True(t, r.is(orders, "7"), "for as long as the cache has it")
	assert.False(t, r.is(payments, "7"), "another channel's")
	assert.False(t, r.is(orders, "8"))
	assert.Empty(t, r.versions, "nothing is kept once the cache has another")

	r.add(orders, "8")
	r.forget(orders)
	assert.False(t, r.is(orders, "8"))

	for i := range 3 * replacedKept {
		key := types.NamespacedName{Namespace: "shop", Name: fmt.Sprint(i)}
		r.add(key, "1")
		assert.True(t, r.is(key, "1"), "the latest is always kept")
	}
	assert.LessOrEqual(t, len(r.versions), replacedKept)
}
