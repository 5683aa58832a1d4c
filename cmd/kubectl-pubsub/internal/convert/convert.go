// Package convert turns a ScaledObject with KEDA's redis or redis-streams trigger into one with
// ours. It is pure. KEDA's keys are those of 2.21.0 (pkg/scalers/redis_scaler.go,
// redis_streams_scaler.go).
package convert

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
	"github.com/jawaracloud/pubsub-operator/translator/behavior"
)

// Defaults of KEDA's.
const (
	kedaTarget = "5"        // listLength, pendingEntriesCount and streamLength
	kedaMax    = int64(100) // maxReplicaCount
	list       = "List"     // our types
	stream     = "Stream"   //
)

// Options say where our scaler is, as KEDA's pods reach it.
type Options struct {
	ScalerAddress string // host:port
	// AuthenticationRef is the ClusterTriggerAuthentication for it; empty: no TLS.
	AuthenticationRef string
}

// A Result is a converted ScaledObject, and what whoever applies it should know.
type Result struct {
	Object *unstructured.Unstructured
	Notes  []string
}

// renamed are the keys that only have another name here.
var renamed = map[string]string{
	"address": "redisAddress", "addresses": "redisAddress", "username": "username", "sentinelMaster": "sentinelMaster",
	"sentinelUsername": "sentinelUsername", "databaseIndex": "database", "enableTLS": "tls", "consumerGroup": "consumerGroup",
	"listName": "channelName", "stream": "channelName", "activationListLength": "activationQueueDepth", "activationLagCount": "activationQueueDepth",
	"addressFromEnv": "redisAddressFromEnv", "addressesFromEnv": "redisAddressFromEnv", "usernameFromEnv": "usernameFromEnv", "passwordFromEnv": "passwordFromEnv",
	"sentinelMasterFromEnv": "sentinelMasterFromEnv", "sentinelUsernameFromEnv": "sentinelUsernameFromEnv", "sentinelPasswordFromEnv": "sentinelPasswordFromEnv",
}

// handled are the keys that are converted in another way, below.
var handled = []string{"host", "hosts", "port", "ports", "listLength", "pendingEntriesCount", "streamLength", "lagCount", "unsafeSsl"}

// secrets are the parameters of a TriggerAuthentication, by the key of ours.
var secrets = map[string]string{
	"username": "usernameFromSecret", "password": "passwordFromSecret", "sentinelUsername": "sentinelUsernameFromSecret",
	"sentinelPassword": "sentinelPasswordFromSecret", "ca": "caFromSecret",
}

// ErrNoRedis is for a ScaledObject that reads no Redis, so that there is nothing to convert.
var ErrNoRedis = errors.New("spec.triggers has none of type redis, redis-cluster, redis-sentinel, or of these for streams")

// errKind is for another kind of KEDA's, which our scaler does not serve (docs/scaledobject.md).
var errKind = errors.New("only a ScaledObject can be converted: leave it with KEDA, or let the workers of a ScaledObject or of a PubSubChannel do its jobs")

// IsForeign tells what is not for our scaler, and so is left as it is, from what ought to be converted and can't be.
func IsForeign(err error) bool { return errors.Is(err, ErrNoRedis) || errors.Is(err, errKind) }

