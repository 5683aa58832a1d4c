package worker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/delivery"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
)

// What the handler says of a message, and of itself, decides what becomes of the message.
func TestWhatTheHandlerSaysDecides(t *testing.T) {
	f := newFake([]source.Message{{ID: "refused", Deliveries: 1}, {ID: "overloaded", Deliveries: 1}, {ID: "away", Deliveries: 1}})
	stop := run(t, f, Options{Concurrency: 3, Deliver: func(_ context.Context, m source.Message) error {
		switch m.ID {
		case "refused": // and there is no MaxDeliveries
			return fmt.Errorf("wrapped: %w", &delivery.Refused{Status: 422, Reason: "no such customer"})
		case "overloaded":
			return &delivery.Unavailable{RetryAfter: time.Minute, Err: errors.New("503")}
		}
		return &delivery.Unavailable{Err: errors.New("connection refused")}
	}})
	eventually(t, func() bool { return f.seen("bury refused")+f.seen("release overloaded")+f.seen("release away") == 3 })
	require.NoError(t, stop())
	require.Equal(t, time.Minute, f.retries["overloaded"], "as the handler asks")
	require.Equal(t, firstRetry, f.retries["away"])
	require.Contains(t, f.reasons["refused"], "no such customer")
}
