package scaler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
	"github.com/jawaracloud/pubsub-operator/scaler/target"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
)

// What counts is the trigger that stands in the cluster. A caller's word is taken only for
// what KEDA alone knows, the values of keys with FromEnv; and where the caller names another
// server or other credentials, the call is refused before anybody is connected to. The
// controller alone is believed without a ScaledObject: channels without autoscaling have none.

// question is what a call asks about.
type question struct {
	namespace, name string
	metadata        map[string]string // as the caller sent it
	caller          caller
	// believed is set for a caller whose metadata counts as it is.
	believed bool
	// configuration is set where no queue is read, so that no credentials are needed.
	configuration bool
}

// request is a ScaledObject with one of its triggers read. Nobody changes it: calls share
// it for as long as the ScaledObject stays as it is.
type request struct {
	namespace, name string
	trigger         trigger.Trigger
	server          broker.Server
	queues          []queue.Queue
	inquiry         *sampling.Inquiry
	// environment is the metadata, where some of its values come from an environment, which
	// nobody is told; else nil.
	environment map[string]string
}

// told is a text without what comes from an environment.
func (r *request) told(text string) string {
	if r.environment == nil {
		return text
	}
	return trigger.HideFromEnv(r.environment, text)
}

func (s *Service) newRequest(namespace, name string, metadata map[string]string) (*request, error) {
	t, err := trigger.Parse(metadata)
	if err != nil {
		return nil, invalid(err.Error())
	}
	if s.targets != nil && (t.CurrentReplicas != nil || t.LastScaleTime != nil) {
		return nil, invalid("currentReplicas and lastScaleTime are for a scaler without a cluster (--without-cluster): leave them out")
	}
	r := &request{namespace: namespace, name: name, trigger: t}
	if len(trigger.FromEnv(metadata)) > 0 {
		r.environment = metadata
	}
	if r.server, err = s.server(r); err != nil {
		return nil, err
	}
	if r.queues, err = queuesOf(t); err != nil {
		return nil, err
	}
	r.inquiry = s.pool.For(namespace).Inquire(r.server, r.queues)
	return r, nil
}

// same tells whether both read the same queues of the same server.
func (r *request) same(other *request) bool {
	if r == other {
		return true
	}
	if r.server != other.server || len(r.queues) != len(other.queues) {
		return false
	}
	for i := range r.queues {
		if r.queues[i] != other.queues[i] {
			return false
		}
	}
	return true
}

// settleInterval is how often the cache of the cluster is looked at while it may be behind.
const settleInterval = 20 * time.Millisecond

// resolve finds out what a call is about, and whether it may be about that. No server is
// connected to and no Secret is read before it agrees.
func (s *Service) resolve(ctx context.Context, q question) (*request, error) {
	r, err := s.resolveNow(ctx, q)
	if !mayBeBehind(err) || len(q.metadata) == 0 {
		return r, unmarked(err)
	}
	// Who sends metadata has seen a ScaledObject, and perhaps sooner than our cache has: it
	// was made or edited just now.
	ctx, cancel := context.WithTimeout(ctx, s.settleTimeout)
	defer cancel()
	ticker := time.NewTicker(settleInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return r, unmarked(err)
		case <-s.stopping:
			return r, unmarked(err)
		case <-ticker.C:
		}
		if r, err = s.resolveNow(ctx, q); !mayBeBehind(err) {
			return r, err
		}
	}
}

// behindError marks a refusal that a newer copy of the ScaledObject may mend.
type behindError struct{ error }

func (e behindError) Unwrap() error { return e.error }

func mayBeBehind(err error) bool { return errors.As(err, new(behindError)) }

// unmarked is the refusal itself, whose code and details gRPC is to find.
func unmarked(err error) error {
	var behind behindError
	if errors.As(err, &behind) {
		return behind.error
	}
	return err
}

func (s *Service) resolveNow(ctx context.Context, q question) (*request, error) {
	if s.targets == nil {
		if len(q.metadata) == 0 {
			return nil, invalid("scalerMetadata is empty, and without a cluster (--without-cluster) there is no ScaledObject to read it from: send at least channelName")
		}
		return s.newRequest(q.namespace, q.name, q.metadata)
	}
	if q.name == "" || q.namespace == "" {
		return nil, invalid("name and namespace must name a ScaledObject")
	}
	if q.believed && len(q.metadata) > 0 {
		return s.newRequest(q.namespace, q.name, q.metadata)
	}
	if q.caller == person && len(q.metadata) > 0 {
		return nil, denied(inspect.MetadataNotBelieved, "people ask by name alone: leave scaler_metadata out, and the trigger of the ScaledObject counts")
	}
	stands, err := s.standing(ctx, q.namespace, q.name)
	if mayBeBehind(err) && q.caller == anonymous && len(q.metadata) > 0 {
		// As the controller asks about channels without autoscaling.
		return nil, behindError{inspect.Error(codes.NotFound, inspect.TargetNotFound, status.Convert(unmarked(err)).Message()+"; without TLS the scaler reads queues of ScaledObjects alone: switch TLS on (tls.enabled in the chart) to see those of channels without autoscaling")}
	}
	if err != nil {
		return nil, err
	}
	r, err := s.choose(stands, q)
	if err != nil {
		return nil, err
	}
	if q.caller == anonymous && !q.configuration && r.trigger.Redis.RefersToSecrets() {
		return nil, denied(inspect.SecretsNeedTLS, fmt.Sprintf("the trigger of ScaledObject %s/%s names Secrets, which the scaler uses only for callers with a certificate: switch TLS on (tls.enabled in the chart), or give the password by passwordFromEnv", q.namespace, q.name))
	}
	return r, nil
}

