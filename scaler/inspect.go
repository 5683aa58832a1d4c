package scaler

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/scaler/target"
)

// Explain makes the same decision as GetMetrics and shows how. What the request overrides is
// not read, so with all three overrides it needs neither the cluster nor the queue.
func (s *Service) Explain(ctx context.Context, in *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
	if err := checkOverrides(in); err != nil {
		return nil, err
	}
	q := s.inspection(ctx, in)
	q.configuration = in.QueueDepth != nil
	r, err := s.resolve(ctx, q)
	if err != nil {
		return nil, err
	}
	state, err := s.stateOr(ctx, r, in)
	if err != nil {
		return nil, err
	}
	read, err := s.readOr(ctx, r, in)
	if err != nil {
		return nil, err
	}
	e := s.decide(r, read, state)
	traceDecision(ctx, r, e)
	return s.explanation(r, e)
}

// inspection is a question to the Inspector. The controller's metadata counts as it is, because
// the controller also asks about channels that have no ScaledObject.
func (s *Service) inspection(ctx context.Context, in interface {
	GetNamespace() string
	GetName() string
	GetScalerMetadata() map[string]string
}) question {
	is := s.callerOf(ctx)
	return question{
		namespace: in.GetNamespace(), name: in.GetName(), metadata: in.GetScalerMetadata(),
		caller: is, believed: is&controller != 0,
	}
}

func checkOverrides(in *inspectv1.ExplainRequest) error {
	if in.QueueDepth != nil && in.GetQueueDepth() < 0 {
		return invalid(fmt.Sprintf("queue_depth is %d: it must not be negative", in.GetQueueDepth()))
	}
	if in.Replicas != nil && (in.GetReplicas() < 0 || in.GetReplicas() > policy.MaxReplicasLimit) {
		return invalid(fmt.Sprintf("replicas is %d: it must be from 0 to %d", in.GetReplicas(), policy.MaxReplicasLimit))
	}
	if in.LastScaleTime != nil && !in.GetLastScaleTime().IsValid() {
		return invalid("last_scale_time is not a valid time")
	}
	return nil
}

// stateOr is the target's state with the request's overrides.
func (s *Service) stateOr(ctx context.Context, r *request, in *inspectv1.ExplainRequest) (target.State, error) {
	state := target.State{ToleranceHonoured: true}
	if in.Replicas == nil || in.LastScaleTime == nil {
		var err error
		if state, err = s.state(ctx, r); err != nil {
			return target.State{}, err
		}
	}
	if in.Replicas != nil {
		state.Replicas = in.GetReplicas()
	}
	if last := in.GetLastScaleTime(); last != nil {
		state.LastScale = time.Time{}
		if last.GetSeconds() > 0 { // the epoch means never
			state.LastScale = last.AsTime()
		}
	}
	return state, nil
}

// readOr is the reading of the queues, or the overridden depth.
func (s *Service) readOr(ctx context.Context, r *request, in *inspectv1.ExplainRequest) (reading, error) {
	if in.QueueDepth != nil {
		return reading{kind: r.queues[0].Kind, ready: in.GetQueueDepth(), at: s.now()}, nil
	}
	return s.read(ctx, r)
}

func (s *Service) explanation(r *request, e evaluation) (*inspectv1.ExplainResponse, error) {
	d := e.decision
	action, told := actions[d.Action]
	reason, why := reasons[d.Reason]
	if !told || !why {
		return nil, fault("tell action %d for reason %q", d.Action, d.Reason)
	}
	out := &inspectv1.ExplainResponse{
		QueueDepth:        e.reading.depth(),
		Ready:             e.reading.ready,
		InFlight:          e.reading.inFlight,
		DepthIsLowerBound: e.reading.lowerBound,
		QueueType:         string(e.reading.kind),
		SampleAge:         durationpb.New(max(0, s.now().Sub(e.reading.at))),
		Replicas:          d.Replicas,
		DesiredReplicas:   d.Desired,
		Action:            action,
		Reason:            reason,
		Explanation:       d.Text + r.told(e.reading.remarks()),
		LowerBound:        d.LowerBound,
		UpperBound:        d.UpperBound,
		Active:            d.Active,
		MetricValue:       e.value(r.trigger.Policy),
		TargetQueueDepth:  float64(r.trigger.Policy.TargetQueueDepth),
		ToleranceHonoured: e.state.ToleranceHonoured,
		MessageRate:       e.reading.rate,

		LastingExplanation: d.LastingText + r.told(e.reading.remarks()),
		Arithmetic:         d.Arithmetic,
		Policy:             policyMessage(r.trigger.Policy),
		Keys:               keyDepths(e.reading),

		MessageRateIsLowerBound: e.reading.rateLowerBound,
	}
	e.tellBusy(out, r.trigger.Policy, s.now())
	out.FallbackReason = r.told(out.FallbackReason)
	if !e.reading.oldest.IsZero() {
		out.OldestAge = durationpb.New(e.reading.oldestAge(s.now()))
	}
	if d.CooldownLeft > 0 {
		out.CooldownLeft = durationpb.New(d.CooldownLeft)
	}
	if !e.state.LastScale.IsZero() {
		out.LastScaleTime = timestamppb.New(e.state.LastScale)
	}
	return out, nil
}

