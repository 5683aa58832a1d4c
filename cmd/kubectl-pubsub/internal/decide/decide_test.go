package decide

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

var now = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// decided is a channel whose status has a decision: 3 workers, 500 messages, scaled 90 s ago.
func decided(changes ...func(*v1.PubSubChannel)) *v1.PubSubChannel {
	channel := channeltest.Channel(channeltest.AutoScaled())
	channel.Status.Conditions = []metav1.Condition{{Type: v1.ConditionConnected, Status: metav1.ConditionTrue, Reason: v1.ReasonQueueRead}}
	channel.Status.Decision = &v1.ScalingDecision{
		ObservedTime: metav1.NewTime(now.Add(-14 * time.Second)), Action: v1.ScalingUp, Reason: "AboveUpperBound",
		Replicas: 3, DesiredReplicas: 4, QueueDepth: 500, Ready: 480, InFlight: new(int64(20)), QueueType: "stream",
		LowerBound: 150, UpperBound: 450, Active: true, LastScaleTime: new(metav1.NewTime(now.Add(-90 * time.Second))),
	}
	for _, change := range changes {
		change(channel)
	}
	return channel
}

func TestExplainDecidesFromTheStatus(t *testing.T) {
	got, err := Explain(decided(), Overrides{}, now)
	require.NoError(t, err)
	assert.Equal(t, "queue depth 500 is above 450 = 100 × 3 × 150 %: 3 → 4 replicas", got.GetExplanation())
	assert.Equal(t, "ceil(500 ÷ (100 × 150 %)) = 4, the fewest replicas whose upper bound is not exceeded", got.GetArithmetic())
	assert.EqualValues(t, 480, got.GetReady())
	assert.EqualValues(t, 20, got.GetInFlight())
	assert.True(t, got.GetInFlightKnown())
	assert.True(t, got.GetToleranceHonoured())
	assert.Nil(t, got.MessageRate, "unknown, not 0")
	assert.Equal(t, 14*time.Second, got.GetSampleAge().AsDuration())
	assert.Empty(t, got.GetKeys())
	assert.EqualValues(t, 100, got.GetPolicy().GetTargetQueueDepth())
}

// What counts on since the status was written is as of now.
func TestExplainIsAsOfNow(t *testing.T) {
	cooling := decided(func(c *v1.PubSubChannel) {
		c.Status.Decision.LastScaleTime = new(metav1.NewTime(now.Add(-50 * time.Second)))
		c.Status.Decision.Reason, c.Status.Decision.Action, c.Status.Decision.DesiredReplicas = "Cooldown", v1.ScalingHold, 3
	})
	got, err := Explain(cooling, Overrides{}, now)
	require.NoError(t, err)
	assert.Equal(t, inspectv1.Reason_REASON_COOLDOWN, got.GetReason())
	assert.Equal(t, 10*time.Second, got.GetCooldownLeft().AsDuration())
	got, err = Explain(cooling, Overrides{}, now.Add(10*time.Second))
	require.NoError(t, err)
	assert.Equal(t, inspectv1.Reason_REASON_ABOVE_UPPER_BOUND, got.GetReason(), "the cooldown is over")

	old := decided(func(c *v1.PubSubChannel) {
		c.Spec.Queue = &v1.QueueSpec{Type: v1.QueueTypeStream, MaxAge: &metav1.Duration{Duration: time.Minute}}
		c.Status.Decision.QueueDepth, c.Status.Decision.Ready = 300, 280
		c.Status.Decision.OldestMessageTime = new(metav1.NewTime(now.Add(-55 * time.Second)))
	})
	for age, reason := range map[time.Duration]inspectv1.Reason{0: inspectv1.Reason_REASON_WITHIN_BAND, 6 * time.Second: inspectv1.Reason_REASON_ABOVE_MAX_AGE} {
		got, err = Explain(old, Overrides{}, now.Add(age))
		require.NoError(t, err)
		assert.Equal(t, reason, got.GetReason(), age)
		assert.Equal(t, 55*time.Second+age, got.GetOldestAge().AsDuration())
	}

	utilized := decided(utilizing, func(c *v1.PubSubChannel) {
		c.Status.Decision.QueueDepth, c.Status.Decision.Ready = 10, 8
	})
	got, err = Explain(utilized, Overrides{}, now)
	require.NoError(t, err)
	assert.Equal(t, inspectv1.Reason_REASON_WINDOW_INCOMPLETE, got.GetReason())
	assert.Equal(t, 114*time.Second, got.GetWindowSeen().AsDuration(), "100 s then, 14 s ago")
	got, err = Explain(utilized, Overrides{}, now.Add(time.Hour))
	require.NoError(t, err)
	assert.Equal(t, inspectv1.Reason_REASON_BELOW_LOWER_BOUND, got.GetReason())
	assert.Equal(t, 2*time.Minute, got.GetWindowSeen().AsDuration(), "no more than the window")
}

