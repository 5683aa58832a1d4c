package view

import (
	"fmt"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/decide"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// Decision is one answer of the scaler's.
type Decision struct {
	Namespace, Name string
	Answer          *inspectv1.ExplainResponse
	// WhatIf is what was given in place of what is so, in words.
	WhatIf []string
	// AsOf is set for an answer that is made from a channel's status.
	AsOf *AsOf
	// Now is when the answer came.
	Now time.Time
}

// AsOf says of when a status is. It is written when something changes, so an old one is not wrong.
type AsOf struct {
	Read    time.Time // when the scaler read the queue
	Written time.Time // when the operator last wrote the status, for whatever reason; the zero time: unknown
}

// words say of when a status is, for a line of its own.
func (a *AsOf) words(now time.Time) string {
	text := fmt.Sprintf("as of %s, %s, by the channel's status, which is written when something changes", a.Read.UTC().Format(time.TimeOnly+" MST"), age(now, a.Read))
	if now.Sub(a.Read) >= 24*time.Hour {
		text = strings.Replace(text, a.Read.UTC().Format(time.TimeOnly), a.Read.UTC().Format(time.DateTime), 1)
	}
	if a.Written.Sub(a.Read) > time.Minute {
		text += "; it was last written " + age(now, a.Written)
	}
	newest := a.Read
	if a.Written.After(newest) {
		newest = a.Written
	}
	if decide.IsOld(newest, now) {
		text += "\nthat is long ago: nothing has changed since, or the operator is down and this may no longer hold, which kubectl pubsub doctor tells"
	}
	return text
}

// Explanation shows a decision with its arithmetic.
func Explanation(d Decision) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s/%s: %s\n", clean(d.Namespace), clean(d.Name), actionWords(d.Answer))
	fmt.Fprintf(&out, "%s\n", clean(d.Answer.GetExplanation()))
	if len(d.WhatIf) > 0 {
		fmt.Fprintf(&out, "what if: %s; the rest is as it is\n", strings.Join(d.WhatIf, ", "))
	}
	if d.AsOf != nil {
		fmt.Fprintf(&out, "%s\n", d.AsOf.words(d.Now))
	}
	out.WriteString(gauge(d.Answer))
	section(&out, "Queue", d.queue())
	keys(&out, d.Answer.GetKeys())
	section(&out, "Workers", workers(d.Answer))
	section(&out, "Band", d.band())
	section(&out, "Decision", d.decision())
	section(&out, "Answer for KEDA", d.keda())
	section(&out, "Policy", policy(d.Answer.GetPolicy()))
	return out.String()
}

// row is a label with its value; one without a value is left out.
type row struct{ label, value string }

func section(out *strings.Builder, title string, rows []row) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	empty := true
	for _, r := range rows {
		if r.value == "" {
			continue
		}
		if empty {
			fmt.Fprintf(out, "\n%s\n", title)
			empty = false
		}
		fmt.Fprintf(table, "  %s\t%s\n", r.label, r.value)
	}
	_ = table.Flush() // a strings.Builder takes everything
}

func (d Decision) queue() []row {
	a := d.Answer
	depth := fmt.Sprintf("%s = %d ready + %d in flight", plural(a.GetQueueDepth(), "message"), a.GetReady(), a.GetInFlight())
	if a.GetDepthIsLowerBound() {
		depth = "at least " + depth + ": the exact depth is not known"
	}
	rows := []row{{"Depth", depth}}
	if n := a.GetReplicas(); n > 0 {
		rows = append(rows, row{"Per replica", fmt.Sprintf("%s ÷ %d = %.1f, target %s", number(float64(a.GetQueueDepth())), n,
			float64(a.GetQueueDepth())/float64(n), number(a.GetTargetQueueDepth()))})
	}
	arrivals := "unknown"
	if a.MessageRate != nil {
		arrivals = rate(a.GetMessageRate()) + " messages per second"
		if a.GetMessageRateIsLowerBound() {
			arrivals = "at least " + arrivals + ": nothing counts them, but the depth grows this fast"
		}
	}
	rows = append(rows, row{"Arrivals", arrivals})
	if a.GetOldestAge() != nil {
		rows = append(rows, row{"Oldest", fmt.Sprintf("has waited %s", a.GetOldestAge().AsDuration().Round(time.Second))})
	}
	if a.GetSampleAge() != nil && len(a.GetKeys()) > 0 {
		rows = append(rows, row{"Read", fmt.Sprintf("%.1f s ago", a.GetSampleAge().AsDuration().Seconds())})
	}
	return rows
}

func keys(out *strings.Builder, depths []*inspectv1.KeyDepth) {
	if len(depths) == 0 {
		return
	}
	out.WriteString("\n")
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "  KEY\tTYPE\tREADY\tIN FLIGHT")
	for _, key := range depths {
		fmt.Fprintf(table, "  %s\t%s\t%d\t%d\n", clean(key.GetKey()), clean(key.GetQueueType()), key.GetReady(), key.GetInFlight())
	}
	_ = table.Flush() // a strings.Builder takes everything
}

