package view_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/view"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

var now = time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC)

// golden compares a text with testdata/<name>.txt.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", strings.ReplaceAll(name, " ", "-")+".txt")
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "go test -update writes it")
	assert.Equal(t, string(want), got)
	for line := range strings.Lines(got) {
		assert.Equal(t, strings.TrimRight(line, " \n"), strings.TrimSuffix(line, "\n"), "white space at the line's end")
	}
}

// answer is what the scaler would answer: the decision is the policy's own.
func answer(spec policy.Spec, state policy.State, change ...func(*inspectv1.ExplainResponse)) *inspectv1.ExplainResponse {
	state.Now = now
	d := spec.Policy.Decider()(spec, state)
	out := &inspectv1.ExplainResponse{
		QueueDepth: state.Depth, Ready: state.Depth, QueueType: "list",
		SampleAge: durationpb.New(400 * time.Millisecond),
		Replicas:  d.Replicas, DesiredReplicas: d.Desired,
		Action:      inspectv1.Action(d.Action), // numbered alike; the text in the golden files would tell
		Reason:      reasonOf(d),
		Explanation: d.Text, LastingExplanation: d.LastingText, Arithmetic: d.Arithmetic,
		LowerBound: d.LowerBound, UpperBound: d.UpperBound,
		Active: d.Active, MetricValue: float64(spec.MetricValue(d, true)), TargetQueueDepth: float64(spec.TargetQueueDepth), ToleranceHonoured: true,
		Policy: &inspectv1.Policy{
			MinReplicas: spec.MinReplicas, MaxReplicas: spec.MaxReplicas, TargetQueueDepth: spec.TargetQueueDepth,
			ScaleUpThreshold: spec.ScaleUpThreshold, ScaleDownThreshold: spec.ScaleDownThreshold,
			CooldownPeriod: durationpb.New(spec.Cooldown), ActivationQueueDepth: spec.ActivationQueueDepth,
			MaxScaleUpStep: spec.MaxScaleUpStep.String(), MaxScaleDownStep: spec.MaxScaleDownStep.String(),
			Policy: string(spec.Policy), WorkerConcurrency: spec.WorkerConcurrency,
			UtilizationTarget: 80, UtilizationScaleUp: 90, UtilizationScaleDown: 70, UtilizationWindow: durationpb.New(spec.UtilizationWindow()),
		},
		Keys: []*inspectv1.KeyDepth{{Key: "orders", QueueType: "list", Ready: state.Depth}},
	}
	if d.CooldownLeft > 0 {
		out.CooldownLeft = durationpb.New(d.CooldownLeft)
	}
	if !state.LastScale.IsZero() {
		out.LastScaleTime = timestamppb.New(state.LastScale)
	}
	for _, c := range change {
		c(out)
	}
	return out
}

// reasonOf is the decision's reason as the scaler sends it.
func reasonOf(d policy.Decision) inspectv1.Reason {
	for number := range inspectv1.Reason_name {
		if name, _ := inspect.ReasonName(inspectv1.Reason(number)); name == string(d.Reason) {
			return inspectv1.Reason(number)
		}
	}
	panic("no reason of the contract's is called " + string(d.Reason))
}

// spec is the default one with a change.
func spec(change ...func(*policy.Spec)) policy.Spec {
	s := policy.DefaultSpec()
	for _, c := range change {
		c(&s)
	}
	return s
}

// utilizing is a policy Utilization with 4 messages at once.
func utilizing() policy.Spec {
	return spec(func(s *policy.Spec) { s.Policy, s.WorkerConcurrency = policy.ByUtilization, 4 })
}

// busy is an answer of a fleet with 16 slots.
func busy(recent, window float64, seen time.Duration) func(*inspectv1.ExplainResponse) {
	return func(a *inspectv1.ExplainResponse) {
		a.InFlightKnown, a.PolicyInUse, a.Slots = true, "Utilization", 16
		a.Busy, a.BusyOverWindow, a.Utilization, a.WindowSeen = new(recent), new(window), new(100*recent/16), durationpb.New(seen)
	}
}

