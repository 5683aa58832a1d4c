// Package apply brings a channel's children up to date by server-side apply: it makes them, takes
// them over where their owner agreed, corrects and removes them, and tells what no retry mends
// from what one may.
package apply

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/limits"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
)

// Applier brings a channel's children up to date, each on its own: what is refused of one
// keeps none of the others from being made. All fields are required but Limits.
type Applier struct {
	Client        client.Client      // writes, and reads Deployments and PodDisruptionBudgets from the cache
	Live          client.Reader      // reads from the API server
	ScaledObjects client.Reader      // reads ScaledObjects from a cache of their own
	Owned         *ownership.Decoded // what was decoded of managedFields as it came into the caches
	Scaler        build.ScalerRef
	// Certificates is the hash for a ScaledObject, of what Scaler.AuthenticationRef refers to:
	// isNew says that there is no ScaledObject yet, and live is the hash that it has; empty:
	// none.
	Certificates func(ctx context.Context, isNew bool, live string) string
	Limits       limits.Limits
	Now          func() time.Time
	// Warn tells the channel's author of something by a Warning event.
	Warn func(ctx context.Context, channel *v1.PubSubChannel, reason, action, message string)

	futile futileApplies
}