// utilizing makes the policy Utilization, of which 100 s of 120 s were seen.
func utilizing(c *v1.PubSubChannel) {
	c.Spec.AutoScaling.Policy = v1.PolicyUtilization
	c.Spec.Env = []corev1.EnvVar{{Name: "CONCURRENCY", Value: "4"}}
	busy := resource.MustParse("1500m")
	c.Status.Decision.Busy, c.Status.Decision.BusyOverWindow = &busy, &busy
	c.Status.Decision.WindowSeen = &metav1.Duration{Duration: 100 * time.Second}
}

func TestWhatIf(t *testing.T) {
	never := time.Time{}
	for name, test := range map[string]struct {
		channel *v1.PubSubChannel
		with    Overrides
		want    string
	}{
		"another depth":      {decided(), Overrides{QueueDepth: new(int64(300))}, "queue depth 300 is between 150 and 450 (100 × 3 × 50 % and 150 %): holding at 3"},
		"other replicas":     {decided(), Overrides{Replicas: new(int32(4))}, "queue depth 500 is between 200 and 600 (100 × 4 × 50 % and 150 %): holding at 4"},
		"scaled just now":    {decided(), Overrides{LastScale: new(now.Add(-20 * time.Second))}, "queue depth 500 is above 450 = 100 × 3 × 150 %; holding at 3: 40 s of the 60 s cooldown left"},
		"another target":     {decided(), Overrides{Changes: map[string]any{"targetQueueDepth": 50.0}}, "queue depth 500 is above 225 = 50 × 3 × 150 %: 3 → 7 replicas"},
		"a default again":    {decided(func(c *v1.PubSubChannel) { c.Spec.AutoScaling.TargetQueueDepth = 500 }), Overrides{Changes: map[string]any{"targetQueueDepth": nil}}, "queue depth 500 is above 450 = 100 × 3 × 150 %: 3 → 4 replicas"},
		"autoscaling on":     {decided(func(c *v1.PubSubChannel) { c.Spec.AutoScaling = nil }), Overrides{Changes: map[string]any{"enabled": true}}, "queue depth 500 is above 450 = 100 × 3 × 150 %: 3 → 4 replicas"},
		"all, and no status": {channeltest.Channel(channeltest.AutoScaled()), Overrides{QueueDepth: new(int64(500)), Replicas: new(int32(3)), LastScale: &never}, "queue depth 500 is above 450 = 100 × 3 × 150 %: 3 → 4 replicas"},
		"Utilization that was not measured": {decided(), Overrides{Changes: map[string]any{"policy": "Utilization", "utilization": map[string]any{"scaleUp": 95}}},
			"queue depth 500 is above 450 = 100 × 3 × 150 %: 3 → 4 replicas"},
		"utilization of another scaleDown": {decided(utilizing, func(c *v1.PubSubChannel) { c.Status.Decision.QueueDepth, c.Status.Decision.Ready = 2, 0 }),
			Overrides{Changes: map[string]any{"utilization.scaleDown": 1, "utilization.window": "15s"}},
			"queue depth 2 is below 150 = 100 × 3 × 50 %, but 2.132 in flight over 15 s (1.5 on average, and twice the standard error) is above 0.08 = 4 × 2 × 1 %: holding at 3"},
	} {
		t.Run(name, func(t *testing.T) {
			before := test.channel.DeepCopy()
			got, err := Explain(test.channel, test.with, now)
			require.NoError(t, err)
			assert.Equal(t, test.want, got.GetExplanation())
			assert.Equal(t, before, test.channel, "nobody's channel is changed by a question")
		})
	}
}

