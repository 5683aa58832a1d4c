// Package replay answers what the recorded past of a channel would have been with other settings,
// by the simulation. It is pure. What a status does not tell, such as how fast a worker is, it
// takes from the record and says so, or it refuses.
package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/decide"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/simulation"
	"github.com/jawaracloud/pubsub-operator/translator/autoscaling"
)

// Past is what is known of a channel.
type Past struct {
	Channel *v1.PubSubChannel
	Points  []protocol.Point // the oldest first; each holds until the next
	// Older is how many of the first are of a Prometheus, which does not tell how many workers were
	// ready.
	Older int
	// Marks are what happened since the dashboard began, the oldest first: a replay has to know of
	// pauses and changes of the spec.
	Marks []protocol.Mark
	// To is now.
	To time.Time
}

const (
	// shortest is the least that is replayed: two cooldowns of the default, and the HPA's sync.
	shortest = time.Minute
	// longest is the most, the newest part of a longer record.
	longest = 6 * time.Hour
	// mostValues is how many values a curve has.
	mostValues = 1_500
	// mostMessages bounds the time that the replays with some settings take if messages are modelled one by one: about
	// a second for a million on one core.
	mostMessages = 3_000_000
)

// Names of the curves.
const (
	recorded = "recorded"
	present  = "now"
	changed  = "changed"
)

// Run replays the past. Its errors say what is missing, or which setting is wrong and the remedy. If the
// context ends, so does it, with the cause.
func Run(ctx context.Context, past Past, request protocol.ReplayRequest) (*protocol.Replay, error) {
	if auto := past.Channel.Spec.AutoScaling; auto == nil || !auto.Enabled {
		return nil, &decide.OffError{Namespace: past.Channel.Namespace, Name: past.Channel.Name}
	}
	past.Channel = decide.Installed(past.Channel)
	other, err := decide.Changed(past.Channel, request.Changes)
	if err != nil {
		return nil, err
	}
	length := longest
	if request.Seconds > 0 && request.Seconds < longest.Seconds() {
		length = time.Duration(request.Seconds * float64(time.Second))
	}
	w, err := windowOf(past, length)
	if err != nil {
		return nil, err
	}
	models, err := w.models(past)
	if err != nil {
		return nil, err
	}
	assumed := models[0].assumed // of another speed it is the same
	if utilized(past.Channel) || utilized(other) {
		assumed = append(assumed, "the policy Utilization begins without what was in flight before the window, so it removes no worker until it has seen its own window")
	}
	step := (len(w.depth) + mostValues - 1) / mostValues
	out := &protocol.Replay{Assumed: assumed, Start: w.start, Step: float64(step), Curves: []protocol.Curve{w.curve(step)}}
	runs := []settings{{present, past.Channel}}
	if len(request.Changes) > 0 {
		runs = append(runs, settings{changed, other})
	}
	for _, run := range runs {
		for _, model := range models {
			curve, err := model.run(ctx, run.channel, step, mostMessages/int64(len(models)))
			if err != nil {
				return nil, err
			}
			curve.Name = run.name
			if len(models) > 1 {
				curve.Speed = &model.config.ServiceRate
			}
			out.Curves = append(out.Curves, curve)
		}
	}
	return out, nil
}

// settings are those that a window is replayed with.
type settings struct {
	name    string
	channel *v1.PubSubChannel
}

func utilized(channel *v1.PubSubChannel) bool {
	return channel.Spec.AutoScaling.Policy == v1.PolicyUtilization
}

// run simulates the window with a channel's settings, with at most so many messages if they are modelled one by one.
func (m *model) run(ctx context.Context, channel *v1.PubSubChannel, step int, most int64) (protocol.Curve, error) {
	spec, err := autoscaling.OfChannel(&channel.Spec)
	if err != nil {
		return protocol.Curve{}, err
	}
	config := m.config
	config.Spec = spec
	if spec.Policy == policy.ByUtilization {
		config.Work.Concurrency = m.concurrency
		if m.messages > most {
			return protocol.Curve{}, fmt.Errorf("%d messages arrived in the window, and the policy Utilization is replayed message by message, at most %d: choose a shorter window", m.messages, most)
		}
	}
	if err := config.Validate(); err != nil {
		return protocol.Curve{}, err
	}
	result, finished := simulation.RunWhile(func() bool { return ctx.Err() == nil }, config, m.arrivals, simulation.Own(config))
	if !finished {
		return protocol.Curve{}, context.Cause(ctx)
	}
	seconds := len(m.arrivals)
	wait := result.P99.Seconds()
	curve := curveOf(result.Depth[:seconds], result.Replicas[:seconds], step)
	curve.P99Wait = &wait
	return curve, nil
}

// curve is what happened.
func (w *window) curve(step int) protocol.Curve {
	curve := curveOf(w.depth, w.replicas, step)
	curve.Name, curve.Scalings = recorded, scalings(w.desired)
	return curve
}

func curveOf(depth []float64, replicas []int32, step int) protocol.Curve {
	curve := protocol.Curve{Scalings: scalings(replicas)}
	seconds := int64(0)
	for i := range depth {
		seconds += int64(replicas[i])
		curve.MaxReplicas = max(curve.MaxReplicas, replicas[i])
		if i%step == 0 {
			curve.Depth = append(curve.Depth, depth[i])
			curve.Replicas = append(curve.Replicas, replicas[i])
		}
	}
	curve.ReplicaHours = float64(seconds) / 3600
	return curve
}

// scalings is how often a number changed.
func scalings(numbers []int32) (count int) {
	for i := 1; i < len(numbers); i++ {
		if numbers[i] != numbers[i-1] {
			count++
		}
	}
	return count
}

// errNoSpeed is for a record that does not show how fast a worker is.
var errNoSpeed = errors.New("the recorded window does not show how fast a worker is: a replay needs some time in which workers are ready and " +
	"either the depth falls far within a minute or status.messageRate tells of arrivals: keep the dashboard open until there was some, or start it with --prometheus")