// ScaledObject converts one, with the authentications that are known.
func ScaledObject(source *unstructured.Unstructured, authentications Authentications, o Options) (Result, error) {
	r := Result{Object: authored(source)}
	if source.GetKind() != "ScaledObject" {
		return r, fmt.Errorf("it is a %s: %w", source.GetKind(), errKind)
	}
	triggers, _, err := unstructured.NestedSlice(r.Object.Object, "spec", "triggers")
	if err != nil {
		return r, fmt.Errorf("spec.triggers: %w", err)
	}
	ours := -1
	for i, t := range triggers {
		if t, ok := t.(map[string]any); ok && strings.HasPrefix(fmt.Sprint(t["type"]), "redis") {
			if ours >= 0 {
				return r, fmt.Errorf("spec.triggers[%d] and [%d] both read Redis: decide whether one channel or trigger shall sum the keys (keys) or two fleets shall each have theirs", ours, i)
			}
			ours = i
		}
	}
	if ours < 0 {
		return r, ErrNoRedis
	}
	old, _ := triggers[ours].(map[string]any)
	metadata, err := r.metadata(old, authentications)
	if err != nil {
		return r, fmt.Errorf("spec.triggers[%d]: %w", ours, err)
	}
	if err := r.follow(metadata); err != nil {
		return r, err
	}
	metadata["scalerAddress"] = o.ScalerAddress
	converted := map[string]any{"type": "external-push", "metricType": "AverageValue", "metadata": anyValues(metadata)}
	if o.AuthenticationRef != "" {
		metadata["enableTLS"] = "true"
		converted["metadata"] = anyValues(metadata)
		converted["authenticationRef"] = map[string]any{"kind": "ClusterTriggerAuthentication", "name": o.AuthenticationRef}
	}
	if name, ok := old["name"]; ok {
		converted["name"] = name
	}
	triggers[ours] = converted
	return r, unstructured.SetNestedSlice(r.Object.Object, triggers, "spec", "triggers")
}

// lastApplied is where kubectl apply keeps what it was given.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// authored is a copy without what the API server and KEDA wrote, which kubectl get prints as well. It can be applied over
// the object, whatever KEDA has changed of it meanwhile; with a resourceVersion it could not.
func authored(source *unstructured.Unstructured) *unstructured.Unstructured {
	object := source.DeepCopy()
	delete(object.Object, "status")
	if metadata, ok := object.Object["metadata"].(map[string]any); ok {
		maps.DeleteFunc(metadata, func(field string, _ any) bool {
			return !slices.Contains([]string{"name", "namespace", "labels", "annotations"}, field)
		})
		unstructured.RemoveNestedField(metadata, "annotations", lastApplied)
		if annotations, ok := metadata["annotations"].(map[string]any); ok && len(annotations) == 0 {
			delete(metadata, "annotations")
		}
	}
	return object
}

// metadata is that of our trigger.
func (r *Result) metadata(old map[string]any, authentications Authentications) (map[string]string, error) {
	kind := fmt.Sprint(old["type"])
	given, _, err := unstructured.NestedStringMap(old, "metadata")
	if err != nil {
		return nil, err
	}
	metadata := map[string]string{"queueType": list}
	if strings.HasSuffix(kind, "-streams") {
		metadata["queueType"] = stream
	}
	switch strings.TrimSuffix(strings.TrimPrefix(kind, "redis"), "-streams") {
	case "-cluster":
		metadata["redisMode"] = "Cluster"
	case "-sentinel":
		metadata["redisMode"] = "Sentinel"
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		switch own, known := renamed[key]; {
		case known && (own != "tls" || given[key] != "false"):
			metadata[own] = given[key]
		case known, slices.Contains(handled, key):
		default:
			return nil, fmt.Errorf("metadata.%s is %q: there is nothing like it here; take it out if it is not needed", key, given[key])
		}
	}
	if given["unsafeSsl"] == "true" {
		return nil, errors.New("metadata.unsafeSsl is true: the certificate is always checked here; give the server's authority (ca of the TriggerAuthentication) and take unsafeSsl out")
	}
	if err := addresses(metadata, given); err != nil {
		return nil, err
	}
	r.target(metadata, given)
	if err := r.authenticate(metadata, old, authentications); err != nil {
		return nil, err
	}
	if metadata["redisAddress"] == "" && metadata["redisAddressFromEnv"] == "" { // the scaler's default would be another server
		return nil, errors.New("metadata has no address, nor host and port: KEDA had them from elsewhere, such as an authentication; write address into the trigger's metadata")
	}
	return metadata, nil
}

// addresses joins hosts and ports, as KEDA does.
func addresses(metadata, given map[string]string) error {
	hosts, ports := cmp.Or(given["hosts"], given["host"]), cmp.Or(given["ports"], given["port"])
	if hosts == "" && ports == "" {
		return nil
	}
	names, numbers := strings.Split(hosts, ","), strings.Split(ports, ",")
	if len(names) != len(numbers) {
		return fmt.Errorf("metadata has the hosts %q and the ports %q: there must be as many of one as of the other", hosts, ports)
	}
	for i := range names {
		names[i] = strings.TrimSpace(names[i]) + ":" + strings.TrimSpace(numbers[i])
	}
	metadata["redisAddress"] = strings.Join(names, ",")
	return nil
}

