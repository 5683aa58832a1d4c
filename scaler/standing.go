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
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
	"github.com/jawaracloud/pubsub-operator/scaler/target"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
)

// The trigger in the cluster counts, not what a caller sends. Only the values of keys with
// FromEnv are taken from the caller, because only KEDA knows them. A call that names another
// server or other credentials is refused before any connection is made. The controller is the
// only caller that needs no ScaledObject, because channels without autoscaling have none.
// (docs/decisions/0005)

// question is what a call asks about.
type question struct {
	namespace, name string
	metadata        map[string]string // as the caller sent it
	caller          caller
	// believed says that the caller's metadata counts as it is.
	believed bool
	// configuration says that no queue is read, so no credentials are needed.
	configuration bool
}

// request is a ScaledObject with one of its triggers, parsed. It is immutable: calls share it
// until the ScaledObject changes.
type request struct {
	namespace, name string
	trigger         trigger.Trigger
	server          broker.Server
	queues          []queue.Queue
	inquiry         *sampling.Inquiry
	// index is the trigger's among the ScaledObject's external triggers.
	index int
	// environment is the metadata if some of its values come from an environment, which no
	// answer may contain; otherwise nil.
	environment map[string]string
}

// told is the text without values that come from an environment.
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
	r.server = s.server(r)
	if r.queues, err = queuesOf(t); err != nil {
		return nil, err
	}
	r.inquiry = s.pool.For(namespace).Inquire(r.server, r.queues)
	if t.Policy.Policy == policy.ByUtilization {
		r.inquiry.WithWork(t.Policy.WindowFor)
	}
	return r, nil
}

// same reports whether both read the same queues of the same server.
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

// settleInterval is how often the cluster's cache is read again while it may be out of date.
const settleInterval = 20 * time.Millisecond

// resolve finds the trigger that a call is about, and checks whether the caller may ask about
// it. Before that, no connection is made and no Secret is read.
func (s *Service) resolve(ctx context.Context, q question) (*request, error) {
	r, err := s.resolveNow(ctx, q)
	if !mayBeBehind(err) || len(q.metadata) == 0 {
		return r, unmarked(err)
	}
	// A caller that sends metadata has seen a ScaledObject. If that was created or edited just
	// now, our cache may not have it yet.
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

// behindError marks a refusal that may end when the cache has a newer copy of the ScaledObject.
type behindError struct{ error }

func (e behindError) Unwrap() error { return e.error }

func mayBeBehind(err error) bool { return errors.As(err, new(behindError)) }

// unmarked is the refusal itself, so that gRPC finds its code and details.
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
		return nil, denied(inspect.MetadataNotBelieved, "scaler_metadata is set, but people may ask by name only: leave it out, and the trigger of the ScaledObject counts")
	}
	stands, err := s.standing(ctx, q.namespace, q.name)
	if mayBeBehind(err) && q.caller == anonymous && len(q.metadata) > 0 {
		// The controller asks like this about channels without autoscaling.
		return nil, behindError{inspect.Error(codes.NotFound, inspect.TargetNotFound, status.Convert(unmarked(err)).Message()+"; without TLS the scaler only reads queues of ScaledObjects: switch TLS on (tls.enabled in the chart) to see those of channels without autoscaling")}
	}
	if err != nil {
		return nil, err
	}
	r, err := s.choose(stands, q)
	if err != nil {
		return nil, err
	}
	if q.caller == anonymous && !q.configuration && r.trigger.Redis.RefersToSecrets() {
		return nil, denied(inspect.SecretsNeedTLS, fmt.Sprintf("the trigger of ScaledObject %s/%s names Secrets, which the scaler uses only for callers with a certificate: switch TLS on (tls.enabled in the chart), or set the password with passwordFromEnv", q.namespace, q.name))
	}
	return r, nil
}

// standing is the external triggers of a ScaledObject, parsed once for each of its versions.
type standing struct {
	version  target.Version
	triggers []standingTrigger
}

type standingTrigger struct {
	metadata map[string]string
	index    int
	ours     bool     // it has a channelName: a call by name alone is about such a trigger
	fromEnv  bool     // only KEDA knows some of the values
	request  *request // nil with fromEnv
	err      error    // instead of request
}

// objectKey is a ScaledObject's name.
type objectKey struct{ namespace, name string }

// standing returns the triggers that the ScaledObject in the cluster has now.
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
	for i, t := range object.Triggers() {
		stands.triggers = append(stands.triggers, s.standingTrigger(namespace, name, i, t))
	}
	s.stands.keep(key, stands)
	return stands, nil
}

func (s *Service) standingTrigger(namespace, name string, index int, t target.Trigger) standingTrigger {
	stands := standingTrigger{metadata: t.Metadata, index: index, ours: ours(t.Metadata)}
	if stands.err = checkMetricType(t); stands.err != nil {
		return stands
	}
	if stands.fromEnv = len(trigger.FromEnv(t.Metadata)) > 0; !stands.fromEnv {
		stands.request, stands.err = s.newRequest(namespace, name, t.Metadata)
	}
	if stands.request != nil {
		stands.request.index = index
	}
	return stands
}

// checkMetricType refuses a trigger whose value the HPA would multiply. For Value it computes
// replicas × value ÷ target, but the scaler's value is already for all replicas together.
func checkMetricType(t target.Trigger) error {
	if t.MetricType == "" || t.MetricType == target.AverageValue {
		return nil
	}
	return invalid(fmt.Sprintf("metricType of the trigger is %s: the HPA would multiply the answer by the replicas; set it to AverageValue, or leave it out", t.MetricType))
}

// ours distinguishes our trigger from those of other external scalers.
func ours(metadata map[string]string) bool {
	return metadata[trigger.KeyChannelName] != "" || metadata[trigger.KeyChannelName+trigger.FromEnvSuffix] != ""
}

// choose finds the trigger that a call is about. For a call by name alone it is the first that
// is ours. Otherwise the metadata says which one. The metadata may differ in keys that have
// nothing to do with servers and credentials, because KEDA's copy may be older than an edit.
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
		return nil, behindError{denied(inspect.MetadataNotBelieved, fmt.Sprintf("scaler_metadata is not that of any trigger in ScaledObject %s/%s: send the metadata of one of them, or leave it out", q.namespace, q.name))}
	}
	if keys := trigger.Elsewhere(chosen.metadata, q.metadata); len(keys) > 0 {
		return nil, behindError{denied(inspect.MetadataNotBelieved, fmt.Sprintf("scaler_metadata differs from ScaledObject %s/%s in the cluster (%s), and only the cluster counts: correct it there, and leave scaler_metadata out", q.namespace, q.name, strings.Join(keys, ", ")))}
	}
	return s.requestOf(chosen, q)
}

// requestOf is the request of a trigger, with the values that only KEDA knows.
func (s *Service) requestOf(t *standingTrigger, q question) (*request, error) {
	if !t.fromEnv {
		return t.request, t.err
	}
	if len(q.metadata) == 0 {
		return nil, invalid(fmt.Sprintf("the ScaledObject's trigger has %s: only KEDA knows the target's environment, so a call by name has no values for it", strings.Join(trigger.FromEnv(t.metadata), ", ")))
	}
	r, err := s.newRequest(q.namespace, q.name, trigger.Resolve(t.metadata, q.metadata))
	if r != nil {
		r.index = t.index
	}
	return r, err
}
