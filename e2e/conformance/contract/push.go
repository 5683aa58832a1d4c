package contract

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	pushOpens     = "push.opens"
	pushReopens   = "push.reopens"
	pushStaysOpen = "push.stays-open"
	pushRepeats   = "push.repeats"

	noPush = "StreamIsActive is not offered: trigger type external does without it, external-push does not"
)

var pushChecks = []Check{
	{
		Name:      pushOpens,
		Rule:      "StreamIsActive sends the state within 1 s (--open-time) of opening",
		Why:       "KEDA opens the stream anew after each change and each break; what happened meanwhile reaches it with the first message alone",
		Reference: "pkg/scalers/external_scaler.go: handleIsActiveStream; pkg/scaling/scale_handler.go: startPushScalers",
		watches:   []watch{watchActive},
		run: func(ctx context.Context, p *probe) Outcome {
			return p.opens(ctx, watchActive, noPush, func(m message) string { return describeActivity(m.active) })
		},
	},
	{
		Name:      "push.agrees",
		Rule:      "StreamIsActive and IsActive say the same",
		Why:       "KEDA activates by the stream and goes to 0 by polling: a scaler that disagrees with itself starts and stops its target in turn",
		Reference: "pkg/scaling/scale_handler.go: inactivation events are ignored",
		needs:     []string{pushOpens, activityAnswers, activityRepeatable},
		watches:   []watch{watchActive},
		run:       checkAgreement,
	},
	{
		Name:      pushReopens,
		Rule:      "a stream that is opened right after another was cancelled works as the first one did",
		Why:       "KEDA cancels and opens the stream at each change of the ScaledObject; a handler that overlooks it holds on to what the next one needs",
		Reference: "pkg/scaling/scale_handler.go: HandleScalableObject",
		needs:     []string{pushOpens},
		run:       checkReopen,
	},
}

// opens judges the first message of an observed stream.
func (p *probe) opens(ctx context.Context, w watch, optional string, describe func(message) string) Outcome {
	o := p.observations[w]
	o.opening(ctx, p.Limits.Open)
	saw := o.seen()
	messages, ended := saw.messages, saw.ended
	switch {
	case unimplemented(ended):
		return skip("%s", optional)
	case len(messages) == 0 && ended != nil:
		return fail("the stream ended before its first message", "%s", describeError(ended))
	case len(messages) == 0:
		return fail(fmt.Sprintf("nothing came within %s: send what is true when the stream opens", p.Limits.Open), "nothing for %s", round(2*p.Limits.Open))
	case messages[0].at > p.Limits.Open:
		return fail(fmt.Sprintf("the first message came later than %s", p.Limits.Open), "after %s", round(messages[0].at))
	}
	return pass("%s after %s", describe(messages[0]), round(messages[0].at))
}

func checkAgreement(ctx context.Context, p *probe) Outcome {
	if p.Unsteady {
		return skip("%s", notComparable)
	}
	messages := p.observations[watchActive].seen().messages
	state, err := p.active(ctx, nil).get()
	switch {
	case err != nil:
		return fail("IsActive failed", "%s", describeError(err))
	case len(messages) == 0:
		return skip("the stream has sent nothing")
	}
	if last := messages[len(messages)-1]; last.active != state.GetResult() {
		return fail("they say different things: is the backend in use (--unsteady)?", "the stream: %s; IsActive: %s", describeActivity(last.active), describeActivity(state.GetResult()))
	}
	return pass("%s, both", describeActivity(state.GetResult()))
}

func checkReopen(ctx context.Context, p *probe) Outcome {
	const times = 5
	var slowest time.Duration
	for range times {
		opened := call(ctx, p.Limits.Call, first(p.scaler.StreamIsActive), p.ref(nil))
		switch {
		case unimplemented(opened.err):
			return skip(noPush)
		case opened.err != nil:
			return fail("it was not opened again", "%s", describeError(opened.err))
		}
		slowest = max(slowest, opened.took)
	}
	if slowest > p.Limits.Open {
		return fail(fmt.Sprintf("its first message came later than %s", p.Limits.Open), "after %s", round(slowest))
	}
	return pass("opened and cancelled %d times, first message after at most %s", times, round(slowest))
}

