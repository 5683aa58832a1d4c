package scaler

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/explanation"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
	"github.com/jawaracloud/pubsub-operator/scaler/target"
)

// MetricName is the name of the only metric. KEDA prefixes it with "s<index>-", and removes the
// prefix before it calls (KEDA 2.21, pkg/scalers/external_scaler.go).
const MetricName = "pubsub-queue-depth"

// Targets reads ScaledObjects and their targets; *target.Cluster reads them from the cluster.
type Targets interface {
	Find(ctx context.Context, namespace, name string) (target.Object, error)
	State(ctx context.Context, namespace, name string) (target.State, error)
}

// Service implements both gRPC services.
type Service struct {
	externalscaler.UnimplementedExternalScalerServer
	inspectv1.UnimplementedInspectorServer

	pool    *sampling.Pool
	targets Targets // nil: --without-cluster
	now     func() time.Time
	logger  *slog.Logger
	callers map[string]caller // by the names on their certificates
	stands  *standings
	answers *answers
	// settleTimeout is how long a call waits for the cluster's cache to agree with the caller.
	settleTimeout time.Duration
	// pushInterval is how often an active state is sent again. A single "true" can be lost while
	// KEDA has no metric name yet (keda#8168), and each one costs KEDA a status patch.
	pushInterval time.Duration

	stopOnce sync.Once
	stopping chan struct{}
}

// Options configure a Service.
type Options struct {
	Pool *sampling.Pool
	// Targets is nil for a scaler without a cluster. Replicas and the last scale time then come
	// from the metadata keys currentReplicas and lastScaleTime.
	Targets Targets
	// Callers are the names on the certificates of those who may call. The default is
	// DefaultCallers. They must be valid.
	Callers      *Callers
	Now          func() time.Time // default time.Now
	Logger       *slog.Logger     // default: none
	PushInterval time.Duration    // default 15 s
	// SettleTimeout is how long a call waits if its metadata is not that in the cluster, because
	// the ScaledObject may have been edited just now, and how long Explain waits for the HPA to tell of
	// a scaling. The default is 1 s.
	SettleTimeout time.Duration
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

		settleTimeout: cmp.Or(options.SettleTimeout, time.Second),
	}
	callers := DefaultCallers()
	if options.Callers != nil {
		callers = *options.Callers
	}
	s.callers, _ = callers.byName() // the flags were checked
	if s.now == nil {
		s.now = time.Now
	}
	s.stands = newStandings(s.now)
	s.answers = newAnswers(s.targets, s.now)
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.pushInterval == 0 {
		s.pushInterval = 15 * time.Second
	}
	return s
}

// Stop ends every stream with nil. For KEDA that is a normal end, and it opens the stream again
// after 2 s; an error would double its back-off up to 60 s. Stop the gRPC server afterwards.
func (s *Service) Stop() { s.stopOnce.Do(func() { close(s.stopping) }) }

// state reads the target's state.
func (s *Service) state(ctx context.Context, r *request) (target.State, error) {
	if s.targets == nil {
		if r.trigger.CurrentReplicas == nil {
			return target.State{}, invalid("currentReplicas is missing: without a cluster (--without-cluster) the metadata must have the number of replicas")
		}
		state := target.State{Replicas: *r.trigger.CurrentReplicas, ToleranceHonoured: true}
		if r.trigger.LastScaleTime != nil {
			state.LastScale = *r.trigger.LastScaleTime
		}
		return state, nil
	}
	state, err := s.targets.State(ctx, r.namespace, r.name)
	if err != nil {
		return target.State{}, clusterError(err)
	}
	return state, nil
}

// settled is state for those who ask when they see a scaling, as the controller does: for at most settleTimeout it waits for the HPA
// to tell of it. Else the answer would be that the fleet is scaled again, in the midst of its cooldown. KEDA's calls don't wait: the HPA
// asks for its next sync, long after it told.
func (s *Service) settled(ctx context.Context, r *request) (target.State, error) {
	state, err := s.state(ctx, r)
	if err != nil || !state.Unsettled {
		return state, err
	}
	timeout := time.NewTimer(s.settleTimeout)
	defer timeout.Stop()
	ticker := time.NewTicker(settleInterval)
	defer ticker.Stop()
	for err == nil && state.Unsettled {
		select {
		case <-ctx.Done():
			return state, nil
		case <-s.stopping:
			return state, nil
		case <-timeout.C: // somebody else scales, too
			return state, nil
		case <-ticker.C:
		}
		state, err = s.state(ctx, r)
	}
	return state, err
}

// evaluation has everything that an answer is made from.
type evaluation struct {
	reading reading
	explanation.Evaluation
}

// evaluate reads the depth and the target's state, and decides.
func (s *Service) evaluate(ctx context.Context, r *request) (evaluation, error) {
	state, err := s.state(ctx, r)
	if err != nil {
		return evaluation{}, err
	}
	return s.evaluateIn(ctx, r, state)
}

// evaluateIn is evaluate with a state that is known.
func (s *Service) evaluateIn(ctx context.Context, r *request, state target.State) (evaluation, error) {
	read, err := s.read(ctx, r)
	if err != nil {
		return evaluation{}, err
	}
	e := s.decide(r, read, state)
	traceDecision(ctx, r, e)
	return e, nil
}

func (s *Service) decide(r *request, read reading, state target.State) evaluation {
	to := explanation.Target{Replicas: state.Replicas, LastScale: state.LastScale, ToleranceHonoured: state.ToleranceHonoured}
	return evaluation{reading: read, Evaluation: explanation.Evaluate(r.trigger.Policy, read.summary(s.now()), to, s.now())}
}
