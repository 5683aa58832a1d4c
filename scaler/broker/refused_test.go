package broker_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// A hundred databases that refuse what a Secret has read it once in 30 s, at last; what it then
// has is found at the next look. The time is a bubble's, the server is not.
func TestAHundredDatabasesThatRefuseAPassword(t *testing.T) {
	const databases = 100
	server := redistest.Start(t, "--requirepass", "right", "--databases", "100")
	source := newSecrets()
	source.set("auth", "password", "wrong")
	synctest.Test(t, func(t *testing.T) {
		pool := sampling.NewPool(sampling.Options{Options: broker.Options{Secrets: source}})
		defer pool.Close()
		read := func() (failed int) {
			for i := range databases {
				of := broker.Server{Address: server.Addr, Database: i, Namespace: "team-a", Password: broker.Secret{Name: "auth"}}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				if _, err := pool.Depth(ctx, of, list("q")); err != nil {
					require.Equal(t, broker.Unauthorized, causeOf(err), "%v", err)
					failed++
				}
				cancel()
			}
			return failed
		}
		wait := func(seconds int) (reads int) {
			before := source.count()
			for range seconds {
				<-time.After(time.Second)
				read()
			}
			return source.count() - before
		}
		assert.Equal(t, databases, read())
		assert.LessOrEqual(t, wait(60), 12, "reads in the first minute")
		assert.LessOrEqual(t, wait(60), 4, "reads in the second")
		source.set("auth", "password", "right")
		reads := 0
		for range 45 {
			reads += wait(1)
			if read() == 0 {
				break
			}
		}
		assert.Zero(t, read(), fmt.Sprint("after ", reads, " reads"))
	})
}
