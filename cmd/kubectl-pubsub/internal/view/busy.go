package view

import (
	"fmt"
	"strconv"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// The policies, as answers name them.
const byUtilization = "Utilization"

// workers is what Utilization decides by; none for another policy, or from an older scaler.
func workers(a *inspectv1.ExplainResponse) []row {
	p := a.GetPolicy()
	if p.GetPolicy() != byUtilization {
		return nil
	}
	rows := []row{
		{"Decided by", a.GetPolicyInUse()},
		{"Instead of", ""},
		{"Slots", fmt.Sprintf("%d = %s × %d at once", a.GetSlots(), plural(int64(a.GetReplicas()), "replica"), p.GetWorkerConcurrency())},
	}
	if why := a.GetFallbackReason(); why != "" {
		rows[1].value = byUtilization + ": " + clean(why)
		return rows
	}
	rows = append(rows, row{"Busy", busyNow(a)})
	if a.BusyOverWindow != nil {
		rows = append(rows, row{"Over the window", fmt.Sprintf("%s on average, seen %s", tenths(a.GetBusyOverWindow()), seen(a))})
	}
	if took := a.GetMeanTimeInFlight(); took != nil {
		rows = append(rows, row{"In flight for", fmt.Sprintf("%.1f s on average; the window is at least 5 times as long, up to an hour, and stays so until messages take less than half of that", took.AsDuration().Seconds())})
	}
	if remark := a.GetConcurrencyRemark(); remark != "" {
		rows = append(rows, row{"workerConcurrency", clean(remark)})
	}
	return rows
}

func busyNow(a *inspectv1.ExplainResponse) string {
	if a.Busy == nil {
		return "not seen for long enough yet"
	}
	text := tenths(a.GetBusy()) + " on average over 15 s"
	if a.Utilization != nil {
		text += fmt.Sprintf(", %.0f %% of the slots; the fleet grows above %d %%", a.GetUtilization(), a.GetPolicy().GetUtilizationScaleUp())
	}
	return text
}

// seen is how much of the window was: "45 s of 120 s".
func seen(a *inspectv1.ExplainResponse) string {
	return fmt.Sprintf("%d s of %s", int64(a.GetWindowSeen().AsDuration().Seconds()), seconds(a.GetPolicy().GetUtilizationWindow().AsDuration()))
}

// briefly is the same in a few words, before a sentence; empty for another policy. It stays true until the next answer
// comes, which how long it was seen does not.
func briefly(a *inspectv1.ExplainResponse) string {
	if a.GetPolicy().GetPolicy() != byUtilization {
		return ""
	}
	if a.GetFallbackReason() != "" {
		return "by " + a.GetPolicyInUse() + ", as the work in flight is not known: "
	}
	window := a.GetPolicy().GetUtilizationWindow().AsDuration()
	text := fmt.Sprintf("%d slots, ", a.GetSlots())
	if a.Busy != nil {
		text = fmt.Sprintf("%s of %d slots busy, ", tenths(a.GetBusy()), a.GetSlots())
	}
	if a.GetWindowSeen().AsDuration() < window {
		return text + "window of " + seconds(window) + " not seen yet: "
	}
	return text + "seen " + seconds(window) + ": "
}

func tenths(value float64) string { return strconv.FormatFloat(value, 'f', 1, 64) }

// utilization is the policy's own fields.
func utilization(p *inspectv1.Policy) []row {
	if p.GetPolicy() != byUtilization {
		return nil
	}
	return []row{
		{"policy, workerConcurrency", fmt.Sprintf("%s, %d", p.GetPolicy(), p.GetWorkerConcurrency())},
		{"utilization scaleUp, target, scaleDown", fmt.Sprintf("%d %%, %d %%, %d %%", p.GetUtilizationScaleUp(), p.GetUtilizationTarget(), p.GetUtilizationScaleDown())},
		{"utilization window", seconds(p.GetUtilizationWindow().AsDuration())},
	}
}
