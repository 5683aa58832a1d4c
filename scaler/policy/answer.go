package policy

// hpaTolerance is the HPA's default tolerance in percent
// (kube-controller-manager --horizontal-pod-autoscaler-tolerance=0.1): a ratio of value
// to target × replicas within it changes nothing.
const hpaTolerance = 10

// MetricValue is the value, in messages, that makes the HPA want d.Desired replicas:
// for AverageValue it computes ceil(value / TargetQueueDepth).
//
// Where the HPA honours a tolerance of 0 that is exact. Where it doesn't, a change of up
// to 10 % would be ignored, so the value goes just beyond the tolerance; the HPA then
// overshoots by at most 10 % of the replicas and two, which its behavior policies bound.
func (s Spec) MetricValue(d Decision, toleranceHonoured bool) int64 {
	exact := int64(d.Desired) * s.TargetQueueDepth
	if toleranceHonoured || d.Action == Hold || d.Replicas == 0 {
		return exact
	}
	now := int64(d.Replicas) * s.TargetQueueDepth
	if d.Action == ScaleUp {
		return max(exact, now*(100+hpaTolerance)/100+1)
	}
	beyond := now * (100 - hpaTolerance) / 100
	if now*(100-hpaTolerance)%100 == 0 {
		beyond--
	}
	return max(0, min(exact, beyond))
}
