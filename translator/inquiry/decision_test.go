package inquiry

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

var at = time.Date(2026, 1, 31, 12, 0, 0, 700_000_000, time.UTC)

// whole is a time to the second.
func whole(before time.Duration) metav1.Time {
	return metav1.NewTime(at.Truncate(time.Second).Add(-before))
}

// full is an answer that has everything.
func full() *Answer {
	return &Answer{At: at, Response: &inspectv1.ExplainResponse{
		QueueDepth: 500, Ready: 480, InFlight: 20, InFlightKnown: true, DepthIsLowerBound: true, QueueType: "stream", SampleAge: durationpb.New(2 * time.Second),
		Replicas: 3, DesiredReplicas: 4, Action: inspectv1.Action_ACTION_SCALE_UP, Reason: inspectv1.Reason_REASON_ABOVE_UPPER_BOUND,
		LastingExplanation: "500 is above 450; moved", Remarks: "; moved", Arithmetic: "ceil(500 ÷ 150) = 4", LowerBound: 150, UpperBound: 450, Active: true,
		LastScaleTime: timestamppb.New(at.Add(-90 * time.Second)), OldestAge: durationpb.New(48 * time.Second), MessageRateIsLowerBound: true,
		Busy: new(6.4), BusyOverWindow: new(6.1234), WindowSeen: durationpb.New(100 * time.Second), FallbackReason: "hidden",
		MeanTimeInFlight: durationpb.New(1234 * time.Millisecond), Policy: &inspectv1.Policy{UtilizationWindow: durationpb.New(2 * time.Minute)},
	}}
}

func TestDecisionHasWhatAnAnswerSays(t *testing.T) {
	assert.Equal(t, &v1.ScalingDecision{
		ObservedTime: whole(2 * time.Second), Action: v1.ScalingUp, Reason: "AboveUpperBound", Message: "500 is above 450; moved", Remarks: "; moved",
		Arithmetic: "ceil(500 ÷ 150) = 4", Replicas: 3, DesiredReplicas: 4, QueueDepth: 500, DepthIsLowerBound: true, Ready: 480, InFlight: new(int64(20)),
		QueueType: "stream", LowerBound: 150, UpperBound: 450, Active: true, LastScaleTime: new(whole(90 * time.Second)), OldestMessageTime: new(whole(48 * time.Second)),
		MessageRateIsLowerBound: true, Busy: resource.NewMilliQuantity(6400, resource.DecimalSI), BusyOverWindow: resource.NewMilliQuantity(6123, resource.DecimalSI),
		WindowSeen: &metav1.Duration{Duration: 100 * time.Second}, FallbackReason: "hidden", ToleranceIgnored: true,
		MeanTimeInFlight: &metav1.Duration{Duration: 1234 * time.Millisecond}, Window: &metav1.Duration{Duration: 2 * time.Minute},
	}, full().Decision())

	least := (&Answer{At: at, Response: &inspectv1.ExplainResponse{Action: inspectv1.Action_ACTION_HOLD, InFlight: 5, ToleranceHonoured: true}}).Decision()
	assert.Equal(t, &v1.ScalingDecision{ObservedTime: whole(0), Action: v1.ScalingHold, Reason: v1.ReasonDecisionUnknown}, least, "what is unknown is absent")
	assert.Nil(t, (*Answer)(nil).Decision())
	assert.Nil(t, (&Answer{Err: ofScaler(codes.Unavailable, "x")}).Decision(), "nothing stale")
}

// Each action of the contract's has its own, of the same name.
func TestEveryActionIsTold(t *testing.T) {
	for number := range inspectv1.Action_name {
		action := inspectv1.Action(number)
		d := (&Answer{At: at, Response: &inspectv1.ExplainResponse{Action: action}}).Decision()
		if action == inspectv1.Action_ACTION_UNSPECIFIED {
			assert.Nil(t, d, "no decision")
			continue
		}
		require.NotNil(t, d, action)
		assert.Equal(t, inspect.ActionName(action), string(d.Action))
	}
	assert.Len(t, actions, len(inspectv1.Action_name)-1)
}

