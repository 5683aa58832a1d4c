package model

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
)

func reflectionv1(server *grpc.Server, service reflectionpb.ServerReflectionServer) {
	reflectionpb.RegisterServerReflectionServer(server, service)
}

// pushWhileUp replaces what the stream does while the backend is up.
func pushWhileUp(push func(*Scaler, stateStream) error) func(*Scaler) {
	return func(s *Scaler) {
		s.PushActive = func(r ref, stream stateStream) error {
			if down(r) {
				return s.pushActive(r, stream)
			}
			return push(s, stream)
		}
	}
}

// pushWhileDown replaces what the stream does while the backend is down.
func pushWhileDown(push func(*Scaler, stateStream) error) func(*Scaler) {
	return func(s *Scaler) {
		s.PushActive = func(r ref, stream stateStream) error {
			if down(r) {
				return push(s, stream)
			}
			return s.pushActive(r, stream)
		}
	}
}

func sendOnce(stream stateStream, active bool) error {
	return stream.Send(&externalscaler.IsActiveResponse{Result: active})
}

// endAfter sends the state and ends soon after, with an error or without.
func endAfter(end error) func(*Scaler, stateStream) error {
	return func(_ *Scaler, stream stateStream) error {
		if err := sendOnce(stream, true); err != nil {
			return err
		}
		pause(stream.Context(), 300*time.Millisecond)
		return end
	}
}

var pushFaults = map[string]Fault{
	"nothing on opening": {"push.opens", pushWhileUp(func(s *Scaler, stream stateStream) error { return s.hold(stream.Context()) })},
	"stream that disagrees": {"push.agrees", pushWhileUp(func(s *Scaler, stream stateStream) error {
		if err := sendOnce(stream, false); err != nil {
			return err
		}
		return s.hold(stream.Context())
	})},
	"streams that are never given back": {"push.reopens", func(s *Scaler) {
		var opened atomic.Int64
		pushWhileUp(func(s *Scaler, stream stateStream) error {
			if opened.Add(1) > 4 {
				return s.hold(stream.Context())
			}
			return s.repeat(stream, interval)
		})(s)
	}},
	"stream that ends with an error":    {"push.stays-open", pushWhileUp(endAfter(status.Error(codes.Unavailable, "lost")))},
	"stream that ends without an error": {"push.stays-open", pushWhileUp(endAfter(nil))},
	"state sent once": {"push.repeats", pushWhileUp(func(s *Scaler, stream stateStream) error {
		if err := sendOnce(stream, true); err != nil {
			return err
		}
		return s.hold(stream.Context())
	})},
	"flood of states":            {"push.no-flood", pushWhileUp(func(s *Scaler, stream stateStream) error { return s.repeat(stream, 10*time.Millisecond) })},
	"active with a dead backend": {"push.dead-backend", pushWhileDown(func(s *Scaler, stream stateStream) error { return s.repeat(stream, interval) })},
	"stream that ends with the backend": {"push.dead-backend", pushWhileDown(func(*Scaler, stateStream) error {
		return status.Error(codes.Unavailable, "the backend is down")
	})},
}

var specStreamFaults = map[string]Fault{
	"no specs on opening": {"spec-stream.opens", func(s *Scaler) {
		s.PushSpec = func(_ ref, stream specStream) error { return s.hold(stream.Context()) }
	}},
	"other specs by stream": {"spec-stream.equals", func(s *Scaler) {
		s.PushSpec = func(r ref, stream specStream) error {
			response, err := s.spec(stream.Context(), r)
			if err != nil {
				return err
			}
			response.MetricSpecs[0].TargetSizeFloat++
			if err := stream.Send(response); err != nil {
				return err
			}
			return s.hold(stream.Context())
		}
	}},
	"spec stream that ends": {"spec-stream.stays-open", func(s *Scaler) {
		s.PushSpec = func(r ref, stream specStream) error {
			ctx, cancel := context.WithTimeout(stream.Context(), 300*time.Millisecond)
			defer cancel()
			return s.pushSpec(r, shortened{stream, ctx})
		}
	}},
	"flood of specs": {"spec-stream.quiet", func(s *Scaler) {
		s.PushSpec = func(r ref, stream specStream) error {
			for stream.Context().Err() == nil {
				ctx, cancel := context.WithTimeout(stream.Context(), 10*time.Millisecond)
				err := s.pushSpec(r, shortened{stream, ctx})
				cancel()
				if err != nil || s.stopped() {
					return err
				}
			}
			return nil
		}
	}},
}

// shortened is a stream with a context of its own.
type shortened struct {
	specStream
	ctx context.Context
}

func (s shortened) Context() context.Context { return s.ctx }

func (s *Scaler) stopped() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

var shutdownFaults = map[string]Fault{
	"server stopped under the streams": {"shutdown.streams", func(s *Scaler) { s.Shutdown = func(s *Scaler) { s.grpc.Stop() } }},
	"streams open for ever":            {"shutdown.streams", func(s *Scaler) { s.Shutdown = func(s *Scaler) { s.grpc.GracefulStop() } }},
	"error on shutdown": {"shutdown.streams", func(s *Scaler) {
		s.PushActive = func(r ref, stream stateStream) error {
			err := s.pushActive(r, stream)
			if s.stopped() {
				return status.Error(codes.Unavailable, "shutting down")
			}
			return err
		}
	}},
}