func TestExplainSaysWhyThereIsNoDecision(t *testing.T) {
	condition := func(of string, status metav1.ConditionStatus, reason, message string) func(*v1.PubSubChannel) {
		return func(c *v1.PubSubChannel) {
			c.Status.Decision = nil
			c.Status.Conditions = []metav1.Condition{{Type: of, Status: status, Reason: reason, Message: message}}
		}
	}
	for name, test := range map[string]struct {
		change func(*v1.PubSubChannel)
		reason string
		words  string
	}{
		"no controller":        {func(c *v1.PubSubChannel) { c.Status = v1.PubSubChannelStatus{} }, NotObserved, "no controller has looked at the channel yet: see kubectl pubsub doctor"},
		"the queue unreadable": {condition(v1.ConditionConnected, metav1.ConditionFalse, "Unavailable", "no route"), "Unavailable", "no route"},
		"the scaler away":      {condition(v1.ConditionConnected, metav1.ConditionUnknown, v1.ReasonScalerUnreachable, "does not answer"), v1.ReasonScalerUnreachable, "does not answer"},
		"refused":              {condition(v1.ConditionReady, metav1.ConditionFalse, v1.ReasonInvalidSpec, "the scaler would refuse it"), v1.ReasonInvalidSpec, "the scaler would refuse it"},
		"not asked yet":        {condition(v1.ConditionReady, metav1.ConditionTrue, v1.ReasonAvailable, ""), NotObserved, "ask again in some seconds"},
		"never asked": {func(c *v1.PubSubChannel) {
			condition(v1.ConditionReady, metav1.ConditionTrue, v1.ReasonAvailable, "")(c)
			c.Status.Conditions[0].LastTransitionTime = metav1.NewTime(now.Add(-time.Hour))
		}, NoDecision, "the operator is older than this plugin: see kubectl pubsub doctor, or upgrade"},
		"an older operator": {condition(v1.ConditionConnected, metav1.ConditionTrue, v1.ReasonQueueRead, ""), NoDecision, "upgrade the operator"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Explain(decided(test.change), Overrides{QueueDepth: new(int64(5))}, now)
			assert.Nil(t, got)
			var unknown *UnknownError
			require.ErrorAs(t, err, &unknown)
			assert.Equal(t, test.reason, unknown.Reason)
			require.ErrorContains(t, err, test.words)
			assert.ErrorContains(t, err, "PubSubChannel shop/orders has no decision")
		})
	}
	_, err := Explain(decided(func(c *v1.PubSubChannel) { c.Spec.AutoScaling.Enabled = false }), Overrides{}, now)
	var off *OffError
	require.ErrorAs(t, err, &off)
	assert.ErrorContains(t, err, `kubectl patch psc orders -n shop --type merge -p '{"spec":{"autoScaling":{"enabled":true}}}'`)
	_, err = Explain(decided(func(c *v1.PubSubChannel) { c.Spec.RedisAddress = "redis:99999" }), Overrides{}, now)
	assert.ErrorContains(t, err, `redisAddress is "redis:99999"`)
}

