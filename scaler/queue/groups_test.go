package queue_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// Of a stream's groups some are told, each in a form that fits into a line of text.
func TestTheGroupsThatThereAreAreTold(t *testing.T) {
	client := redistest.Start(t).Client()
	remark := func(key string) string {
		return readOne(t, client, newReader(queue.Queue{Key: key, Kind: queue.Stream, Group: "g"}), now).Remark
	}
	add(1, "many")(t, client)
	for i := range 12 {
		do("XGROUP", "CREATE", "many", fmt.Sprintf("group-%02d", i), "$")(t, client)
	}
	assert.Contains(t, remark("many"), "it has group-00, group-01, ")
	assert.Contains(t, remark("many"), "group-09, and 2 more: correct consumerGroup")

	add(1, "odd")(t, client)
	do("XGROUP", "CREATE", "odd", "a\nb", "$")(t, client)
	do("XGROUP", "CREATE", "odd", strings.Repeat("é", 5000), "$")(t, client)
	assert.Contains(t, remark("odd"), "it has a\\nb, "+strings.Repeat("é", 32)+"…: correct")

	assert.Empty(t, remark("none"), "a stream that is not there yet has no groups either")
	do("XGROUP", "CREATE", "many", "g", "$")(t, client)
	assert.Empty(t, remark("many"))
}
