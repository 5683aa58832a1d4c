package replay

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/simulation"
)

var noon = time.Date(2026, time.January, 31, 12, 0, 0, 0, time.UTC)

func channelOf() *v1.PubSubChannel {
	return &v1.PubSubChannel{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders"},
		Spec:       v1.PubSubChannelSpec{ChannelName: "orders", AutoScaling: &v1.AutoScalingSpec{Enabled: true, MaxReplicas: 10}},
	}
}

// told is the rate that a status has at the end of a second: the mean of 15 s.
func told(arrivals []int64, second int) int64 {
	since := max(0, second-block+1)
	total := int64(0)
	for _, arrived := range arrivals[since : second+1] {
		total += arrived
	}
	return total / int64(second+1-since)
}

// simulated is a past that the simulation itself made, of workers whose speed is known. Arrivals
// begin at 60 per second, and are 300 between the fifth and the tenth minute.
func simulated(t *testing.T, rates bool) (Past, simulation.Result) {
	t.Helper()
	config := simulation.DefaultConfig(policy.DefaultSpec())
	config.Spec.MaxReplicas, config.ServiceRate, config.PodStart = 10, 50, 7*time.Second
	arrivals := make([]int64, 1200)
	for i := range arrivals {
		arrivals[i] = 60
		if i >= 300 && i < 600 {
			arrivals[i] = 300
		}
	}
	result := simulation.Run(config, arrivals, simulation.Threshold)
	past := Past{Channel: channelOf(), To: noon.Add(1200 * time.Second)}
	for i := range arrivals {
		depth, rate := int64(result.Depth[i]), told(arrivals, i)
		desired := result.Replicas[i]
		ready := slices.Min(result.Replicas[max(0, i-7) : i+1])
		p := protocol.Point{Time: noon.Add(time.Duration(i) * time.Second), Depth: &depth, Replicas: desired, Ready: ready, Desired: desired}
		if rates {
			p.Rate = &rate
		}
		past.Points = append(past.Points, p)
	}
	return past, result
}

