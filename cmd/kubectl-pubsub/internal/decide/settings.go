package decide

import (
	"cmp"
	"fmt"
	"time"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/translator/autoscaling"
)

// Setting is one value of the policy.
type Setting struct {
	Name  string // as in spec.autoScaling
	Value string // for people
	From  string // where it comes from: one of the constants
}

// Where a setting comes from. The API server writes the defaults into the spec, so that a value
// that is the default counts as the default, whoever wrote it.
const (
	FromSpec    = "spec"
	FromDefault = "default"
	FromQueue   = "spec.queue"
	FromWorkers = "the image's CONCURRENCY"
)

// Settings are the values of a channel's policy in the order of docs/channels.md, with the
// defaults. Those of Utilization are there if it is the policy, and maxAge if there is one.
func Settings(channel *v1.PubSubChannel) []Setting {
	channel = Installed(channel)
	spec, _ := autoscaling.OfChannel(&channel.Spec) // what can't be read is told below
	usual := policy.DefaultSpec()
	settings := []Setting{
		of("policy", spec.Policy, usual.Policy, ""),
		of("minReplicas", spec.MinReplicas, usual.MinReplicas, ""),
		of("maxReplicas", spec.MaxReplicas, usual.MaxReplicas, ""),
		of("targetQueueDepth", spec.TargetQueueDepth, usual.TargetQueueDepth, " messages per replica"),
		of("scaleUpThreshold", spec.ScaleUpThreshold, usual.ScaleUpThreshold, " %"),
		of("scaleDownThreshold", spec.ScaleDownThreshold, usual.ScaleDownThreshold, " %"),
		of("cooldownPeriod", int64(spec.Cooldown/time.Second), int64(usual.Cooldown/time.Second), " s"),
		of("activationQueueDepth", spec.ActivationQueueDepth, usual.ActivationQueueDepth, " messages"),
		of("maxScaleUpStep", stepWords(spec.MaxScaleUpStep), stepWords(usual.MaxScaleUpStep), ""),
		of("maxScaleDownStep", stepWords(spec.MaxScaleDownStep), stepWords(usual.MaxScaleDownStep), ""),
	}
	if queue := channel.Spec.Queue; queue != nil && queue.MaxAge != nil {
		settings = append(settings, Setting{"maxAge", queue.MaxAge.Duration.String(), FromQueue})
	}
	if spec.Policy != policy.ByUtilization {
		return settings
	}
	u, common := spec.UtilizationOrDefault(), policy.DefaultUtilization()
	return append(settings,
		concurrency(channel),
		of("utilization.target", u.Target, common.Target, " %"),
		of("utilization.scaleUp", u.ScaleUp, common.ScaleUp, " %"),
		of("utilization.scaleDown", u.ScaleDown, common.ScaleDown, " %"),
		of("utilization.window", int64(u.Window/time.Second), int64(common.Window/time.Second), " s"),
	)
}

func of[T comparable](name string, value, usual T, unit string) Setting {
	from := FromSpec
	if value == usual {
		from = FromDefault
	}
	return Setting{name, fmt.Sprint(value) + unit, from}
}

func stepWords(step policy.Step) string { return cmp.Or(step.String(), "no limit") }

// concurrency is workerConcurrency. If the number can't be read, the error of reading it says so.
func concurrency(channel *v1.PubSubChannel) Setting {
	number, err := autoscaling.WorkerConcurrency(&channel.Spec)
	s := Setting{"workerConcurrency", fmt.Sprint(number), FromDefault}
	switch {
	case err != nil:
		s.Value, s.From = err.Error(), FromWorkers
	case channel.Spec.AutoScaling.WorkerConcurrency > 0:
		s.From = FromSpec
	case number > 1:
		s.From = FromWorkers
	}
	return s
}
