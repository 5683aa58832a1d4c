package scaler

import (
	"context"
	"fmt"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// GetMetricSpec returns the target per replica. It reads only configuration, never the queue's
// server: if it failed, KEDA would never apply the ScaledObject's fallback (keda#8056).
func (s *Service) GetMetricSpec(ctx context.Context, ref *externalscaler.ScaledObjectRef) (*externalscaler.GetMetricSpecResponse, error) {
	r, err := s.resolve(ctx, s.configurationOf(ctx, ref))
	if err != nil {
		return nil, err
	}
	return metricSpec(r), nil
}

// questionOf is a question of KEDA: about a ScaledObject, with the trigger's metadata.
func (s *Service) questionOf(ctx context.Context, ref *externalscaler.ScaledObjectRef) question {
	return question{namespace: ref.GetNamespace(), name: ref.GetName(), metadata: ref.GetScalerMetadata(), caller: s.callerOf(ctx)}
}

// configurationOf is a question of KEDA about the configuration alone.
func (s *Service) configurationOf(ctx context.Context, ref *externalscaler.ScaledObjectRef) question {
	q := s.questionOf(ctx, ref)
	q.configuration = true
	return q
}

func metricSpec(r *request) *externalscaler.GetMetricSpecResponse {
	return &externalscaler.GetMetricSpecResponse{MetricSpecs: []*externalscaler.MetricSpec{{
		MetricName: MetricName,
		// targetSize, the deprecated integer, stays 0: KEDA would use it only without this.
		TargetSizeFloat: float64(r.trigger.Policy.TargetQueueDepth),
	}}}
}

// GetMetrics returns desired replicas × target, from which the HPA computes the replicas. It
// returns one value, because KEDA would add several.
func (s *Service) GetMetrics(ctx context.Context, in *externalscaler.GetMetricsRequest) (*externalscaler.GetMetricsResponse, error) {
	if name := in.GetMetricName(); name != "" && name != MetricName {
		return nil, invalid(fmt.Sprintf("metricName is %q: the only metric is %q", name, MetricName))
	}
	r, err := s.resolveForKEDA(ctx, s.questionOf(ctx, in.GetScaledObjectRef()))
	if err != nil {
		return nil, err
	}
	e, err := s.evaluateForKEDA(ctx, r)
	if err != nil {
		return nil, err
	}
	return &externalscaler.GetMetricsResponse{MetricValues: []*externalscaler.MetricValue{{
		MetricName:       MetricName,
		MetricValueFloat: e.Value(),
	}}}, nil
}

// IsActive uses the same sample as GetMetrics. KEDA calls both, one after the other, and
// discards the metrics if this call fails.
func (s *Service) IsActive(ctx context.Context, ref *externalscaler.ScaledObjectRef) (*externalscaler.IsActiveResponse, error) {
	r, err := s.resolveForKEDA(ctx, s.questionOf(ctx, ref))
	if err != nil {
		return nil, err
	}
	e, err := s.evaluateForKEDA(ctx, r)
	if err != nil {
		return nil, err
	}
	return &externalscaler.IsActiveResponse{Result: e.Decision.Active}, nil
}

// StreamIsActive sends the state when the stream opens, whenever it changes, and every
// pushInterval while it is active. While the queue can't be read, it sends nothing. It ends
// with an error if the caller may not ask, or not any more because the ScaledObject was edited
// or deleted. KEDA then opens another stream, or none.
func (s *Service) StreamIsActive(ref *externalscaler.ScaledObjectRef, stream grpc.ServerStreamingServer[externalscaler.IsActiveResponse]) error {
	ctx := stream.Context()
	f, err := s.follow(ctx, s.questionOf(ctx, ref))
	if err != nil {
		return endOf(err)
	}
	defer f.close()
	var sent, active bool
	var sentAt time.Time
	for {
		select {
		case <-s.stopping:
			return nil
		case <-ctx.Done():
			return nil
		case <-f.subscription.Updates():
		}
		if err := f.look(ctx); err != nil {
			return endOf(err)
		}
		now, waiting, err := s.active(ctx, f.request)
		if err != nil {
			continue
		}
		f.subscription.Await(waiting)
		repeat := now && s.now().Sub(sentAt) >= s.pushInterval
		if sent && now == active && !repeat {
			continue
		}
		if err := stream.Send(&externalscaler.IsActiveResponse{Result: now}); err != nil {
			return err
		}
		sent, active, sentAt = true, now, s.now()
	}
}

// active reports whether the target is active, and whether it is at 0 replicas and waits for the
// message that wakes it.
func (s *Service) active(ctx context.Context, r *request) (active, waiting bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, handlerTimeout)
	defer cancel()
	e, err := s.evaluateForKEDA(ctx, r)
	return e.Decision.Active, e.Decision.Replicas == 0 && !e.Decision.Active, err
}

// StreamMetricSpec sends the specs when the stream opens and whenever they change, so
// GetMetricSpec always equals what was sent last.
func (s *Service) StreamMetricSpec(ref *externalscaler.ScaledObjectRef, stream grpc.ServerStreamingServer[externalscaler.GetMetricSpecResponse]) error {
	ctx := stream.Context()
	q := s.configurationOf(ctx, ref)
	ticker := time.NewTicker(s.pushInterval)
	defer ticker.Stop()
	var sent *externalscaler.GetMetricSpecResponse
	for {
		r, err := s.resolveBounded(ctx, q)
		if err != nil {
			return err
		}
		if now := metricSpec(r); sent == nil || !proto.Equal(now, sent) {
			if err := stream.Send(now); err != nil {
				return err
			}
			sent = now
		}
		select {
		case <-s.stopping:
			return nil
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