// The API server would refuse a whole status for one field that it does not take: whatever a
// scaler of another version says, the decision is one that it takes.
func TestNoAnswerMakesADecisionThatIsRefused(t *testing.T) {
	for name, change := range map[string]func(*inspectv1.ExplainResponse){
		"a reason of a newer scaler":   func(r *inspectv1.ExplainResponse) { r.Reason = 99 },
		"no reason":                    func(r *inspectv1.ExplainResponse) { r.Reason = 0 },
		"long words":                   func(r *inspectv1.ExplainResponse) { r.LastingExplanation = strings.Repeat("é", 1<<20) },
		"words that are no UTF-8":      func(r *inspectv1.ExplainResponse) { r.Arithmetic, r.Remarks = "a\xff", "\xff" },
		"a time beyond all":            func(r *inspectv1.ExplainResponse) { r.LastScaleTime = &timestamppb.Timestamp{Seconds: math.MaxInt64} },
		"a time before all":            func(r *inspectv1.ExplainResponse) { r.LastScaleTime = &timestamppb.Timestamp{Seconds: math.MinInt64} },
		"an age beyond all":            func(r *inspectv1.ExplainResponse) { r.OldestAge = &durationpb.Duration{Seconds: math.MaxInt64} },
		"an age before all":            func(r *inspectv1.ExplainResponse) { r.OldestAge = &durationpb.Duration{Seconds: math.MinInt64} },
		"a sample as old as the hills": func(r *inspectv1.ExplainResponse) { r.SampleAge = &durationpb.Duration{Seconds: math.MaxInt64} },
		"a sample of tomorrow":         func(r *inspectv1.ExplainResponse) { r.SampleAge = durationpb.New(-24 * time.Hour) },
		"a mean beyond all":            func(r *inspectv1.ExplainResponse) { r.Busy, r.BusyOverWindow = new(math.Inf(1)), new(math.NaN()) },
		"a mean below all":             func(r *inspectv1.ExplainResponse) { r.Busy = new(math.Inf(-1)) },
		"a time in flight beyond all":  func(r *inspectv1.ExplainResponse) { r.MeanTimeInFlight = &durationpb.Duration{Seconds: math.MaxInt64} },
		"a policy's window beyond all": func(r *inspectv1.ExplainResponse) {
			r.Policy.UtilizationWindow = &durationpb.Duration{Seconds: math.MaxInt64}
		},
		"a policy's window before all": func(r *inspectv1.ExplainResponse) {
			r.Policy.UtilizationWindow = &durationpb.Duration{Seconds: math.MinInt64}
		},
		"a policy's window of nothing": func(r *inspectv1.ExplainResponse) { r.Policy.UtilizationWindow = &durationpb.Duration{Nanos: 1} },
		"a window beyond all":          func(r *inspectv1.ExplainResponse) { r.WindowSeen = &durationpb.Duration{Seconds: math.MaxInt64} },
		"a window before all":          func(r *inspectv1.ExplainResponse) { r.WindowSeen = &durationpb.Duration{Seconds: math.MinInt64} },
		"a part of a second":           func(r *inspectv1.ExplainResponse) { r.WindowSeen = &durationpb.Duration{Nanos: 1} },
	} {
		t.Run(name, func(t *testing.T) {
			answer := full()
			change(answer.Response)
			d := answer.Decision()
			data, err := json.Marshal(d)
			require.NoError(t, err)
			assert.Less(t, len(data), 20_000)
			assert.NotContains(t, string(data), "null")
			assert.Regexp(t, conditionReason, d.Reason)
			assert.Regexp(t, `^([0-9]{1,6}h)?([0-9]{1,6}m)?[0-9]{1,6}([.][0-9]{1,9})?s$`, d.WindowSeen.Duration.String(), "the CRD's pattern")
			if d.Window != nil {
				assert.Regexp(t, `^([0-9]{1,6}h)?([0-9]{1,6}m)?[0-9]{1,6}([.][0-9]{1,9})?s$`, d.Window.Duration.String(), "the CRD's pattern")
			}
			read := &v1.ScalingDecision{}
			require.NoError(t, json.Unmarshal(data, read))
			assert.True(t, SameDecision(d, read, policy.Spec{}), "as it was written: %s", data)
			for _, moment := range []*metav1.Time{&read.ObservedTime, read.LastScaleTime, read.OldestMessageTime} {
				if moment != nil {
					assert.GreaterOrEqual(t, moment.Year(), 1, "%s", data)
					assert.LessOrEqual(t, moment.Year(), 9999, "%s", data)
				}
			}
		})
	}
	newer := full()
	newer.Response.Action = 9
	assert.Nil(t, newer.Decision(), "an action of a newer scaler is unknown here")
}

