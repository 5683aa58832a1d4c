// Package scaler answers KEDA (service externalscaler.ExternalScaler) and people who ask
// why (service pubsub.inspect.v1.Inspector). It joins the rooms below it and holds no
// state of its own: every replica of the scaler gives the same answer, and a restart
// forgets nothing.
package scaler

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/scaler/target"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
)

// MetricName is the name of the one metric. KEDA puts "s<index>-" before it, and takes it
// off again before it calls (KEDA 2.21, pkg/scalers/external_scaler.go).
const MetricName = "pubsub-queue-depth"

// Targets tells about ScaledObjects and their targets; *target.Cluster is the real one.
type Targets interface {
	Metadata(ctx context.Context, namespace, name string, ours func(map[string]string) bool) (map[string]string, error)
	State(ctx context.Context, namespace, name string) (target.State, error)
}

// Service implements both gRPC services.
type Service struct {
	externalscaler.UnimplementedExternalScalerServer
	inspectv1.UnimplementedInspectorServer

	pool    *broker.Pool
	targets Targets // nil: --without-cluster
	now     func() time.Time
	logger  *slog.Logger
	// pushInterval is how often an active state is repeated: a single "true" can be lost
	// while KEDA has no metric name yet (keda#8168), and each costs KEDA a status patch.
	pushInterval time.Duration

	stopOnce sync.Once
	stopping chan struct{}
}

// Options configure a Service.
type Options struct {
	Pool *broker.Pool
	// Targets is nil for a scaler without a cluster: replicas and the last scale time then
	// come from the metadata keys currentReplicas and lastScaleTime.
	Targets      Targets
	Now          func() time.Time // default time.Now
	Logger       *slog.Logger     // default: none
	PushInterval time.Duration    // default 15 s
}

// New returns a service; Stop ends its streams.
func New(options Options) *Service {
	s := &Service{
		pool:         options.Pool,
		targets:      options.Targets,
		now:          options.Now,
		logger:       options.Logger,
		pushInterval: options.PushInterval,
		stopping:     make(chan struct{}),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.pushInterval == 0 {
		s.pushInterval = 15 * time.Second
	}
	return s
}

// Stop ends every stream with nil. KEDA takes that for a normal end and comes back after
// 2 s; an error would double its back-off up to 60 s. Stop the gRPC server after it.
func (s *Service) Stop() { s.stopOnce.Do(func() { close(s.stopping) }) }

// request is a call's ScaledObject with its trigger read.
type request struct {
	namespace, name string
	trigger         trigger.Trigger
}

// resolve reads the trigger of a call: from the metadata that KEDA sends along or, where
// there is none (somebody asks by hand), from the ScaledObject itself.
func (s *Service) resolve(ctx context.Context, namespace, name string, metadata map[string]string) (request, error) {
	if len(metadata) == 0 {
		if s.targets == nil {
			return request{}, invalid("scalerMetadata is empty, and without a cluster (--without-cluster) there is no ScaledObject to read it from: send at least channelName")
		}
		if name == "" || namespace == "" {
			return request{}, invalid("name and namespace must name a ScaledObject, or scalerMetadata must hold its trigger's metadata")
		}
		var err error
		if metadata, err = s.targets.Metadata(ctx, namespace, name, ours); err != nil {
			return request{}, clusterError(err)
		}
		if keys := trigger.FromEnv(metadata); len(keys) > 0 {
			return request{}, invalid(fmt.Sprintf("the ScaledObject's trigger has %s: KEDA alone knows the target's environment, so send scalerMetadata with the values", strings.Join(keys, ", ")))
		}
	}
	t, err := trigger.Parse(metadata)
	if err != nil {
		return request{}, invalid(err.Error())
	}
	if s.targets != nil && (t.CurrentReplicas != nil || t.LastScaleTime != nil) {
		return request{}, invalid("currentReplicas and lastScaleTime are for a scaler without a cluster (--without-cluster): leave them out")
	}
	return request{namespace: namespace, name: name, trigger: t}, nil
}

// resolveBounded is resolve for a stream, which has no deadline of its own.
func (s *Service) resolveBounded(ctx context.Context, namespace, name string, metadata map[string]string) (request, error) {
	ctx, cancel := context.WithTimeout(ctx, handlerTimeout)
	defer cancel()
	return s.resolve(ctx, namespace, name, metadata)
}

// ours tells our trigger from those of other external scalers.
func ours(metadata map[string]string) bool { return metadata[trigger.KeyChannelName] != "" }

// state reads the target's state.
func (s *Service) state(ctx context.Context, r request) (target.State, error) {
	if s.targets == nil {
		if r.trigger.CurrentReplicas == nil {
			return target.State{}, invalid("currentReplicas is missing: without a cluster (--without-cluster) the metadata must tell the replicas")
		}
		state := target.State{Replicas: *r.trigger.CurrentReplicas, ToleranceHonoured: true}
		if r.trigger.LastScaleTime != nil {
			state.LastScale = *r.trigger.LastScaleTime
		}
		return state, nil
	}
	if r.name == "" || r.namespace == "" {
		return target.State{}, invalid("name and namespace are missing: they must name a ScaledObject")
	}
	state, err := s.targets.State(ctx, r.namespace, r.name)
	if err != nil {
		return target.State{}, clusterError(err)
	}
	return state, nil
}

// evaluation is everything that an answer is made from.
type evaluation struct {
	reading  reading
	state    target.State
	decision policy.Decision
}

// evaluate reads the depth and the target's state, and decides.
func (s *Service) evaluate(ctx context.Context, r request) (evaluation, error) {
	state, err := s.state(ctx, r)
	if err != nil {
		return evaluation{}, err
	}
	read, err := s.read(ctx, r)
	if err != nil {
		return evaluation{}, err
	}
	return s.decide(r, read, state), nil
}

func (s *Service) decide(r request, read reading, state target.State) evaluation {
	now := s.now()
	return evaluation{
		reading: read,
		state:   state,
		decision: policy.Decide(r.trigger.Policy, policy.State{
			Replicas:  state.Replicas,
			Depth:     read.depth(),
			AtLeast:   read.atLeast,
			OldestAge: read.oldestAge(now),
			LastScale: state.LastScale,
			Now:       now,
		}),
	}
}

// value is what GetMetrics answers.
func (e evaluation) value(spec policy.Spec) float64 {
	return float64(spec.MetricValue(e.decision, e.state.ToleranceHonoured))
}
