package policy

// hpaTolerance is the HPA's default tolerance in percent
// (kube-controller-manager --horizontal-pod-autoscaler-tolerance=0.1): a ratio of value
// to target × replicas within it changes nothing.
const hpaTolerance = 10

// MetricValue is the value, in messages, that makes the HPA want d.Desired replicas:
// for AverageValue it computes ceil(value / TargetQueueDepth).
//
// If the HPA honours a tolerance of 0, the value is exact. If it doesn't, it ignores a change
// of up to 10 %, so the value goes just beyond that. The HPA then overshoots d.Desired by at
// most 10 % of the replicas, rounded down (with fewer than 10 replicas: not at all), and never
// by more than its behavior policies allow. If the policy would scale back from there at once,
// the value is exact and the HPA leaves the replicas alone, because otherwise the two would
// flap for ever. That needs an upper threshold of less than 1.25 times the lower one, or for
// Utilization that ScaleUp or Target is less than 1.25 times ScaleDown.
//
// The module e2e/hpa runs the HPA's own code against all of this. The HPA computes in float64,
// in thousandths of a message, which is exact up to 9·10¹² messages.
func (s Spec) MetricValue(d Decision, toleranceHonoured bool) int64 {
	exact := int64(d.Desired) * s.TargetQueueDepth
	if toleranceHonoured || d.Action == Hold || d.Replicas == 0 {
		return exact
	}
	value := s.beyondTolerance(d)
	landing := s.landing(d, value)
	if s.turnsBack(d, landing) || s.Policy == ByUtilization && s.turnsBackByWork(d, landing) {
		return exact
	}
	return value
}

// beyondTolerance is d.Desired × TargetQueueDepth or, if the HPA would ignore that within its
// tolerance of 10 %, the nearest value beyond that it does not ignore.
func (s Spec) beyondTolerance(d Decision) int64 {
	exact := int64(d.Desired) * s.TargetQueueDepth
	now := int64(d.Replicas) * s.TargetQueueDepth
	if d.Action == ScaleUp {
		return max(exact, now*(100+hpaTolerance)/100+1)
	}
	return max(0, min(exact, (now*(100-hpaTolerance)+99)/100-1))
}

// landing is the number of replicas that the HPA scales to for a value. It may be one replica
// too far, because the HPA rounds the percentages of its policies up.
func (s Spec) landing(d Decision, value int64) int64 {
	n := int64(d.Replicas)
	wanted := (value + s.TargetQueueDepth - 1) / s.TargetQueueDepth
	atMost := func(step Step) int64 {
		if step.Percent {
			return n*int64(step.Value)/100 + 1
		}
		return step.of(n)
	}
	if d.Action == ScaleUp {
		return min(wanted, n+atMost(s.MaxScaleUpStep), int64(s.MaxReplicas))
	}
	return max(wanted, n-atMost(s.MaxScaleDownStep), s.floor())
}

// turnsBack tells whether the policy would scale back at once from where the HPA lands, for
// some depth that asks for d.Desired.
func (s Spec) turnsBack(d Decision, landing int64) bool {
	desired := int64(d.Desired)
	if landing == desired || d.Reason == AboveUtilization {
		return false
	}
	// How much one more replica adds to each bound, in hundredths of a message.
	upper, lower := s.TargetQueueDepth*int64(s.ScaleUpThreshold), s.TargetQueueDepth*int64(s.ScaleDownThreshold)
	if d.Action == ScaleUp {
		least := (desired-1)*upper/100 + 1
		return 100*least < landing*lower
	}
	most := min(desired*upper/100, ((desired+1)*lower-1)/100)
	return 100*most > landing*upper
}

// turnsBackByWork tells whether Utilization would scale back at once from where the HPA lands, for
// some work in flight that asks for d.Desired. It scales down only if Threshold would as well,
// so for what a depth has asked for, turnsBack tells.
func (s Spec) turnsBackByWork(d Decision, landing int64) bool {
	u, desired := s.utilization(), int64(d.Desired)
	switch {
	case landing == desired:
		return false
	case d.Action == ScaleDown:
		most := 1000 * s.slotsOf(desired) * int64(u.ScaleDown) / 100
		return 100*most > 1000*s.slotsOf(landing)*int64(u.ScaleUp)
	case d.Reason != AboveUtilization:
		return false
	}
	least := max(1000*s.slotsOf(int64(d.Replicas))*int64(u.ScaleUp), 1000*s.slotsOf(desired-1)*int64(u.Target))/100 + 1
	return s.fewestBusy(least, u.ScaleDown) < landing
}
