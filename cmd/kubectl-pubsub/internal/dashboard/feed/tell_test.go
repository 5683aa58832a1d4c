package feed

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/record"
)

// Namespaces that are back at the same moment: the fleet must not be told last that one is away.
func TestTheLastWordIsOfTheLastState(t *testing.T) {
	f := feedOf(t, interceptor.Funcs{})
	f.add("bank")
	f.add("shop")
	f.tell("bank", scope{problem: "the API server is away"})
	f.tell("shop", scope{problem: "the API server is away"})
	f.now = func() time.Time {
		f.now = time.Now
		f.tell("shop", scope{}) // it comes in between
		return time.Now()
	}
	f.tell("bank", scope{})
	news, err := f.fleet.Since(&record.Cursor{}, time.Now())
	require.NoError(t, err)
	assert.True(t, news.Connection.Up, news.Connection.Problem)
}

// An API server that does not answer from the beginning: nothing is said of the namespaces.
func TestAwayFromTheBeginning(t *testing.T) {
	f := feedOf(t, interceptor.Funcs{})
	f.add("shop")
	f.tell("shop", scope{problem: "refused"})
	assert.Empty(t, f.fleet.Namespaces())
	f.tell("shop", scope{forbidden: "you need the right"})
	assert.Len(t, f.fleet.Namespaces(), 1)
}