func (d Decision) band() []row {
	a, p := d.Answer, d.Answer.GetPolicy()
	if a.GetReplicas() == 0 || p == nil {
		return nil
	}
	formula := func(bound int64, percent int32) string {
		return fmt.Sprintf("%d = %d × %d × %d %%", bound, p.GetTargetQueueDepth(), a.GetReplicas(), percent)
	}
	above, below := "above it the fleet grows", "below it the fleet shrinks"
	if a.GetPolicyInUse() == byUtilization {
		above, below = "above it the fleet grows, and below it if workers are busy", "below it the fleet shrinks, as far as workers are not busy"
	}
	return []row{
		{"Upper bound", formula(a.GetUpperBound(), p.GetScaleUpThreshold()) + "\t" + above},
		{"Lower bound", formula(a.GetLowerBound(), p.GetScaleDownThreshold()) + "\t" + below},
	}
}

func (d Decision) decision() []row {
	a := d.Answer
	reason, _ := inspect.ReasonName(a.GetReason())
	if meaning := meanings[a.GetReason()]; meaning != "" {
		reason += ": " + meaning
	}
	replicas := fmt.Sprintf("%d → %d", a.GetReplicas(), a.GetDesiredReplicas())
	return []row{
		{"Action", inspect.ActionName(a.GetAction())},
		{"Replicas", replicas},
		{"Arithmetic", clean(a.GetArithmetic())},
		{"Reason", reason},
		{"Cooldown", d.cooldown()},
		{"Last scaling", d.lastScaling()},
	}
}

func (d Decision) cooldown() string {
	a := d.Answer
	period := a.GetPolicy().GetCooldownPeriod().AsDuration()
	switch {
	case a.GetCooldownLeft() != nil:
		return fmt.Sprintf("%s of %s left", seconds(a.GetCooldownLeft().AsDuration()), seconds(period))
	case a.GetPolicy() == nil:
		return ""
	case a.GetLastScaleTime() == nil:
		return "none, because the target was never scaled"
	default:
		return fmt.Sprintf("over, it lasts %s", seconds(period))
	}
}

func (d Decision) lastScaling() string {
	if d.Answer.GetLastScaleTime() == nil {
		return "never"
	}
	last := d.Answer.GetLastScaleTime().AsTime()
	return last.Format(time.DateTime+" MST") + ", " + age(d.Now, last)
}

func (d Decision) keda() []row {
	a := d.Answer
	active := "yes"
	switch {
	case a.GetActive():
	case a.GetPolicy().GetMinReplicas() == 0 && a.GetReplicas() > 0:
		active = "no: KEDA scales to zero after its cooldown"
	case a.GetPolicy().GetMinReplicas() == 0:
		active = "no: KEDA leaves the target at zero"
	default:
		active = "no, which has no effect because minReplicas is more than 0"
	}
	tolerance := "0: the HPA follows the smallest change"
	if !a.GetToleranceHonoured() {
		tolerance = "this cluster's HPA ignores changes of up to 10 %, so the value goes just beyond that"
	}
	return []row{{"Metric", metric(a)}, {"Active", active}, {"Tolerance", tolerance}}
}

// metric is the division that the HPA makes.
func metric(a *inspectv1.ExplainResponse) string {
	target := a.GetTargetQueueDepth()
	if target <= 0 {
		return number(a.GetMetricValue())
	}
	replicas := int64(math.Ceil(a.GetMetricValue() / target))
	text := fmt.Sprintf("value %s, target %s per replica (AverageValue): ceil(%s ÷ %s) = %s",
		number(a.GetMetricValue()), number(target), number(a.GetMetricValue()), number(target), plural(replicas, "replica"))
	if replicas != int64(a.GetDesiredReplicas()) {
		text += fmt.Sprintf(", which goes beyond the desired %d because of the tolerance; the HPA's behavior limits the step", a.GetDesiredReplicas())
	}
	return text
}

func policy(p *inspectv1.Policy) []row {
	if p == nil {
		return nil
	}
	step := func(text string) string {
		if text == "" {
			return "no limit"
		}
		return text
	}
	var maxAge string
	if p.GetMaxAge() != nil {
		maxAge = seconds(p.GetMaxAge().AsDuration())
	}
	return append(utilization(p), []row{
		{"minReplicas, maxReplicas", fmt.Sprintf("%d, %d", p.GetMinReplicas(), p.GetMaxReplicas())},
		{"targetQueueDepth", plural(p.GetTargetQueueDepth(), "message") + " per replica"},
		{"scaleUpThreshold, scaleDownThreshold", fmt.Sprintf("%d %%, %d %%", p.GetScaleUpThreshold(), p.GetScaleDownThreshold())},
		{"cooldownPeriod", seconds(p.GetCooldownPeriod().AsDuration())},
		{"activationQueueDepth", fmt.Sprint(p.GetActivationQueueDepth())},
		{"maxScaleUpStep, maxScaleDownStep", step(p.GetMaxScaleUpStep()) + ", " + step(p.GetMaxScaleDownStep())},
		{"maxAge", maxAge},
	}...)
}