func TestExplanation(t *testing.T) {
	zero := func(s *policy.Spec) { s.MinReplicas = 0 }
	tests := map[string]view.Decision{
		"scale up": {Answer: answer(spec(), policy.State{Replicas: 3, Depth: 500, LastScale: now.Add(-2 * time.Minute)}, func(a *inspectv1.ExplainResponse) {
			rate := 12.34
			a.Ready, a.InFlight, a.MessageRate = 480, 20, &rate
			a.Keys = []*inspectv1.KeyDepth{{Key: "orders", QueueType: "list", Ready: 470, InFlight: 20}, {Key: "orders:urgent", QueueType: "list", Ready: 10}}
		})},
		"scale up to maxReplicas": {Answer: answer(spec(), policy.State{Replicas: 3, Depth: 50_000})},
		"scale up by a step": {Answer: answer(spec(func(s *policy.Spec) { s.MaxScaleUpStep = policy.Step{Value: 2} }),
			policy.State{Replicas: 3, Depth: 1100})},
		"scale down by a step":      {Answer: answer(spec(), policy.State{Replicas: 10, Depth: 120})},
		"scale down to the band":    {Answer: answer(spec(func(s *policy.Spec) { s.MaxScaleDownStep = policy.Step{} }), policy.State{Replicas: 10, Depth: 120})},
		"scale down to minReplicas": {Answer: answer(spec(func(s *policy.Spec) { s.MinReplicas = 2 }), policy.State{Replicas: 3, Depth: 0})},
		"scale down to one":         {Answer: answer(spec(zero), policy.State{Replicas: 2, Depth: 0})},
		"scale down not too far": {Answer: answer(spec(func(s *policy.Spec) {
			s.ScaleDownThreshold, s.ScaleUpThreshold, s.MaxScaleDownStep = 100, 101, policy.Step{}
		}), policy.State{Replicas: 3, Depth: 190})},
		"hold in the band":      {Answer: answer(spec(), policy.State{Replicas: 3, Depth: 300})},
		"cooldown before fewer": {Answer: answer(spec(), policy.State{Replicas: 4, Depth: 100, LastScale: now.Add(-37 * time.Second)})},
		"hold for cooldown":     {Answer: answer(spec(), policy.State{Replicas: 4, Depth: 900, LastScale: now.Add(-37 * time.Second)})},
		"idle at zero":          {Answer: answer(spec(zero), policy.State{Replicas: 0, Depth: 0})},
		"going to zero":         {Answer: answer(spec(zero), policy.State{Replicas: 1, Depth: 0})},
		"waking":                {Answer: answer(spec(zero), policy.State{Replicas: 0, Depth: 1})},
		"tolerance": {Answer: answer(spec(func(s *policy.Spec) { s.MaxReplicas = 100 }), policy.State{Replicas: 50, Depth: 7600}, func(a *inspectv1.ExplainResponse) {
			a.ToleranceHonoured, a.MetricValue = false, 5501
		})},
		"what if": {
			Answer: answer(spec(), policy.State{Replicas: 3, Depth: 500}, func(a *inspectv1.ExplainResponse) { a.Keys = nil }),
			WhatIf: []string{"queue depth 500", "never scaled"},
		},
		"a lower bound, and a strange key": {Answer: answer(spec(), policy.State{Replicas: 1, Depth: 120}, func(a *inspectv1.ExplainResponse) {
			slow := 0.004
			a.DepthIsLowerBound, a.QueueType, a.MessageRate = true, "stream", &slow
			a.Keys[0].Key = "a\x1b[31m\nb"
		})},
		"hold for a lower bound": {Answer: answer(spec(), policy.State{Replicas: 10, Depth: 120, AtLeast: true}, func(a *inspectv1.ExplainResponse) {
			a.DepthIsLowerBound, a.QueueType = true, "stream"
		})},
		"busy workers": {Answer: answer(utilizing(), policy.State{Replicas: 4, Depth: 16, InFlight: policy.InFlight{Known: true, Recent: 15_250, Window: 12_000, Seen: 45 * time.Second}},
			busy(15.25, 12, 45*time.Second))},
		"busy workers, with long messages": {Answer: answer(utilizing().WithWindow(10*time.Minute), policy.State{Replicas: 4, Depth: 2, InFlight: policy.InFlight{Known: true, Recent: 2000, Window: 2000, Seen: 4 * time.Minute}},
			busy(2, 2, 4*time.Minute), func(a *inspectv1.ExplainResponse) { a.MeanTimeInFlight = durationpb.New(118 * time.Second) })},
		"busy workers, nothing seen yet": {Answer: answer(utilizing(), policy.State{Replicas: 4, Depth: 16, InFlight: policy.InFlight{Known: true, Window: 15_000, Seen: time.Second}},
			busy(15, 15, time.Second), func(a *inspectv1.ExplainResponse) { a.Busy, a.Utilization = nil, nil })},
		"busy workers, with a wrong concurrency": {Answer: answer(utilizing(), policy.State{Replicas: 4, Depth: 30, InFlight: policy.InFlight{Known: true, Recent: 30_000, Window: 30_000, Seen: 2 * time.Minute}},
			busy(30, 30, 2*time.Minute), func(a *inspectv1.ExplainResponse) {
				a.ConcurrencyRemark = "more was in flight than the slots: set it to 8"
			})},
		"busy workers that are not seen": {Answer: answer(utilizing(), policy.State{Replicas: 4, Depth: 16}, func(a *inspectv1.ExplainResponse) {
			a.Slots, a.PolicyInUse, a.FallbackReason = 16, "Threshold", "no worker shows what it holds of the list \"orders\""
		})},
		"from a status": {
			Answer: answer(spec(), policy.State{Replicas: 3, Depth: 500}, func(a *inspectv1.ExplainResponse) { a.Keys = nil }),
			AsOf:   &view.AsOf{Read: now.Add(-14 * time.Second), Written: now.Add(-14 * time.Second)},
		},
		"from a status that stays the same": {
			Answer: answer(spec(), policy.State{Replicas: 3, Depth: 300}, func(a *inspectv1.ExplainResponse) { a.Keys = nil }),
			AsOf:   &view.AsOf{Read: now.Add(-50 * time.Hour), Written: now.Add(-3 * time.Minute)},
		},
		"from an old status": {
			Answer: answer(spec(), policy.State{Replicas: 3, Depth: 300}, func(a *inspectv1.ExplainResponse) { a.Keys = nil }),
			AsOf:   &view.AsOf{Read: now.Add(-3 * time.Hour), Written: now.Add(-2 * time.Hour)},
		},
		"an older scaler": {Answer: answer(spec(), policy.State{Replicas: 3, Depth: 500}, func(a *inspectv1.ExplainResponse) {
			a.Policy, a.Keys, a.LastingExplanation, a.Arithmetic = nil, nil, "", ""
		})},
		"a newer scaler": {Answer: answer(spec(), policy.State{Replicas: 3, Depth: 500}, func(a *inspectv1.ExplainResponse) {
			a.Reason, a.DesiredReplicas, a.MetricValue, a.Arithmetic = 99, 7, 700, "500 ÷ 72 = 7, by a rule that this plugin does not know"
		})},
	}
	for name, d := range tests {
		t.Run(name, func(t *testing.T) {
			d.Namespace, d.Name, d.Now = "shop", "orders", now
			golden(t, "explain "+name, view.Explanation(d))
		})
	}
}