// A status is as old as what was written last, whatever that was; one without a decision is of no age.
func TestObserved(t *testing.T) {
	channel := decided()
	read := channel.Status.Decision.ObservedTime.Time
	assert.Equal(t, read, Observed(channel))
	assert.False(t, IsOld(read, read.Add(OldAfter-time.Second)))
	assert.True(t, IsOld(read, read.Add(OldAfter)))
	channel.Status.ObservedTime = new(metav1.NewTime(read.Add(-time.Hour)))
	assert.Equal(t, read, Observed(channel))
	channel.Status.ObservedTime = new(metav1.NewTime(read.Add(time.Hour)))
	assert.Equal(t, read.Add(time.Hour), Observed(channel))
	channel.Status.Decision = nil
	assert.False(t, IsOld(Observed(channel), read.Add(24*time.Hour)))
}

func TestOverridesAreChecked(t *testing.T) {
	for words, with := range map[string]Overrides{
		"the queue depth is -1: it must not be negative":           {QueueDepth: new(int64(-1))},
		"the number of replicas is -1: it must be from 0 to 10000": {Replicas: new(int32(-1))},
	} {
		_, err := Explain(decided(), with, now)
		assert.ErrorContains(t, err, words)
		assert.NotErrorAs(t, err, new(*UnknownError))
	}
}

func TestSettings(t *testing.T) {
	channel := decided(utilizing, func(c *v1.PubSubChannel) {
		c.Spec.AutoScaling.TargetQueueDepth = 50
		c.Spec.Queue = &v1.QueueSpec{Type: v1.QueueTypeStream, MaxAge: &metav1.Duration{Duration: 90 * time.Second}}
	})
	assert.Equal(t, []Setting{
		{"policy", "Utilization", FromSpec},
		{"minReplicas", "1", FromDefault},
		{"maxReplicas", "10", FromDefault},
		{"targetQueueDepth", "50 messages per replica", FromSpec},
		{"scaleUpThreshold", "150 %", FromDefault},
		{"scaleDownThreshold", "50 %", FromDefault},
		{"cooldownPeriod", "60 s", FromDefault},
		{"activationQueueDepth", "0 messages", FromDefault},
		{"maxScaleUpStep", "no limit", FromDefault},
		{"maxScaleDownStep", "20%", FromDefault},
		{"maxAge", "1m30s", FromQueue},
		{"workerConcurrency", "4", FromWorkers},
		{"utilization.target", "80 %", FromDefault},
		{"utilization.scaleUp", "90 %", FromDefault},
		{"utilization.scaleDown", "70 %", FromDefault},
		{"utilization.window", "120 s", FromDefault},
	}, Settings(channel))
	assert.Len(t, Settings(&v1.PubSubChannel{}), 10, "without autoscaling, the defaults")

	channel.Spec.AutoScaling.WorkerConcurrency = 7
	assert.Contains(t, Settings(channel), Setting{"workerConcurrency", "7", FromSpec})
	channel.Spec.AutoScaling.WorkerConcurrency, channel.Spec.Env[0].Value = 0, "many"
	assert.Contains(t, Settings(channel)[11].Value, `CONCURRENCY, which is "many"`)
}

// The environment tells what a worker does at once only of our subscriber: if the installation has workers of
// another make, the answer and the settings are the scaler's, which counts them as one slot.
func TestWorkersAreThoseOfTheInstallation(t *testing.T) {
	for image, slots := range map[string]int64{"": 12, "mirror.test/jawaracloud/subscriber:1": 12, "acme/worker:1": 3} {
		channel := decided(utilizing, func(c *v1.PubSubChannel) { c.Spec.Image, c.Status.WorkerImage = "", image })
		got, err := Explain(channel, Overrides{}, now)
		require.NoError(t, err)
		assert.Equal(t, slots, got.GetSlots(), "%q", image)
		got, err = Explain(channel, Overrides{Changes: map[string]any{"maxReplicas": 20}}, now)
		require.NoError(t, err)
		assert.Equal(t, slots, got.GetSlots(), "%q", image)
		assert.Equal(t, strconv.FormatInt(slots/3, 10), Settings(channel)[10].Value, "%q", image)
		assert.Empty(t, channel.Spec.Image, "the channel stays as it is")
	}
}
