package trigger

import (
	"strconv"
	"strings"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// What is refused of a preset's priorities.
const (
	// maxPrioritySteps is how many priorities a queue may have, each with a key of its own.
	maxPrioritySteps = 32
	// maxPriority is the highest (AMQP's priorities, which Celery's are, are a byte).
	maxPriority = 255
)

// prioritySteps reads "0,3,6,9".
func (p *parser) prioritySteps() []int32 {
	value := p.metadata[KeyPrioritySteps]
	if value == "" {
		return nil
	}
	var steps []int32
	for word := range strings.SplitSeq(value, ",") {
		step, err := strconv.ParseInt(strings.TrimSpace(word), 10, 32)
		if err != nil || step < 0 || step > maxPriority || len(steps) > 0 && int32(step) <= steps[len(steps)-1] {
			p.fail(KeyPrioritySteps, "it must be whole numbers from 0 to %d in rising order, for example 0,3,6,9", maxPriority)
			return nil
		}
		steps = append(steps, int32(step))
	}
	if len(steps) > maxPrioritySteps {
		p.fail(KeyPrioritySteps, "it must name %d priorities at most", maxPrioritySteps)
		return nil
	}
	return steps
}

// checkOptions refuses settings of a framework that the preset is not.
func (p *parser) checkOptions(q Queue) {
	f, _ := framework.Named(string(q.Preset))
	if q.InFlight != InFlightOfDatabase && !f.SharesInFlight() {
		p.belongs(KeyInFlight, framework.Framework.SharesInFlight)
	}
	if q.Scheduled != ScheduledCount && !f.HasScheduler() {
		p.belongs(KeyScheduled, framework.Framework.HasScheduler)
	}
	for _, key := range []string{KeyPrioritySteps, KeyPrioritySeparator} {
		if p.metadata[key] != "" && f.Priorities == nil {
			p.belongs(key, func(f framework.Framework) bool { return f.Priorities != nil })
		}
	}
}

// belongs refuses a key that only some presets know.
func (p *parser) belongs(key string, to func(framework.Framework) bool) {
	names := framework.Names(to)
	word := "preset"
	if len(names) > 1 {
		word = "presets"
	}
	p.fail(key, "it belongs to the %s %s; leave it out", word, joined(names, "and"))
}
