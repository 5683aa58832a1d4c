package policy

import "fmt"

// growth shows how the replicas of a demand are computed, for a depth above the upper bound
// ceil(100·Q ÷ (T·U)), and then what limits them.
func (s Spec) growth(d *Decision, want demand) string {
	formula, desired := want.formula, int64(d.Desired)
	switch desired {
	case want.fewest:
		return formula + want.met
	case int64(s.MaxReplicas):
		return fmt.Sprintf("%s, but maxReplicas is %d", formula, desired)
	default:
		return fmt.Sprintf("%s, but maxScaleUpStep %s allows %d more at once", formula, s.MaxScaleUpStep, desired-int64(d.Replicas))
	}
}

// shrinkage does the same for decideDown and a depth below the lower bound:
// floor(100·Q ÷ (T·D)).
func (s Spec) shrinkage(d *Decision, depth, most, fewest int64) string {
	formula, desired := s.mostFormula(depth, most), int64(d.Desired)
	switch {
	case desired == most:
		return formula + ", the most replicas whose lower bound is reached"
	case desired == fewest:
		return fmt.Sprintf("%s, but fewer than %s would exceed the upper bound", formula, s.fewestFormula(depth, fewest))
	case desired == int64(s.MinReplicas):
		return fmt.Sprintf("%s, but minReplicas is %d", formula, desired)
	case desired == s.floor():
		return formula + ", but only KEDA removes the last replica"
	default:
		return fmt.Sprintf("%s, but maxScaleDownStep %s allows %d fewer at once", formula, s.MaxScaleDownStep, int64(d.Replicas)-desired)
	}
}

// onceCooled follows the formula while the cooldown holds.
const onceCooled = ", applied within the limits once the cooldown is over"

func (s Spec) fewestFormula(depth, fewest int64) string {
	return fmt.Sprintf("ceil(%d ÷ (%d × %d %%)) = %d", depth, s.TargetQueueDepth, s.ScaleUpThreshold, fewest)
}

func (s Spec) mostFormula(depth, most int64) string {
	return fmt.Sprintf("floor(%d ÷ (%d × %d %%)) = %d", depth, s.TargetQueueDepth, s.ScaleDownThreshold, most)
}