// observedChecks wait for the end of Limits.Stream, and so come late.
var observedChecks = []Check{
	{
		Name:      pushStaysOpen,
		Rule:      "StreamIsActive does not end by itself",
		Why:       "KEDA waits before it opens it again: 2 s after a clean end, and after errors twice as long each time, up to a minute",
		Reference: "pkg/scalers/external_scaler.go: runStreamIsActive",
		needs:     []string{pushOpens},
		watches:   []watch{watchActive},
		run:       func(ctx context.Context, p *probe) Outcome { return p.staysOpen(ctx, watchActive, noPush) },
	},
	{
		Name:      pushRepeats,
		Rule:      "while active, StreamIsActive repeats it at least every 30 s (--repeat-max)",
		Why:       "a single true is lost while KEDA has no metric's name yet: it is dropped with a note to try again at the next one",
		Reference: "pkg/scaling/scale_handler.go: metricNameForTriggerIndex; keda#8168",
		needs:     []string{pushOpens, pushStaysOpen},
		watches:   []watch{watchActive},
		run:       checkRepeats,
	},
	{
		Name:      "push.no-flood",
		Rule:      "StreamIsActive repeats itself at most every 5 s (--repeat-min) on average",
		Why:       "each true costs KEDA a read, a lock and a patch of the ScaledObject's status, of 20 requests a second in all",
		Reference: "pkg/scaling/scale_handler.go: startPushScalers; pkg/scaling/executor/scale_scaledobjects.go: LastActiveTime",
		needs:     []string{pushOpens, pushStaysOpen},
		watches:   []watch{watchActive},
		run: func(ctx context.Context, p *probe) Outcome {
			return p.quiet(ctx, watchActive, noPush, func(a, b message) bool { return a.active == b.active })
		},
	},
	{
		Name:      "push.dead-backend",
		Rule:      "while the backend is down, StreamIsActive stays open and says nothing, or false",
		Why:       "a true would start a target for work that nobody has seen; an error would hold the activation up for as long as a minute after the backend is back",
		Reference: "pkg/scalers/external_scaler.go: runStreamIsActive",
		needs:     []string{pushOpens, pushStaysOpen},
		run:       checkDeadStream,
	},
	{
		Name:      "keda.push",
		Rule:      "the states reach KEDA through its own client",
		Why:       "its Run is what the operator runs for a trigger of type external-push",
		Reference: "pkg/scalers/external_scaler.go: func (s *externalPushScaler) Run",
		needs:     []string{pushOpens, pushStaysOpen, pushRepeats},
		watches:   []watch{watchKEDA},
		run:       checkKEDAPush,
	},
	specStaysOpenCheck, specQuietCheck,
}

// staysOpen judges whether an observed stream ended.
func (p *probe) staysOpen(ctx context.Context, w watch, optional string) Outcome {
	o := p.observations[w]
	o.wait(ctx)
	saw := o.seen()
	messages, ended, length := saw.messages, saw.ended, saw.length
	switch {
	case unimplemented(ended):
		return skip("%s", optional)
	case ended != nil:
		return fail("it ended by itself", "after %s and %d messages: %s", round(length), len(messages), describeEnd(ended))
	}
	return pass("open for %s, %d messages", round(length), len(messages))
}

// quiet judges how often an observed stream repeated itself.
func (p *probe) quiet(ctx context.Context, w watch, optional string, same func(a, b message) bool) Outcome {
	o := p.observations[w]
	o.wait(ctx)
	saw := o.seen()
	messages, ended, length := saw.messages, saw.ended, saw.length
	if unimplemented(ended) {
		return skip("%s", optional)
	}
	repeats := 0
	for i := 1; i < len(messages); i++ {
		if same(messages[i-1], messages[i]) {
			repeats++
		}
	}
	seen := fmt.Sprintf("%d repeats in %s", repeats, round(length))
	if allowed := 1 + int(length/p.Limits.RepeatMin); repeats > allowed {
		return fail(fmt.Sprintf("%d would do: repeat only while active, every 10 to 30 s", allowed), "%s", seen)
	}
	return pass("%s", seen)
}

func checkRepeats(ctx context.Context, p *probe) Outcome {
	o := p.observations[watchActive]
	o.wait(ctx)
	saw := o.seen()
	messages, ended, length := saw.messages, saw.ended, saw.length
	if unimplemented(ended) {
		return skip(noPush)
	}
	active := 0
	for _, m := range messages {
		if m.active {
			active++
		}
	}
	gap := longestWait(messages, length)
	switch {
	case active == 0:
		return skip("not judged: it was never active; let the metadata point to a backend with work waiting")
	case gap > p.Limits.RepeatMax:
		return fail(fmt.Sprintf("while active, nothing came for longer than %s", p.Limits.RepeatMax), "%s", round(gap))
	case active == 1:
		return skip("not judged: no repeat was due within %s (--stream-time, --repeat-max)", length.Round(time.Second))
	}
	return pass("%d times active in %s, at most %s apart", active, round(length), round(gap))
}

// longestWait is the longest time without a message while the state was active, from a
// message to the next one or to the end.
func longestWait(messages []message, length time.Duration) time.Duration {
	var longest time.Duration
	for i, m := range messages {
		if !m.active {
			continue
		}
		until := length
		if i+1 < len(messages) {
			until = messages[i+1].at
		}
		longest = max(longest, until-m.at)
	}
	return longest
}

func checkDeadStream(ctx context.Context, p *probe) Outcome {
	if p.DeadBackend == nil {
		return skip("%s", noDeadBackend)
	}
	o := newObservation()
	record(ctx, o, p.Limits.MaxLatency, p.ref(p.DeadBackend), p.scaler.StreamIsActive, readActive)
	saw := o.seen()
	messages, ended, length := saw.messages, saw.ended, saw.length
	for _, m := range messages {
		if m.active {
			return fail("it said that it is active", "after %s", round(m.at))
		}
	}
	if ended != nil && status.Code(ended) != codes.OK && !isEOF(ended) {
		return fail("it ended with an error: go on, and send the state once it is known", "after %s: %s", round(length), describeError(ended))
	}
	return pass("%d messages in %s, none of them true", len(messages), round(length))
}
