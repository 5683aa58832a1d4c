package view

import (
	"fmt"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// arithmetic shows where the number of replicas comes from, as docs/design.md has the
// policy. It is empty where nothing is scaled, and where the number has another origin
// than the thresholds.
func arithmetic(a *inspectv1.ExplainResponse) string {
	p := a.GetPolicy()
	switch {
	case p == nil || p.GetTargetQueueDepth() <= 0 || p.GetScaleUpThreshold() <= 0 || p.GetScaleDownThreshold() <= 0:
		return ""
	case a.GetReason() == inspectv1.Reason_REASON_ABOVE_UPPER_BOUND:
		return growth(a, p)
	case a.GetReason() == inspectv1.Reason_REASON_BELOW_LOWER_BOUND:
		return shrinkage(a, p)
	case a.GetReason() == inspectv1.Reason_REASON_COOLDOWN && a.GetQueueDepth() > a.GetUpperBound():
		return fewestFormula(a, p, fewestReplicas(a, p)) + ", within the limits, once the cooldown is over"
	case a.GetReason() == inspectv1.Reason_REASON_COOLDOWN && a.GetQueueDepth() < a.GetLowerBound() && !tooOld(a):
		return mostFormula(a, p) + ", within the limits, once the cooldown is over"
	default:
		return ""
	}
}

// tooOld tells whether the age of the oldest message asks for more replicas.
func tooOld(a *inspectv1.ExplainResponse) bool {
	most := a.GetPolicy().GetMaxAge()
	return most != nil && a.GetOldestAge().AsDuration() > most.AsDuration()
}

// growth is ceil(100·Q ÷ (T·U)), then the limits.
func growth(a *inspectv1.ExplainResponse, p *inspectv1.Policy) string {
	desired, fewest := int64(a.GetDesiredReplicas()), fewestReplicas(a, p)
	formula := fewestFormula(a, p, fewest)
	switch {
	case desired == fewest:
		return formula + ", the fewest that bring the depth under the upper bound"
	case desired < fewest && desired == int64(p.GetMaxReplicas()):
		return fmt.Sprintf("%s, but maxReplicas is %d", formula, desired)
	case desired < fewest && p.GetMaxScaleUpStep() != "":
		return fmt.Sprintf("%s, but maxScaleUpStep %s allows %d more at once", formula, p.GetMaxScaleUpStep(), desired-int64(a.GetReplicas()))
	default:
		return ""
	}
}

// shrinkage is floor(100·Q ÷ (T·D)), then the limits.
func shrinkage(a *inspectv1.ExplainResponse, p *inspectv1.Policy) string {
	desired := int64(a.GetDesiredReplicas())
	most, fewest, formula := mostReplicas(a, p), fewestReplicas(a, p), mostFormula(a, p)
	switch {
	case desired == most:
		return formula + ", the most that bring the depth over the lower bound"
	case desired > most && desired == fewest:
		return fmt.Sprintf("%s, but fewer than %s would exceed the upper bound", formula, fewestFormula(a, p, fewest))
	case desired > most && desired == int64(p.GetMinReplicas()):
		return fmt.Sprintf("%s, but minReplicas is %d", formula, desired)
	case desired > most && desired == 1 && p.GetMinReplicas() == 0:
		return formula + ", but the last replica is KEDA's to take"
	case desired > most && p.GetMaxScaleDownStep() != "":
		return fmt.Sprintf("%s, but maxScaleDownStep %s allows %d fewer at once", formula, p.GetMaxScaleDownStep(), int64(a.GetReplicas())-desired)
	default:
		return ""
	}
}

// fewestReplicas keep the depth at or under the upper bound.
func fewestReplicas(a *inspectv1.ExplainResponse, p *inspectv1.Policy) int64 {
	perReplica := p.GetTargetQueueDepth() * int64(p.GetScaleUpThreshold())
	fewest := hundredfold(a.GetQueueDepth()) / perReplica
	if hundredfold(a.GetQueueDepth())%perReplica != 0 {
		fewest++
	}
	return fewest
}

func fewestFormula(a *inspectv1.ExplainResponse, p *inspectv1.Policy, fewest int64) string {
	return fmt.Sprintf("ceil(%d ÷ (%d × %d %%)) = %d", a.GetQueueDepth(), p.GetTargetQueueDepth(), p.GetScaleUpThreshold(), fewest)
}

// mostReplicas keep the depth at or over the lower bound.
func mostReplicas(a *inspectv1.ExplainResponse, p *inspectv1.Policy) int64 {
	return hundredfold(a.GetQueueDepth()) / (p.GetTargetQueueDepth() * int64(p.GetScaleDownThreshold()))
}

func mostFormula(a *inspectv1.ExplainResponse, p *inspectv1.Policy) string {
	return fmt.Sprintf("floor(%d ÷ (%d × %d %%)) = %d", a.GetQueueDepth(), p.GetTargetQueueDepth(), p.GetScaleDownThreshold(), mostReplicas(a, p))
}

// hundredfold is for percentages; a depth is cut off where that leaves an int64, as the
// scaler does (scaler/policy).
func hundredfold(depth int64) int64 { return 100 * min(depth, 90_000_000_000_000_000) }
