package scaler

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/target"
)

const (
	defaultWatchInterval = time.Second
	maxWatchInterval     = time.Hour
)

// Watch sends the answer of Explain when the stream opens and whenever it changes. It checks
// after each read of the queue, so a change of the replicas is also seen within a tick.
func (s *Service) Watch(in *inspectv1.WatchRequest, stream grpc.ServerStreamingServer[inspectv1.WatchResponse]) error {
	interval := defaultWatchInterval
	if in.MinInterval != nil {
		interval = in.GetMinInterval().AsDuration()
		if !in.GetMinInterval().IsValid() || interval < 0 || interval > maxWatchInterval {
			return invalid(fmt.Sprintf("min_interval is %s: it must be from 0s to %s", interval, maxWatchInterval))
		}
	}
	ctx := stream.Context()
	f, err := s.follow(ctx, s.inspection(ctx, in))
	if err != nil {
		return endOf(err)
	}
	defer f.close()
	var sent *inspectv1.WatchResponse
	for {
		select {
		case <-s.stopping:
			return nil
		case <-ctx.Done():
			return nil
		case <-f.subscription.Updates():
		}
		if sent != nil && s.now().Sub(sent.GetTime().AsTime()) < interval {
			continue
		}
		now := s.look(ctx, f)
		if sent != nil && proto.Equal(lasting(now), lasting(sent)) {
			continue
		}
		if err := stream.Send(now); err != nil {
			return err
		}
		sent = now
	}
}

// look is one message of Watch.
func (s *Service) look(ctx context.Context, f *followed) *inspectv1.WatchResponse {
	ctx, cancel := context.WithTimeout(ctx, handlerTimeout)
	defer cancel()
	out := &inspectv1.WatchResponse{Time: timestamppb.New(s.now())}
	explanation, err := s.explainFollowed(ctx, f)
	if err != nil {
		out.Result = &inspectv1.WatchResponse_Failure{Failure: failureMessage(err)}
		return out
	}
	out.Result = &inspectv1.WatchResponse_Explanation{Explanation: explanation}
	return out
}

// explainFollowed is the answer of Explain now. Edits of the ScaledObject are followed.
func (s *Service) explainFollowed(ctx context.Context, f *followed) (*inspectv1.ExplainResponse, error) {
	if err := endOf(f.look(ctx)); err != nil {
		return nil, err
	}
	state, err := s.settledOnce(ctx, f)
	if err != nil {
		return nil, err
	}
	e, err := s.evaluateIn(ctx, f.request, state)
	if err != nil {
		return nil, err
	}
	return s.explanation(f.request, e)
}

// settledOnce is settled, but it waits once for each number of replicas: if somebody else has scaled, the HPA tells nothing of it
// until its next sync, and the depth is news meanwhile. Once the HPA has told, the next scaling is waited for, also one to the same number.
func (s *Service) settledOnce(ctx context.Context, f *followed) (target.State, error) {
	state, err := s.state(ctx, f.request)
	if err == nil && state.Unsettled && state.Replicas != f.unsettled {
		state, err = s.settled(ctx, f.request)
	}
	switch {
	case err != nil:
	case state.Unsettled:
		f.unsettled = state.Replicas
	default:
		f.unsettled = 0
	}
	return state, err
}

// lasting is the message without fields that change all the time: if it differs, there is news.
func lasting(message *inspectv1.WatchResponse) *inspectv1.WatchResponse {
	clone := proto.CloneOf(message)
	clone.Time = nil
	if e := clone.GetExplanation(); e != nil {
		inspect.DropCounting(e)
	}
	return clone
}

func failureMessage(err error) *inspectv1.Failure {
	st := status.Convert(err)
	reason, _ := inspect.ReasonOf(st)
	return inspect.Failure(st.Code(), reason, st.Message())
}