func (r *Result) target(metadata, given map[string]string) {
	metadata["targetQueueDepth"] = cmp.Or(given["listLength"], given["lagCount"], given["pendingEntriesCount"], given["streamLength"], kedaTarget)
	switch {
	case metadata["queueType"] != stream:
	case given["lagCount"] != "":
		r.note("lagCount counted what waits; targetQueueDepth counts pending entries too, so it may have to be higher than %s", given["lagCount"])
	case given["consumerGroup"] != "":
		r.note("pendingEntriesCount counted pending entries; targetQueueDepth counts what waits too, so it may have to be higher than %s", metadata["targetQueueDepth"])
	}
}

// follow sets what the HPA and KEDA must do so that our scaler sets the pace.
func (r *Result) follow(metadata map[string]string) error {
	for key, limit := range map[string]struct {
		field     string
		byDefault int64
	}{"minReplicas": {"minReplicaCount", 0}, "maxReplicas": {"maxReplicaCount", kedaMax}} {
		value, found, err := unstructured.NestedInt64(r.Object.Object, "spec", limit.field)
		if err != nil {
			return fmt.Errorf("spec.%s: %w", limit.field, err)
		}
		if !found {
			value = limit.byDefault
		}
		metadata[key] = strconv.FormatInt(value, 10)
		if err := unstructured.SetNestedField(r.Object.Object, value, "spec", limit.field); err != nil {
			return err
		}
	}
	parsed, err := trigger.Parse(withoutEnv(metadata))
	if err != nil {
		return fmt.Errorf("the trigger that it would become is not valid: %w", err)
	}
	spec := parsed.Policy
	pace, err := runtime.DefaultUnstructuredConverter.ToUnstructured(behavior.For(spec))
	if err != nil {
		return err
	}
	if cooldown, found, _ := unstructured.NestedInt64(r.Object.Object, "spec", "cooldownPeriod"); found && cooldown != int64(spec.Cooldown/time.Second) {
		r.note("cooldownPeriod was %d, for the last step to 0 only; the trigger's is %s, in both directions: set cooldownPeriod in its metadata for another", cooldown, spec.Cooldown)
	}
	const horizontal = "horizontalPodAutoscalerConfig"
	if _, found, _ := unstructured.NestedFieldNoCopy(r.Object.Object, "spec", "advanced", horizontal, "behavior"); found {
		r.note("advanced.%s.behavior is replaced: the scaler sets the pace; limit its steps with maxScaleUpStep and maxScaleDownStep in the trigger's metadata", horizontal)
	}
	unstructured.RemoveNestedField(r.Object.Object, "spec", "pollingInterval")
	return errors.Join(
		unstructured.SetNestedField(r.Object.Object, int64(behavior.CooldownPeriod(spec)/time.Second), "spec", "cooldownPeriod"),
		unstructured.SetNestedMap(r.Object.Object, pace, "spec", "advanced", horizontal, "behavior"),
	)
}

// withoutEnv has a value where the environment gives one, so that the rest can be checked.
func withoutEnv(metadata map[string]string) map[string]string {
	checked := map[string]string{}
	for key, value := range metadata {
		switch own, is := strings.CutSuffix(key, trigger.FromEnvSuffix); {
		case !is, own == "password", own == "sentinelPassword": // of passwords, that there is one is all that is checked
			checked[key] = value
		case own == "redisAddress":
			checked[own] = trigger.DefaultRedisAddress
		case own == "sentinelMaster":
			checked[own] = "master"
		}
	}
	return checked
}

func (r *Result) note(format string, values ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, values...))
}

func anyValues(texts map[string]string) map[string]any {
	values := map[string]any{}
	for key, text := range texts {
		values[key] = text
	}
	return values
}