func TestWhichDecisionsAreNews(t *testing.T) {
	const window = 2 * time.Minute
	type change = func(*v1.ScalingDecision)
	seen := func(d time.Duration) change { return func(s *v1.ScalingDecision) { s.WindowSeen.Duration = d } }
	busy := func(text string) change {
		return func(s *v1.ScalingDecision) { q := resource.MustParse(text); s.Busy = &q }
	}
	over := func(text string) change {
		return func(s *v1.ScalingDecision) { q := resource.MustParse(text); s.BusyOverWindow = &q }
	}
	later := func(d time.Duration) change {
		return func(s *v1.ScalingDecision) { s.ObservedTime = metav1.NewTime(s.ObservedTime.Add(d)) }
	}
	both := func(changes ...change) change {
		return func(s *v1.ScalingDecision) {
			for _, c := range changes {
				c(s)
			}
		}
	}
	took := func(d time.Duration) change {
		return func(s *v1.ScalingDecision) { s.MeanTimeInFlight = &metav1.Duration{Duration: d} }
	}
	long := func(d time.Duration) change {
		return func(s *v1.ScalingDecision) { s.Window, s.WindowSeen.Duration = &metav1.Duration{Duration: d}, d }
	}
	noCount := func(s *v1.ScalingDecision) { s.MeanTimeInFlight = nil }
	older := func(s *v1.ScalingDecision) { s.Window = nil }
	none := func(*v1.ScalingDecision) {}
	for name, test := range map[string]struct {
		last, next change
		news       bool
	}{
		"nothing":                           {none, none, false},
		"it was read again":                 {seen(window), both(seen(window), later(15*time.Second)), false},
		"the action":                        {none, func(s *v1.ScalingDecision) { s.Action = v1.ScalingHold }, true},
		"the reason":                        {none, func(s *v1.ScalingDecision) { s.Reason = "Cooldown" }, true},
		"the message":                       {none, func(s *v1.ScalingDecision) { s.Message = "x" }, true},
		"the remarks":                       {none, func(s *v1.ScalingDecision) { s.Remarks = "" }, true},
		"another arithmetic":                {none, func(s *v1.ScalingDecision) { s.Arithmetic = "x" }, true},
		"arithmetic with another mean":      {none, func(s *v1.ScalingDecision) { s.Arithmetic = "ceil(501 ÷ 150) = 4" }, false},
		"the fallback":                      {none, func(s *v1.ScalingDecision) { s.FallbackReason = "" }, true},
		"the replicas":                      {none, func(s *v1.ScalingDecision) { s.Replicas = 4 }, true},
		"the desired replicas":              {none, func(s *v1.ScalingDecision) { s.DesiredReplicas = 5 }, true},
		"the depth":                         {none, func(s *v1.ScalingDecision) { s.QueueDepth = 501 }, true},
		"how well it is known":              {none, func(s *v1.ScalingDecision) { s.DepthIsLowerBound = false }, true},
		"what is ready":                     {none, func(s *v1.ScalingDecision) { s.Ready = 481 }, true},
		"what is in flight":                 {none, func(s *v1.ScalingDecision) { s.InFlight = new(int64(21)) }, true},
		"in flight is known no more":        {none, func(s *v1.ScalingDecision) { s.InFlight = nil }, true},
		"the type":                          {none, func(s *v1.ScalingDecision) { s.QueueType = "list" }, true},
		"the lower bound":                   {none, func(s *v1.ScalingDecision) { s.LowerBound++ }, true},
		"the upper bound":                   {none, func(s *v1.ScalingDecision) { s.UpperBound++ }, true},
		"what KEDA is told":                 {none, func(s *v1.ScalingDecision) { s.Active = false }, true},
		"a scaling":                         {none, func(s *v1.ScalingDecision) { s.LastScaleTime = new(whole(0)) }, true},
		"a scaling is forgotten":            {none, func(s *v1.ScalingDecision) { s.LastScaleTime = nil }, true},
		"the rate's exactness":              {none, func(s *v1.ScalingDecision) { s.MessageRateIsLowerBound = false }, true},
		"the HPA's tolerance":               {none, func(s *v1.ScalingDecision) { s.ToleranceIgnored = false }, true},
		"the oldest, a second off":          {none, func(s *v1.ScalingDecision) { s.OldestMessageTime = new(whole(47 * time.Second)) }, false},
		"another oldest":                    {none, func(s *v1.ScalingDecision) { s.OldestMessageTime = new(whole(45 * time.Second)) }, true},
		"none waits":                        {none, func(s *v1.ScalingDecision) { s.OldestMessageTime = nil }, true},
		"busy, within 10 %":                 {busy("20"), busy("22"), false},
		"busy, beyond 10 %":                 {busy("20"), busy("22100m"), true},
		"busy, within half a slot":          {busy("1"), busy("1500m"), false},
		"busy, beyond half a slot":          {busy("1"), busy("400m"), true},
		"busy is known":                     {func(s *v1.ScalingDecision) { s.Busy = nil }, none, true},
		"the mean, within 10 %":             {over("20"), over("18"), false},
		"the mean, beyond 10 %":             {over("20"), over("17900m"), true},
		"a window that is seen on":          {seen(30 * time.Second), both(seen(45*time.Second), later(15*time.Second)), false},
		"a window that is whole":            {seen(110 * time.Second), both(seen(window), later(15*time.Second)), true},
		"a window that stays whole":         {seen(window), both(seen(window), later(time.Hour)), false},
		"a window with a gap":               {seen(window), both(seen(3*time.Second), later(15*time.Second)), true},
		"a part of a window, and a gap":     {seen(60 * time.Second), both(seen(5*time.Second), later(15*time.Second)), true},
		"a part that begins to be too long": {seen(60 * time.Second), both(seen(60*time.Second), later(60*time.Second)), true},
		"messages take longer":              {took(time.Second), took(9 * time.Second), false},
		"messages take too long for it":     {both(took(24*time.Second), long(window)), both(took(25*time.Second), long(3*time.Minute)), true},
		"a part of a longer window":         {both(long(5*time.Minute), took(time.Minute), seen(window)), both(long(5*time.Minute), took(time.Minute), seen(3*time.Minute), later(time.Minute)), false},
		"a longer window is whole":          {both(long(5*time.Minute), took(time.Minute), seen(window)), both(long(5*time.Minute), took(time.Minute), later(3*time.Minute)), true},
		"of two scalers, the shorter one":   {both(took(24*time.Second), long(3*time.Minute)), both(took(24*time.Second), long(window)), false},
		"of two scalers, the longer one":    {both(took(24*time.Second), long(window)), both(took(24*time.Second), long(3*time.Minute)), false},
		"one too short for both":            {both(took(24*time.Second), long(window)), both(took(24*time.Second+1), long(3*time.Minute)), true},
		"one too long for both":             {both(took(24*time.Second), long(3*time.Minute)), both(took(10*time.Second), long(window)), true},
		"two windows, and nothing counts":   {both(noCount, long(3*time.Minute)), both(noCount, long(window)), true},
		"told by an older controller":       {both(older, took(time.Minute), seen(5*time.Minute)), both(took(time.Minute), long(5*time.Minute)), false},
		"a window is seen no more":          {none, func(s *v1.ScalingDecision) { s.WindowSeen = nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			last, next := full().Decision(), full().Decision()
			test.last(last)
			test.next(next)
			assert.Equal(t, !test.news, SameDecision(last, next, policy.Spec{}))
		})
	}
	assert.True(t, SameDecision(nil, nil, policy.Spec{}))
	assert.False(t, SameDecision(nil, full().Decision(), policy.Spec{}))
	assert.False(t, SameDecision(full().Decision(), nil, policy.Spec{}))
}

