package serve

import (
	"context"
	"fmt"
	"time"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/replay"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/decide"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
)

// do does what a page asks for. Its errors are for people.
func (s *session) do(ctx context.Context, r protocol.Request) (protocol.Answer, error) {
	switch r.Kind {
	case protocol.KindClose:
		s.leave()
		return protocol.Answer{}, nil
	case protocol.KindPing:
		return protocol.Answer{}, nil
	case protocol.KindOpen, protocol.KindWhatIf, protocol.KindReplay:
	default:
		return protocol.Answer{}, fmt.Errorf("the request is of kind %q: this plugin knows %s, %s, %s and %s: reload the page", r.Kind,
			protocol.KindOpen, protocol.KindClose, protocol.KindWhatIf, protocol.KindReplay)
	}
	known, older, found := s.fleet.Past(r.Key)
	if !found {
		return protocol.Answer{}, fmt.Errorf("there is no PubSubChannel %q here: it may have been deleted meanwhile, or you may not read it any more", r.Key)
	}
	now := s.server.options.Now()
	switch r.Kind {
	case protocol.KindOpen:
		s.follow(ctx, r.Key)
		return protocol.Answer{}, nil
	case protocol.KindWhatIf:
		decision, err := whatIf(known.Channel, r.WhatIf, now)
		if err == nil && !known.Unheard.IsZero() {
			decision.Unheard = &known.Unheard
		}
		return protocol.Answer{Decision: decision}, err
	default:
		request := protocol.ReplayRequest{}
		if r.Replay != nil {
			request = *r.Replay
		}
		past := replay.Past{Channel: known.Channel, Points: known.Points, Older: older, Marks: known.Marks, To: now.UTC().Truncate(time.Millisecond)}
		result, err := s.server.replay(ctx, past, request)
		return protocol.Answer{Replay: result}, err
	}
}

// longestSince bounds how long ago a scaling may have been, in seconds: more than any cooldown.
const longestSince = 366 * 24 * 3600

// whatIf is the decision with what a page sets in place of what is so.
func whatIf(channel *v1.PubSubChannel, ask *protocol.WhatIfRequest, now time.Time) (*protocol.Decision, error) {
	with := decide.Overrides{}
	if ask != nil {
		with = decide.Overrides{QueueDepth: ask.Depth, Replicas: ask.Replicas, Changes: ask.Changes}
		if since := ask.SinceScale; since != nil {
			if *since > longestSince {
				return nil, fmt.Errorf("the last scaling was %g s ago: it must be at most %d s, or negative for never", *since, longestSince)
			}
			last := time.Time{}
			if *since >= 0 {
				last = now.Add(-time.Duration(*since * float64(time.Second)))
			}
			with.LastScale = &last
		}
	}
	return decisionOf(channel, with, now)
}

// actions are the names of the API for what the scaler's contract has.
var actions = map[inspectv1.Action]v1.ScalingAction{
	inspectv1.Action_ACTION_HOLD:       v1.ScalingHold,
	inspectv1.Action_ACTION_SCALE_UP:   v1.ScalingUp,
	inspectv1.Action_ACTION_SCALE_DOWN: v1.ScalingDown,
}

// decisionOf decides about a channel by the policy's own code.
func decisionOf(channel *v1.PubSubChannel, with decide.Overrides, now time.Time) (*protocol.Decision, error) {
	r, err := decide.Explain(channel, with, now)
	if err != nil {
		return nil, err
	}
	d := &protocol.Decision{
		Action: string(actions[r.GetAction()]), Reason: inquiry.ReasonName(r.GetReason()), Words: r.GetLastingExplanation(), Arithmetic: r.GetArithmetic(),
		Replicas: r.GetReplicas(), Desired: r.GetDesiredReplicas(), Depth: r.GetQueueDepth(), AtLeast: r.GetDepthIsLowerBound(), Waiting: r.GetReady(),
		LowerBound: r.GetLowerBound(), UpperBound: r.GetUpperBound(), Cooldown: r.GetPolicy().GetCooldownPeriod().AsDuration().Seconds(),
		Active: r.GetActive(), Policy: r.GetPolicyInUse(), Busy: r.Busy, Time: now.UTC().Truncate(time.Millisecond), //nolint:protogetter // absent is not 0
	}
	if r.GetInFlightKnown() {
		d.InFlight = new(r.GetInFlight())
	}
	if slots := r.GetSlots(); slots > 0 {
		d.Slots = &slots
	}
	if last := r.GetLastScaleTime(); last != nil && last.AsTime().Unix() > 0 {
		d.LastScale = new(last.AsTime())
		if r.GetCooldownLeft().AsDuration() > 0 {
			d.CooledDown = new(last.AsTime().Add(r.GetPolicy().GetCooldownPeriod().AsDuration()))
		}
	}
	if observed := channel.Status.Decision; observed != nil && with.QueueDepth == nil {
		d.Time = observed.ObservedTime.UTC()
	}
	return d, nil
}
