package plan

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

func TestTriggerReadsBack(t *testing.T) {
	for name, change := range map[string]func(*v1.PubSubChannel){
		"no autoscaling": func(*v1.PubSubChannel) {},
		"defaults":       channeltest.AutoScaled(),
		"all": channeltest.AutoScaled(func(a *v1.AutoScalingSpec) {
			a.MinReplicas, a.MaxReplicas, a.CooldownPeriod = ptr.To[int32](0), 7, ptr.To[int32](0)
			a.MaxScaleUpStep = ptr.To(intstr.FromString("9999%"))
		}),
		"a step beyond any limit": channeltest.AutoScaled(func(a *v1.AutoScalingSpec) { a.MaxScaleUpStep = ptr.To(intstr.FromInt32(math.MaxInt32)) }),
	} {
		t.Run(name, func(t *testing.T) {
			want := Of(channeltest.Channel(change)).Trigger
			got, err := trigger.Parse(want.Metadata())
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
}

// The CRD permits spaces there, and scaler and workers have always passed them over: such a channel goes on after an upgrade.
func TestSpacesAroundTheAddressAreNoneOfIt(t *testing.T) {
	channel := channeltest.Channel()
	channel.Spec.RedisAddress = " dragonfly:6379 "
	p := Of(channel)
	assert.Nil(t, p.Invalid)
	assert.Equal(t, "dragonfly:6379", p.Trigger.Redis.Address, "for the scaler and the workers alike")
}

func TestCheckTriggerFindsWhatTheSchemaCannot(t *testing.T) {
	require.Nil(t, Of(channeltest.Channel()).Invalid)
	err := Of(channeltest.Channel(func(c *v1.PubSubChannel) { c.Spec.RedisAddress = "redis:99999" })).Invalid
	assert.ErrorContains(t, err, `redisAddress is "redis:99999"`)
}