// standing is the external triggers of a ScaledObject, read once for each of its versions.
type standing struct {
	version  target.Version
	triggers []standingTrigger
}

type standingTrigger struct {
	metadata map[string]string
	ours     bool     // by name alone only those are meant that have a channelName
	fromEnv  bool     // some values are known to KEDA alone
	request  *request // nil with fromEnv
	err      error    // instead of request
}

// objectKey is a ScaledObject's name.
type objectKey struct{ namespace, name string }

// standing returns what stands in the cluster now.
func (s *Service) standing(ctx context.Context, namespace, name string) (*standing, error) {
	object, err := s.targets.Find(ctx, namespace, name)
	if errors.Is(err, target.ErrNotFound) {
		s.stands.remove(objectKey{namespace, name})
		return nil, behindError{clusterError(err)}
	}
	if err != nil {
		return nil, clusterError(err)
	}
	key, version := objectKey{namespace, name}, object.Version()
	if known := s.stands.get(key); known != nil && known.version == version {
		return known, nil
	}
	stands := &standing{version: version}
	for _, t := range object.Triggers() {
		stands.triggers = append(stands.triggers, s.standingTrigger(namespace, name, t))
	}
	s.stands.keep(key, stands)
	return stands, nil
}

func (s *Service) standingTrigger(namespace, name string, t target.Trigger) standingTrigger {
	stands := standingTrigger{metadata: t.Metadata, ours: ours(t.Metadata)}
	if stands.err = checkMetricType(t); stands.err != nil {
		return stands
	}
	if stands.fromEnv = len(trigger.FromEnv(t.Metadata)) > 0; !stands.fromEnv {
		stands.request, stands.err = s.newRequest(namespace, name, t.Metadata)
	}
	return stands
}

// checkMetricType refuses a trigger whose value the HPA would multiply: by Value it computes
// replicas × value ÷ target, but the scaler's value is that of all replicas together.
func checkMetricType(t target.Trigger) error {
	if t.MetricType == "" || t.MetricType == target.AverageValue {
		return nil
	}
	return invalid(fmt.Sprintf("metricType of the trigger is %s: the HPA would multiply the answer by the replicas; set it to AverageValue, or leave it out", t.MetricType))
}

// ours tells our trigger from those of other external scalers.
func ours(metadata map[string]string) bool {
	return metadata[trigger.KeyChannelName] != "" || metadata[trigger.KeyChannelName+trigger.FromEnvSuffix] != ""
}

// choose finds the trigger that a call is about. By name alone it is the first that is ours;
// metadata tells which of several, and else may differ in what says nothing of servers and
// credentials: KEDA's copy is perhaps that of before an edit.
func (s *Service) choose(stands *standing, q question) (*request, error) {
	var chosen *standingTrigger
	several := false
	for i := range stands.triggers {
		t := &stands.triggers[i]
		if len(q.metadata) > 0 && trigger.Agrees(t.metadata, q.metadata) {
			return s.requestOf(t, q)
		}
		if t.ours {
			several = chosen != nil
			chosen = cmp.Or(chosen, t)
		}
	}
	if chosen == nil {
		return nil, behindError{clusterError(fmt.Errorf("%w: ScaledObject %s/%s has no trigger of type external-push or external with a channelName", target.ErrNotFound, q.namespace, q.name))}
	}
	if several && len(q.metadata) > 0 {
		return nil, behindError{denied(inspect.MetadataNotBelieved, fmt.Sprintf("scaler_metadata is not that of any of the triggers that stand in ScaledObject %s/%s: send what stands there, or leave it out", q.namespace, q.name))}
	}
	if keys := trigger.Elsewhere(chosen.metadata, q.metadata); len(keys) > 0 {
		return nil, behindError{denied(inspect.MetadataNotBelieved, fmt.Sprintf("scaler_metadata says otherwise than ScaledObject %s/%s in the cluster (%s), which alone is believed: correct it there, and leave scaler_metadata out", q.namespace, q.name, strings.Join(keys, ", ")))}
	}
	return s.requestOf(chosen, q)
}

// requestOf is what a trigger asks for, with what KEDA alone knows of it.
func (s *Service) requestOf(t *standingTrigger, q question) (*request, error) {
	if !t.fromEnv {
		return t.request, t.err
	}
	if len(q.metadata) == 0 {
		return nil, invalid(fmt.Sprintf("the ScaledObject's trigger has %s: KEDA alone knows the target's environment, and a call by name can't tell the values", strings.Join(trigger.FromEnv(t.metadata), ", ")))
	}
	return s.newRequest(q.namespace, q.name, trigger.Resolve(t.metadata, q.metadata))
}
