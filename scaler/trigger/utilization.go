package trigger

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

var policies = []policy.Name{policy.ByThreshold, policy.ByUtilization}

// busyKey is a percentage of the policy Utilization. It is left out where another policy decides.
func busyKey(key string, field func(*policy.UtilizationSpec) *int32, meaning string) keyRow {
	byDefault := policy.DefaultUtilization()
	return keyRow{key: key, meaning: meaning, byDefault: strconv.Itoa(int(*field(&byDefault))),
		read: func(p *parser, t *Trigger) {
			if p.ofUtilization(key, &t.Policy) {
				*field(&t.Policy.Utilization) = int32(p.number(key, int64(*field(&byDefault)), 32))
			}
		},
		write: func(t Trigger) string {
			if t.Policy.Policy != policy.ByUtilization {
				return ""
			}
			u := t.Policy.UtilizationOrDefault()
			return strconv.Itoa(int(*field(&u)))
		}}
}

// ofUtilization tells whether Utilization decides, and refuses a key of its own where it does not.
func (p *parser) ofUtilization(key string, spec *policy.Spec) bool {
	if spec.Policy == policy.ByUtilization {
		return true
	}
	if p.metadata[key] != "" {
		p.fail(key, "it belongs to the policy %s, and this trigger's is %s: set policy to %s, or leave %s out", policy.ByUtilization, policy.ByThreshold, policy.ByUtilization, key)
	}
	return false
}

func (p *parser) utilizationWindow(spec *policy.Spec) {
	if p.ofUtilization(KeyUtilizationWindow, spec) {
		spec.Utilization.Window = cmp.Or(p.duration(KeyUtilizationWindow), policy.DefaultUtilization().Window)
	}
}

// workerConcurrency is 0 where a Threshold, which has no use for it, does not say.
func (p *parser) workerConcurrency(spec policy.Spec) int32 {
	if p.metadata[KeyWorkerConcurrency] == "" {
		if spec.Policy == policy.ByUtilization {
			return 1
		}
		return 0
	}
	concurrency := int32(p.number(KeyWorkerConcurrency, 1, 32))
	if concurrency < 1 || concurrency > policy.MaxWorkerConcurrency {
		p.fail(KeyWorkerConcurrency, "it must be from 1 to %d", policy.MaxWorkerConcurrency)
		return 1
	}
	return concurrency
}

func writtenConcurrency(spec policy.Spec) string {
	if spec.Policy == policy.ByUtilization {
		return strconv.Itoa(int(max(1, spec.WorkerConcurrency)))
	}
	return unless("0", strconv.Itoa(int(spec.WorkerConcurrency)))
}

// checkUtilization refuses numbers that make no sense together, and queues that never show what is in work.
func (p *parser) checkUtilization(t Trigger) {
	if t.Policy.Policy != policy.ByUtilization {
		return
	}
	u := t.Policy.Utilization
	if u.ScaleDown < 1 || u.ScaleDown >= u.Target || u.Target >= u.ScaleUp || u.ScaleUp > 100 {
		keys := []string{KeyUtilizationScaleDown, KeyUtilizationTarget, KeyUtilizationScaleUp}
		wrong := slices.IndexFunc(keys, func(key string) bool { return p.metadata[key] != "" })
		p.fail(keys[max(0, wrong)], "%s, %s and %s must be from 1 to 100, each greater than the one before; they are %s, %s and %s", keys[0], keys[1], keys[2],
			p.shownPercent(keys[0], u.ScaleDown), p.shownPercent(keys[1], u.Target), p.shownPercent(keys[2], u.ScaleUp))
	}
	if u.Window < policy.RecentWindow || u.Window > time.Hour {
		p.fail(KeyUtilizationWindow, "it must be from %s to 1h", policy.RecentWindow)
	}
	p.checkShowsWork(t.Queue)
}

// shownPercent is a percentage as an error may show it.
func (p *parser) shownPercent(key string, percent int32) string {
	if p.isFromEnv[key] {
		return hiddenValue
	}
	return strconv.Itoa(int(percent))
}

// checkShowsWork refuses Utilization for queues of which the server never tells what is in work.
func (p *parser) checkShowsWork(q Queue) {
	const remedy = "nothing on the server shows the work in flight of %s, so nobody can tell how busy its workers are; set policy to Threshold, or %s"
	f, isPreset := framework.Named(string(q.Preset))
	switch {
	case isPreset && f.SharesInFlight() && q.InFlight == InFlightNone:
		p.fail(KeyPolicy, "with inFlight %s no work in flight counts, so nobody can tell how busy the workers are; set policy to Threshold, or inFlight to %s", InFlightNone, InFlightOfQueues)
	case isPreset && !f.ShowsWork():
		p.fail(KeyPolicy, remedy, "the preset "+f.Name, "use one of the presets "+joined(framework.Names(framework.Framework.ShowsWork), "or"))
	case !isPreset && (q.Type == SortedSet || q.Type == PubSub):
		p.fail(KeyPolicy, remedy, "a "+string(q.Type), "use a Stream")
	}
}