// Two scalers whose windows have different pasts don't have the status told anew by turns: once both have seen the
// least and the greatest of times in flight that stay within 20 % of any value, it is told once.
func TestTwoScalersDoNotTellTheirWindowsByTurns(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	differed := 0
	for i := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, i))
		spec := policy.Spec{Policy: policy.ByUtilization}
		anyTook := func() time.Duration {
			return time.Duration(1+r.Int64N(int64(8*time.Minute/time.Millisecond))) * time.Millisecond
		}
		least := anyTook()
		windows := [2]time.Duration{spec.WindowFor(anyTook(), 0), spec.WindowFor(anyTook(), 0)}
		for scaler := range windows {
			windows[scaler] = spec.WindowFor(least+least/2, spec.WindowFor(least, windows[scaler]))
		}
		var told *v1.ScalingDecision
		times := 0
		for range 100 {
			asked := r.IntN(2) // round robin, or one that was restarted
			took := least + time.Duration(r.Int64N(int64(least)/2+1))
			windows[asked] = spec.WindowFor(took, windows[asked])
			next := full().Decision()
			next.MeanTimeInFlight, next.Window = &metav1.Duration{Duration: took}, &metav1.Duration{Duration: windows[asked]}
			next.WindowSeen = next.Window
			if windows[0] != windows[1] {
				differed++
			}
			if !SameDecision(told, next, spec) {
				told = next
				times++
			}
		}
		require.Equal(t, 1, times, "case %d: in flight from %s, windows %s", i, least, windows)
	}
	require.Greater(t, differed, 1000, "it is tried")
}