func TestTable(t *testing.T) {
	rate := 12.34
	up := answer(spec(), policy.State{Replicas: 3, Depth: 500}, func(a *inspectv1.ExplainResponse) { a.MessageRate = &rate })
	cooling := answer(spec(), policy.State{Replicas: 4, Depth: 900, LastScale: now.Add(-37 * time.Second)})
	atLeast := answer(spec(), policy.State{Replicas: 1, Depth: 120}, func(a *inspectv1.ExplainResponse) { a.DepthIsLowerBound = true })
	rows := []view.Row{
		{Namespace: "shop", Name: "orders", Explanation: up, Heard: now},
		{Namespace: "shop", Name: "invoices-of-the-month", Explanation: cooling, Heard: now.Add(-5 * time.Second)},
		{Namespace: "shop", Name: "utilized", Explanation: answer(utilizing(), policy.State{Replicas: 4, Depth: 16, InFlight: policy.InFlight{Known: true, Recent: 15_250, Window: 12_000, Seen: 45 * time.Second}},
			busy(15.25, 12, 45*time.Second)), Heard: now},
		{Namespace: "shop", Name: "quiet", Explanation: up, Heard: now, AsOf: now.Add(-3 * time.Hour)},
		{Namespace: "shop", Name: "fresh", Explanation: up, Heard: now, AsOf: now.Add(-4 * time.Minute)},
		{Namespace: "shop", Name: "over", Explanation: cooling, Heard: now.Add(-time.Minute)},
		{Namespace: "bank", Name: "orders", Explanation: atLeast, Heard: now},
		{Namespace: "shop", Name: "broken", Failure: &inspectv1.Failure{Code: "UNAVAILABLE", Reason: "BrokerUnreachable", Message: "reading dragonfly:6379:\nrefused"}},
		{Namespace: "shop", Name: "older", Failure: &inspectv1.Failure{Code: "FAILED_PRECONDITION", Message: "words"}},
		{Namespace: "shop", Name: "gone", Ending: "Deleted", EndingWords: "the channel was deleted"},
		{Namespace: "shop", Name: "new"},
	}
	t.Run("in lines", func(t *testing.T) {
		table := view.NewTable(false)
		lines := table.Header() + "\n"
		for _, r := range rows {
			lines += table.Line(r, now) + "\n"
		}
		golden(t, "table in lines", lines)
	})
	t.Run("in a wide terminal", func(t *testing.T) {
		golden(t, "table wide", strings.Join(view.Lines(rows, true, []string{"warning: something\x07"}, now, 200, 40), "\n")+"\n")
	})
	t.Run("in a small terminal", func(t *testing.T) {
		lines := view.Lines(rows, true, []string{"warning"}, now, 100, 10)
		assert.Len(t, lines, 9, "a line is left for the cursor")
		golden(t, "table small", strings.Join(lines, "\n")+"\n")
	})
	t.Run("just high enough", func(t *testing.T) {
		assert.Len(t, view.Lines(rows, true, nil, now, 200, len(rows)+2), len(rows)+1)
		assert.Len(t, view.Lines(rows, true, nil, now, 60, 2*len(rows)+2), 2*len(rows)+1, "with the sentences below")
	})
	t.Run("far too small", func(t *testing.T) {
		for _, size := range [][2]int{{1, 1}, {2, 3}, {10, 2}} {
			for _, line := range view.Lines(rows, true, nil, now, size[0], size[1]) {
				assert.LessOrEqual(t, utf8.RuneCountInString(line), size[0])
			}
		}
	})
	t.Run("nothing yet", func(t *testing.T) {
		assert.Equal(t, []string{"nothing"}, view.Lines(nil, true, []string{"nothing"}, now, 80, 24))
	})
}

// A frame goes over the last one, however its lines have wrapped since.
func TestScreen(t *testing.T) {
	var s view.Screen
	long := strings.Repeat("x", 50)
	assert.Equal(t, "\x1b[?25lab\x1b[K\r\n"+long+"\x1b[K\r\n\x1b[J", s.Frame([]string{"ab", long}, 80), "the first frame is below what stands there")
	assert.Equal(t, "\x1b[?25l\x1b[2A\rab\x1b[K\r\n\x1b[J", s.Frame([]string{"ab"}, 80), "the second one begins two lines up")
	assert.Equal(t, "\x1b[?25l\x1b[1A\r"+long+"\x1b[K\r\n\x1b[J", s.Frame([]string{long}, 80))
	assert.Contains(t, s.Frame(nil, 20), "\x1b[3A\r", "50 characters take three lines of 20")
	assert.Equal(t, "\x1b[?25l\x1b[J", s.Frame(nil, 20))
	assert.Equal(t, "\x1b[?25h", s.End(), "the cursor is there again")
}
