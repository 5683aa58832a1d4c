package follow

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/channels"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

// decided is a channel whose status has a decision, scaled at that time.
func decided(scaled time.Time, changes ...func(*v1.PubSubChannel)) channels.Event {
	channel := channeltest.Channel(channeltest.AutoScaled())
	channel.Status.Conditions = []metav1.Condition{{Type: v1.ConditionConnected, Status: metav1.ConditionTrue}}
	channel.Status.Decision = &v1.ScalingDecision{ObservedTime: metav1.NewTime(scaled), Replicas: 3, QueueDepth: 500, Ready: 500, LastScaleTime: new(metav1.NewTime(scaled))}
	for _, change := range changes {
		change(channel)
	}
	return channels.Event{Channel: client.ObjectKeyFromObject(channel), State: &channels.State{Autoscaled: channel.Spec.AutoScaling.Enabled}, Object: channel}
}

// Updates come from the statuses, once each, and as time passes.
func TestStatuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events, updates := make(chan channels.Event), make(chan Update, 10)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- Statuses(ctx, func(ctx context.Context, each func(channels.Event)) error {
				for {
					select {
					case <-ctx.Done():
						return nil
					case event := <-events:
						each(event)
					}
				}
			}, Options{}, func(update Update) { updates <- update })
		}()
		scaled := time.Now().Truncate(time.Second)
		quiet := func() { synctest.Wait(); require.Empty(t, updates) }

		events <- decided(scaled)
		first := <-updates
		assert.Equal(t, inspectv1.Reason_REASON_COOLDOWN, first.Explanation.GetReason())
		assert.Equal(t, "shop/orders", first.Channel.String())
		events <- decided(scaled) // something else in the channel changed
		quiet()
		<-time.After(50 * time.Second) // of the bubble's clock
		quiet()
		over := <-updates
		assert.Equal(t, inspectv1.Reason_REASON_ABOVE_UPPER_BOUND, over.Explanation.GetReason(), "the cooldown is over, which nobody had to write")
		assert.LessOrEqual(t, time.Since(scaled), 62*time.Second)
		<-time.After(time.Hour)
		quiet()

		events <- decided(scaled, func(c *v1.PubSubChannel) {
			c.Status.Decision = nil
			c.Status.Conditions[0] = metav1.Condition{Type: v1.ConditionConnected, Status: metav1.ConditionUnknown, Reason: v1.ReasonScalerUnreachable, Message: "no answer"}
		})
		failed := <-updates
		assert.Equal(t, v1.ReasonScalerUnreachable, failed.Failure.GetReason())
		assert.Equal(t, "no answer", failed.Failure.GetMessage())
		events <- decided(scaled, func(c *v1.PubSubChannel) { c.Spec.RedisAddress = "redis:99999" })
		assert.Contains(t, (<-updates).Failure.GetMessage(), `redisAddress is "redis:99999"`)
		off := decided(scaled, func(c *v1.PubSubChannel) { c.Spec.AutoScaling.Enabled = false })
		events <- off
		assert.Equal(t, AutoscalingOff, (<-updates).Ending)
		events <- off
		quiet()
		events <- channels.Event{Channel: off.Channel, State: &channels.State{Unreadable: "can't be read: x"}}
		assert.Equal(t, "the channel can't be read: x", (<-updates).Failure.GetMessage())
		events <- channels.Event{Channel: off.Channel}
		assert.Equal(t, Deleted, (<-updates).Ending)
		events <- channels.Event{Listed: true}
		assert.True(t, (<-updates).Listed)
		events <- channels.Event{Err: errors.New("away")}
		require.ErrorContains(t, (<-updates).Err, "away")
		stop()
		require.NoError(t, <-ended)
	})
	assert.ErrorContains(t, Statuses(t.Context(), func(context.Context, func(channels.Event)) error { return errors.New("forbidden") }, Options{}, func(Update) {}), "forbidden")
}

// That no status is new is told once, as long as it is so: one that is new shows that the operator works, whichever channel it
// is of. How old each is, is told with it.
func TestNoStatusIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events, updates := make(chan channels.Event), make(chan Update, 10)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- Statuses(ctx, func(ctx context.Context, each func(channels.Event)) error {
				for {
					select {
					case <-ctx.Done():
						return nil
					case event := <-events:
						each(event)
					}
				}
			}, Options{}, func(update Update) { updates <- update })
		}()
		quiet := func() { synctest.Wait(); require.Empty(t, updates) }
		scaled := time.Now().Add(-100 * time.Hour)
		at := func(name string, written time.Time) channels.Event {
			return decided(scaled, func(c *v1.PubSubChannel) {
				c.Name, c.Status.ObservedTime = name, new(metav1.NewTime(written))
			})
		}
		old := time.Now().Add(-3 * time.Hour)
		events <- at("orders", old)
		assert.Equal(t, old, (<-updates).AsOf)
		quiet() // not all are listed
		events <- channels.Event{Listed: true}
		assert.True(t, (<-updates).Listed)
		var err *QuietError
		require.ErrorAs(t, (<-updates).Err, &err)
		assert.Equal(t, old, err.Newest)
		assert.ErrorContains(t, err, "the operator is down and what is shown may no longer hold, which kubectl pubsub doctor tells")
		<-time.After(time.Hour)
		quiet()
		events <- channels.Event{Listed: true} // by which warnings are forgotten
		assert.True(t, (<-updates).Listed)
		require.ErrorAs(t, (<-updates).Err, &err)

		written := time.Now()
		events <- at("bills", written)
		assert.True(t, (<-updates).Listed, "it is over")
		assert.Equal(t, "bills", (<-updates).Channel.Name)
		<-time.After(4 * time.Minute)
		quiet()
		<-time.After(time.Minute + 2*time.Second)
		synctest.Wait()
		require.ErrorAs(t, (<-updates).Err, &err)
		assert.Equal(t, written.Truncate(time.Second), err.Newest.Truncate(time.Second))
		events <- at("bills", time.Now())
		assert.True(t, (<-updates).Listed, "it is over")
		again := <-updates
		assert.True(t, again.Again, "it was written anew, and says the same")
		assert.Equal(t, time.Now(), again.AsOf)
		written = time.Now()
		events <- channels.Event{Channel: at("bills", written).Channel}
		assert.Equal(t, Deleted, (<-updates).Ending)
		<-time.After(4 * time.Minute)
		quiet() // that it was written shows that the operator works, though the others are old
		<-time.After(time.Minute + 2*time.Second)
		require.ErrorAs(t, (<-updates).Err, &err)
		assert.Equal(t, written.Truncate(time.Second), err.Newest.Truncate(time.Second))
		events <- channels.Event{Channel: at("orders", old).Channel}
		assert.Equal(t, Deleted, (<-updates).Ending)
		events <- channels.Event{Listed: true}
		assert.True(t, (<-updates).Listed)
		<-time.After(time.Hour)
		quiet() // there is none
		stop()
		require.NoError(t, <-ended)
	})
}
