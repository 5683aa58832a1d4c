package scaler

import (
	"context"
	"fmt"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// GetMetricSpec tells KEDA the target per replica. It is configuration alone and never
// touches the queue's server: its failure would keep the ScaledObject's fallback from
// ever counting (keda#8056).
func (s *Service) GetMetricSpec(ctx context.Context, ref *externalscaler.ScaledObjectRef) (*externalscaler.GetMetricSpecResponse, error) {
	r, err := s.resolve(ctx, ref.GetNamespace(), ref.GetName(), ref.GetScalerMetadata())
	if err != nil {
		return nil, err
	}
	return metricSpec(r), nil
}

func metricSpec(r request) *externalscaler.GetMetricSpecResponse {
	return &externalscaler.GetMetricSpecResponse{MetricSpecs: []*externalscaler.MetricSpec{{
		MetricName: MetricName,
		// targetSize, the deprecated integer, stays 0: KEDA would use it only without this.
		TargetSizeFloat: float64(r.trigger.Policy.TargetQueueDepth),
	}}}
}

// GetMetrics answers desired replicas × target, from which the HPA computes the replicas.
// KEDA adds several values up, so there is one.
func (s *Service) GetMetrics(ctx context.Context, in *externalscaler.GetMetricsRequest) (*externalscaler.GetMetricsResponse, error) {
	if name := in.GetMetricName(); name != "" && name != MetricName {
		return nil, invalid(fmt.Sprintf("metricName is %q: the only metric is %q", name, MetricName))
	}
	ref := in.GetScaledObjectRef()
	r, err := s.resolve(ctx, ref.GetNamespace(), ref.GetName(), ref.GetScalerMetadata())
	if err != nil {
		return nil, err
	}
	e, err := s.evaluate(ctx, r)
	if err != nil {
		return nil, err
	}
	return &externalscaler.GetMetricsResponse{MetricValues: []*externalscaler.MetricValue{{
		MetricName:       MetricName,
		MetricValueFloat: e.value(r.trigger.Policy),
	}}}, nil
}

// IsActive answers from the same sample as GetMetrics, because KEDA calls both, one after
// the other, and throws the metrics away where this fails.
func (s *Service) IsActive(ctx context.Context, ref *externalscaler.ScaledObjectRef) (*externalscaler.IsActiveResponse, error) {
	r, err := s.resolve(ctx, ref.GetNamespace(), ref.GetName(), ref.GetScalerMetadata())
	if err != nil {
		return nil, err
	}
	e, err := s.evaluate(ctx, r)
	if err != nil {
		return nil, err
	}
	return &externalscaler.IsActiveResponse{Result: e.decision.Active}, nil
}

// StreamIsActive sends the state when the stream opens, at each edge, and every
// pushInterval while it is active. While the queue can't be read it sends nothing.
func (s *Service) StreamIsActive(ref *externalscaler.ScaledObjectRef, stream grpc.ServerStreamingServer[externalscaler.IsActiveResponse]) error {
	ctx := stream.Context()
	r, err := s.resolveBounded(ctx, ref.GetNamespace(), ref.GetName(), ref.GetScalerMetadata())
	if err != nil {
		return err
	}
	subscription, err := s.pool.For(r.namespace).Subscribe(s.server(r), r.queues()...)
	if err != nil {
		return nil // shutting down
	}
	defer subscription.Close()
	var sent, active bool
	var sentAt time.Time
	for {
		select {
		case <-s.stopping:
			return nil
		case <-ctx.Done():
			return nil
		case <-subscription.Updates():
		}
		now, waiting, err := s.active(ctx, r)
		if err != nil {
			continue
		}
		subscription.Await(waiting)
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

// active tells whether the target is active, and whether it sleeps at 0 replicas and waits
// for the message that wakes it.
func (s *Service) active(ctx context.Context, r request) (active, waiting bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, handlerTimeout)
	defer cancel()
	e, err := s.evaluate(ctx, r)
	return e.decision.Active, e.decision.Replicas == 0 && !e.decision.Active, err
}

// StreamMetricSpec sends the specs when the stream opens, and again when they change, so
// that GetMetricSpec always equals what was sent last. KEDA sends the trigger's metadata
// along, which is fixed for the stream's life: KEDA opens another when the ScaledObject
// changes. Only a stream opened by name alone can see a change.
func (s *Service) StreamMetricSpec(ref *externalscaler.ScaledObjectRef, stream grpc.ServerStreamingServer[externalscaler.GetMetricSpecResponse]) error {
	ctx := stream.Context()
	var changes <-chan time.Time
	if len(ref.GetScalerMetadata()) == 0 {
		ticker := time.NewTicker(s.pushInterval)
		defer ticker.Stop()
		changes = ticker.C
	}
	var sent *externalscaler.GetMetricSpecResponse
	for {
		r, err := s.resolveBounded(ctx, ref.GetNamespace(), ref.GetName(), ref.GetScalerMetadata())
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
		case <-changes:
		}
	}
}
