//go:build integration

package translator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// With a heartbeat a channel to which nothing happens has its time written again and again,
// and nothing else of it; without, its time stays.
func TestHeartbeatIsWritten(t *testing.T) {
	t.Parallel()
	p := startPlaneWithKEDA(t)
	s := &server{WithWatch: p.WithWatch, config: p.config, explainer: &fakeExplainer{}}
	channel := s.channel(t)
	stop := runController(t, p.config, s.explainer, func(_ *manager.Options, o *Options) { o.StatusHeartbeat = 2 * time.Second })
	eventually(t, s, channel, func(c *v1.PubSubChannel) bool { return c.Status.QueueDepth != nil }, "the depth is told")
	known := channel.Status.DeepCopy()
	for range 3 {
		last := channel.Status.ObservedTime
		require.NotNil(t, last)
		eventually(t, s, channel, func(c *v1.PubSubChannel) bool { return c.Status.ObservedTime.After(last.Time) }, "a heartbeat")
		known.ObservedTime = channel.Status.ObservedTime
		assert.Equal(t, *known, channel.Status, "nothing else changed")
	}
	stop()

	runController(t, p.config, s.explainer)
	s.get(t, channel)
	version := channel.ResourceVersion
	asked := s.explainer.last(channel)
	began := time.Now()
	require.Eventually(t, func() bool { return time.Since(began) > 3*time.Second && s.explainer.last(channel) != asked }, soon, tick)
	s.get(t, channel)
	assert.Equal(t, version, channel.ResourceVersion, "no heartbeat, no write")
	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.Replicas = ptr.To[int32](2) })
	last := ptr.Deref(channel.Status.ObservedTime, metav1.Time{})
	eventually(t, s, channel, func(c *v1.PubSubChannel) bool { return c.Status.ObservedTime.After(last.Time) }, "the time comes with what else is written")
}
