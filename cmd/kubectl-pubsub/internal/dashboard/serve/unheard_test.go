package serve

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// What-if is about what is known. If nothing is heard of the channel, the answer says since when.
func TestWhatIfWhileNothingIsHeard(t *testing.T) {
	server, fleet := running(t, Options{})
	fleet.See(channelOf("orders", 300), time.Now())
	p := open(t, server)
	asks := protocol.Request{Kind: protocol.KindWhatIf, Key: "shop/orders"}
	assert.Nil(t, p.ask(asks).Decision.Unheard)
	since := time.Now().Add(time.Minute).UTC().Truncate(time.Millisecond)
	fleet.Miss("shop", since)
	assert.Equal(t, &since, p.ask(asks).Decision.Unheard)
	fleet.Hear("shop", since.Add(time.Minute))
	assert.Nil(t, p.ask(asks).Decision.Unheard)
}
