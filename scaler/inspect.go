package scaler

import (
	"context"
	"fmt"
	"strings"
	"time"

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
		if state, err = s.settled(ctx, r); err != nil {
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
		return reading{kind: r.queues[0].Kind, ready: in.GetQueueDepth(), at: s.now(), given: true}, nil
	}
	return s.read(ctx, r)
}

func (s *Service) explanation(r *request, e evaluation) (*inspectv1.ExplainResponse, error) {
	e.Reading.Keys, e.Reading.Remarks = keyDepths(e.reading), r.told(e.reading.remarks())
	e.Reading.ConcurrencyRemark = e.reading.busy.concurrencyRemark(r.trigger.Policy, e.Target.Replicas, e.Target.LastScale, e.Now)
	e.Fallback = r.told(e.Fallback)
	out, err := e.Response()
	if err != nil {
		return nil, fault("explain: %v", err)
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