// remarks is what there is to know of the queues besides their depths, after a decision's words.
func (r reading) remarks() string {
	words := ""
	for _, sample := range r.samples {
		if sample.Remark != "" && !strings.Contains(words, sample.Remark) {
			words += "; " + sample.Remark
		}
	}
	return words
}

func keyDepths(r reading) []*inspectv1.KeyDepth {
	keys := make([]*inspectv1.KeyDepth, len(r.samples))
	for i, sample := range r.samples {
		keys[i] = &inspectv1.KeyDepth{Key: r.queues[i].Key, QueueType: string(sample.Kind), Ready: sample.Ready, InFlight: sample.InFlight}
	}
	return keys
}

func policyMessage(spec policy.Spec) *inspectv1.Policy {
	message := &inspectv1.Policy{
		MinReplicas:          spec.MinReplicas,
		MaxReplicas:          spec.MaxReplicas,
		TargetQueueDepth:     spec.TargetQueueDepth,
		ScaleUpThreshold:     spec.ScaleUpThreshold,
		ScaleDownThreshold:   spec.ScaleDownThreshold,
		CooldownPeriod:       durationpb.New(spec.Cooldown),
		ActivationQueueDepth: spec.ActivationQueueDepth,
		MaxScaleUpStep:       spec.MaxScaleUpStep.String(),
		MaxScaleDownStep:     spec.MaxScaleDownStep.String(),
		Policy:               string(cmp.Or(spec.Policy, policy.ByThreshold)),
		WorkerConcurrency:    spec.WorkerConcurrency,
	}
	if spec.Policy == policy.ByUtilization {
		u := spec.UtilizationOrDefault()
		message.WorkerConcurrency = max(1, spec.WorkerConcurrency)
		message.UtilizationTarget, message.UtilizationScaleUp, message.UtilizationScaleDown = u.Target, u.ScaleUp, u.ScaleDown
		message.UtilizationWindow = durationpb.New(u.Window)
	}
	if spec.MaxAge > 0 {
		message.MaxAge = durationpb.New(spec.MaxAge)
	}
	return message
}

var actions = map[policy.Action]inspectv1.Action{
	policy.Hold:      inspectv1.Action_ACTION_HOLD,
	policy.ScaleUp:   inspectv1.Action_ACTION_SCALE_UP,
	policy.ScaleDown: inspectv1.Action_ACTION_SCALE_DOWN,
}

var reasons = map[policy.Reason]inspectv1.Reason{
	policy.WithinBand:                 inspectv1.Reason_REASON_WITHIN_BAND,
	policy.AboveUpperBound:            inspectv1.Reason_REASON_ABOVE_UPPER_BOUND,
	policy.BelowLowerBound:            inspectv1.Reason_REASON_BELOW_LOWER_BOUND,
	policy.Cooldown:                   inspectv1.Reason_REASON_COOLDOWN,
	policy.AtMaxReplicas:              inspectv1.Reason_REASON_AT_MAX_REPLICAS,
	policy.AtMinReplicas:              inspectv1.Reason_REASON_AT_MIN_REPLICAS,
	policy.FewerWouldExceedUpperBound: inspectv1.Reason_REASON_FEWER_WOULD_EXCEED_UPPER_BOUND,
	policy.Activation:                 inspectv1.Reason_REASON_ACTIVATION,
	policy.Idle:                       inspectv1.Reason_REASON_IDLE,
	policy.OutsideLimits:              inspectv1.Reason_REASON_OUTSIDE_LIMITS,
	policy.AboveMaxAge:                inspectv1.Reason_REASON_ABOVE_MAX_AGE,
	policy.DepthUncertain:             inspectv1.Reason_REASON_DEPTH_UNCERTAIN,
	policy.AboveUtilization:           inspectv1.Reason_REASON_ABOVE_UTILIZATION,
	policy.WorkersBusy:                inspectv1.Reason_REASON_WORKERS_BUSY,
	policy.WindowIncomplete:           inspectv1.Reason_REASON_WINDOW_INCOMPLETE,
}
