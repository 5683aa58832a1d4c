package translator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

// The time of a status is written with whatever else is, and alone only for a heartbeat.
func TestObservedTime(t *testing.T) {
	const beat = 5 * time.Minute
	for name, test := range map[string]struct {
		heartbeat time.Duration
		age       time.Duration // of the time that the status has
		none      bool          // it has none
		changed   bool          // there is something else to write
		write     bool
	}{
		"nothing new":                        {0, time.Hour, false, false, false},
		"nothing new, of an older operator":  {0, 0, true, false, false},
		"something new":                      {0, time.Hour, false, true, true},
		"a heartbeat that is not due":        {beat, 4*time.Minute - time.Second, false, false, false},
		"a heartbeat":                        {beat, 4 * time.Minute, false, false, true},
		"the first heartbeat":                {beat, 0, true, false, true},
		"something new between heartbeats":   {beat, time.Second, false, true, true},
		"a clock that was a little ahead":    {beat, -2 * time.Second, false, false, false},
		"a clock that was ahead by minutes":  {beat, -10 * time.Minute, false, false, true},
		"the same, without heartbeats":       {0, -10 * time.Minute, false, false, false},
		"the same, and there is more to say": {0, -10 * time.Minute, false, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			last := v1.PubSubChannelStatus{Replicas: 1}
			if !test.none {
				last.ObservedTime = ptr.To(metav1.NewTime(channeltest.Now.Add(-test.age)))
			}
			next := *last.DeepCopy()
			if test.changed {
				next.Replicas = 2
			}
			assert.Equal(t, test.write, heartbeat(test.heartbeat).due(last, &next, channeltest.Now))
			if test.write {
				assert.True(t, next.ObservedTime.Time.Equal(channeltest.Now))
			} else {
				assert.Equal(t, last, next)
			}
		})
	}
}

// However often a channel is looked at between, its time never becomes older than the
// heartbeat, and it is due when it is
// looked at for it.
func TestHeartbeatsAreKept(t *testing.T) {
	const h = heartbeat(time.Minute)
	for range 1000 {
		at := channeltest.Now
		written := metav1.NewTime(channeltest.Now)
		wait := h.next(nil, at)
		for range 2 {
			assert.Positive(t, wait)
			between := at.Add(wait / 3)
			assert.False(t, h.late(&written, between))
			again := h.next(&written, between)
			assert.LessOrEqual(t, between.Add(again).Sub(written.Time), time.Duration(h))
			at, wait = between, again
		}
		assert.True(t, h.late(&written, at.Add(wait)), "it is due when it is looked at for it")
	}
	assert.Zero(t, heartbeat(0).next(nil, channeltest.Now))
}