func curveNamed(t *testing.T, r *protocol.Replay, name string) protocol.Curve {
	t.Helper()
	i := slices.IndexFunc(r.Curves, func(c protocol.Curve) bool { return c.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return r.Curves[i]
}

// A record of workers whose speed and start are known is replayed as it was.
func TestTheReplayIsWhatHappened(t *testing.T) {
	past, happened := simulated(t, true)
	r, err := Run(t.Context(), past, protocol.ReplayRequest{Changes: protocol.Changes{"scaleUpThreshold": 120, "cooldownPeriod": 15}})
	require.NoError(t, err)
	assert.Equal(t, noon, r.Start)
	assert.InDelta(t, 1, r.Step, 0)
	words := strings.Join(r.Assumed, "\n")
	assert.Regexp(t, `a worker finishes (49|50|51)[.\d]* messages per second, the median while all were busy`, words)
	assert.Contains(t, words, "a new worker takes messages after 7s")
	was, is, other := curveNamed(t, r, "recorded"), curveNamed(t, r, "now"), curveNamed(t, r, "changed")
	assert.InDelta(t, happened.ReplicaHours, was.ReplicaHours, 0.3)
	assert.InDelta(t, was.ReplicaHours, is.ReplicaHours, 0.15*was.ReplicaHours)
	assert.InDelta(t, slices.Max(was.Depth), slices.Max(is.Depth), 0.2*slices.Max(was.Depth))
	assert.InDelta(t, was.MaxReplicas, is.MaxReplicas, 1)
	assert.NotNil(t, is.P99Wait)
	assert.Nil(t, was.P99Wait, "nobody recorded waits")
	assert.Len(t, was.Depth, 1200)
	assert.Len(t, is.Depth, 1200)
	assert.Less(t, slices.Max(other.Depth), slices.Max(is.Depth), "it grows earlier, and again sooner")
	again, err := Run(t.Context(), past, protocol.ReplayRequest{})
	require.NoError(t, err)
	assert.Len(t, again.Curves, 2, "nothing was changed")
	assert.Equal(t, is, curveNamed(t, again, "now"))
}

// A burst that a fleet follows quickly: there are no 15 s in which the number of workers is the same, and status.messageRate, a
// mean of 15 s, tells of the burst while its messages are in the depth already. A worker does 2 messages per second.
func TestTheSpeedInABurst(t *testing.T) {
	for _, burst := range []int{23, 27, 31, 35, 39} { // s, to be anywhere in a block
		told := 3 * (burst % 6) // s; not always is a status written as long as the rate tells of it
		past := Past{Channel: channelOf(), To: noon.Add(150 * time.Second)}
		depth := int64(0)
		for i := range 150 {
			ready := int32(1)
			if since := i - burst - 5; since >= 0 {
				ready = []int32{4, 6, 5, 3}[since/10%4]
			}
			if i == burst {
				depth = 1000
			} else {
				depth = max(0, depth-2*int64(ready))
			}
			rate := int64(0)
			if i >= burst && i < burst+told {
				rate = 1000 / block
			}
			past.Points = append(past.Points, protocol.Point{Time: noon.Add(time.Duration(i) * time.Second), Depth: new(depth), Rate: &rate, Replicas: ready, Ready: ready, Desired: ready})
		}
		r, err := Run(t.Context(), past, protocol.ReplayRequest{})
		require.NoError(t, err)
		assert.InDelta(t, 1000, slices.Max(curveNamed(t, r, "now").Depth), 150, "a burst at %d s", burst)
		assert.Regexp(t, `a worker finishes (1\.9\d*|2|2\.0\d*) messages per second, the median`, strings.Join(r.Assumed, "\n"), "a burst at %d s", burst)
	}
}

// If nothing counts arrivals, they come from the depth, and that is said.
func TestArrivalsFromTheDepth(t *testing.T) {
	past, happened := simulated(t, false)
	r, err := Run(t.Context(), past, protocol.ReplayRequest{})
	require.NoError(t, err)
	words := strings.Join(r.Assumed, "\n")
	assert.Regexp(t, `a worker finishes (4[4-9]|5[0-6])(\.\d)? messages per second, by how the depth changed with another number of workers`, words)
	assert.Contains(t, words, "the arrivals of 20m0s of 20m0s are the growth of the depth")
	assert.InDelta(t, slices.Max(happened.Depth), slices.Max(curveNamed(t, r, "now").Depth), 0.6*slices.Max(happened.Depth))
}

// What is missing is said, and nothing is made up.
func TestWhatIsMissing(t *testing.T) {
	without := func(change func(*Past)) Past {
		past, _ := simulated(t, true)
		change(&past)
		return past
	}
	for name, test := range map[string]struct {
		past    Past
		request protocol.ReplayRequest
		want    string
	}{
		"no point": {past: without(func(p *Past) { p.Points = nil }), want: "nothing is recorded yet"},
		"too short": {past: without(func(p *Past) { p.To = noon.Add(34 * time.Second) }),
			want: "the recorded window is 34s long (from 12:00:00 UTC on): a replay needs at least 1m0s"},
		"a gap just before":      {past: without(func(p *Past) { p.Points[1189] = missed(1189) }), want: "is 10s long (from 12:19:50 UTC on)"},
		"a gap after little":     {past: without(func(p *Past) { p.Points = append(p.Points[:30], missed(30)) }), want: "is 30s long (from 12:00:00 UTC on)"},
		"the depth is not known": {past: without(func(p *Past) { p.Points[1199].Depth = nil }), want: "is 0s long"},
		"no worker": {past: without(func(p *Past) {
			for i := range p.Points {
				p.Points[i].Ready = 0
			}
		}), want: "does not show how fast a worker is"},
		"nothing to do": {past: without(func(p *Past) {
			for i := range p.Points {
				p.Points[i].Depth, p.Points[i].Rate = new(int64), new(int64)
			}
		}), want: "does not show how fast a worker is"},
		"a wrong setting": {request: protocol.ReplayRequest{Changes: protocol.Changes{"maxReplicas": 0}}, past: without(func(*Past) {}),
			want: "spec.autoScaling.maxReplicas is 0: it must be a whole number from 1"},
		"an unknown setting": {request: protocol.ReplayRequest{Changes: protocol.Changes{"speed": 1}}, past: without(func(*Past) {}), want: "spec.autoScaling.speed"},
		"autoscaling is off": {past: without(func(p *Past) { p.Channel.Spec.AutoScaling.Enabled = false }), want: "autoscaling of PubSubChannel shop/orders is off"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Run(t.Context(), test.past, test.request)
			require.ErrorContains(t, err, test.want)
		})
	}
}

// The window ends where the depth was not known, and may be chosen shorter.
func TestTheWindow(t *testing.T) {
	past, _ := simulated(t, true)
	past.Points[100].Depth = nil
	r, err := Run(t.Context(), past, protocol.ReplayRequest{})
	require.NoError(t, err)
	assert.Equal(t, noon.Add(101*time.Second), r.Start)
	assert.Contains(t, strings.Join(r.Assumed, "\n"), "the window begins at 12:01:41 UTC: before, the depth was not known")
	r, err = Run(t.Context(), past, protocol.ReplayRequest{Seconds: 600})
	require.NoError(t, err)
	assert.Equal(t, noon.Add(600*time.Second), r.Start)
	assert.Len(t, curveNamed(t, r, "recorded").Depth, 600)
	past.Older = 700
	r, err = Run(t.Context(), past, protocol.ReplayRequest{Seconds: 600})
	require.NoError(t, err)
	assert.Contains(t, strings.Join(r.Assumed, "\n"), "until 12:11:39 UTC all replicas count as ready")
	past.Older = 500
	r, err = Run(t.Context(), past, protocol.ReplayRequest{Seconds: 600})
	require.NoError(t, err)
	assert.NotContains(t, strings.Join(r.Assumed, "\n"), "count as ready")
	sparse := past
	sparse.Points = []protocol.Point{past.Points[0], past.Points[300], past.Points[900]} // each holds until the next
	w, err := windowOf(sparse, longest)
	require.NoError(t, err)
	assert.InDelta(t, float64(*past.Points[300].Depth), w.depth[899], 0)
}

// What makes the figures less than they were is told.
func TestWhatIsAssumedOfTheStartAndTheDepth(t *testing.T) {
	past, _ := simulated(t, true)
	r, err := Run(t.Context(), past, protocol.ReplayRequest{})
	require.NoError(t, err)
	assert.NotContains(t, strings.Join(r.Assumed, "\n"), "lower bound")
	backlog := int64(5000)
	past.Points[0].Depth = &backlog
	past.Channel.Status.Decision = &v1.ScalingDecision{DepthIsLowerBound: true}
	r, err = Run(t.Context(), past, protocol.ReplayRequest{})
	require.NoError(t, err)
	words := strings.Join(r.Assumed, "\n")
	assert.Contains(t, words, "the 5000 messages of the start arrive with the first second")
	assert.Contains(t, words, "only a lower bound")
}

func TestUtilizationIsReplayedMessageByMessage(t *testing.T) {
	past, _ := simulated(t, true)
	r, err := Run(t.Context(), past, protocol.ReplayRequest{Changes: protocol.Changes{"policy": "Utilization", "workerConcurrency": 1}})
	require.NoError(t, err)
	assert.Less(t, slices.Max(curveNamed(t, r, "changed").Depth), slices.Max(curveNamed(t, r, "now").Depth), "it does not wait for a queue")
}
