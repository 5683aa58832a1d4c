package convert

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
)

// KEDA's kinds of authentications. The cluster's have no namespace, and their Secrets are in KEDA's own.
const (
	ofNamespace = "TriggerAuthentication"
	ofCluster   = "ClusterTriggerAuthentication"
)

// Authentications are the TriggerAuthentications and ClusterTriggerAuthentications that are known. One name may stand for
// one of each kind, and for one in each namespace.
type Authentications []*unstructured.Unstructured

// IsAuthentication tells whether an object is one.
func IsAuthentication(object *unstructured.Unstructured) bool {
	return object.GetKind() == ofNamespace || object.GetKind() == ofCluster
}

// find is the one that an object of a namespace means; nil: it is not known. An object without a namespace gets its own when it
// is applied, so it may be of any. If several could be meant, it is an error.
func (a Authentications) find(kind, namespace, name string) (*unstructured.Unstructured, error) {
	var exact, possible []*unstructured.Unstructured
	for _, each := range a {
		switch {
		case each.GetKind() != kind || each.GetName() != name:
		case kind == ofCluster || each.GetNamespace() == namespace:
			exact = append(exact, each)
		case each.GetNamespace() == "" || namespace == "":
			possible = append(possible, each)
		}
	}
	found := exact
	if len(found) == 0 {
		found = possible
	}
	if len(found) == 0 {
		return nil, nil
	}
	var others []string
	for _, each := range found[1:] {
		if !reflect.DeepEqual(each.Object["spec"], found[0].Object["spec"]) {
			others = append(others, each.GetNamespace())
		}
	}
	if len(others) > 0 {
		others = append(others, found[0].GetNamespace())
		slices.Sort(others)
		return nil, fmt.Errorf("authenticationRef names %s %s, of which there are several that differ, in the namespaces %q: leave the one that is meant, or give the ScaledObject its metadata.namespace",
			kind, name, others)
	}
	return found[0], nil
}

// authenticate takes Secrets and names of variables from the authentication, if that is known.
func (r *Result) authenticate(metadata map[string]string, old map[string]any, authentications Authentications) error {
	name, found, _ := unstructured.NestedString(old, "authenticationRef", "name")
	if !found {
		return nil
	}
	kind, _, _ := unstructured.NestedString(old, "authenticationRef", "kind")
	if kind == "" {
		kind = ofNamespace // KEDA's default
	}
	authentication, err := authentications.find(kind, r.Object.GetNamespace(), name)
	if err != nil {
		return err
	}
	if authentication == nil {
		r.note("authenticationRef names %s %s, which is not in the file: add it to the file, or name its Secrets by hand (passwordFromSecret: name/key and so on, docs/scaledobject.md)", kind, name)
		return nil
	}
	spec, _, err := unstructured.NestedMap(authentication.Object, "spec")
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, name, err)
	}
	taken := map[string]string{}
	if err := r.variablesOf(taken, spec, name); err != nil {
		return fmt.Errorf("%s %s: %w", kind, name, err)
	}
	read, err := r.secretsOf(taken, spec, name) // after the variables, as KEDA does: a Secret counts before one
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, name, err)
	}
	r.merge(metadata, taken, name)
	for source := range spec {
		if source != "secretTargetRef" && source != "env" {
			r.note("spec.%s of %s %s is not taken over: the scaler reads Secrets and the target's environment; see docs/migrating.md for the counterparts", source, kind, name)
		}
	}
	switch {
	case len(read) > 0 && kind == ofCluster:
		r.note("KEDA read %s in its own namespace (KEDA_CLUSTER_OBJECT_NAMESPACE): copy what is named to the ScaledObject's namespace, where the scaler reads it", strings.Join(read, ", "))
		fallthrough
	case len(read) > 0:
		r.note("let the scaler read the Secrets of this namespace (docs/security.md#secrets)")
	}
	slices.Sort(r.Notes) // a map has no order
	return nil
}

// envFirst are the values that KEDA takes from a variable that the trigger names before those of an authentication. All others it takes
// the other way round (order in redisConnectionInfo, pkg/scalers/redis_scaler.go).
var envFirst = []string{"username", "password"}

// valueOf is what a key of ours gives, whether it stands there, in a Secret or in the environment.
func valueOf(key string) string {
	return strings.TrimSuffix(strings.TrimSuffix(key, "FromSecret"), trigger.FromEnvSuffix)
}

// merge adds what an authentication gives. The scaler refuses a value that is given twice: of those that the trigger gives, too, the
// one stays that KEDA takes.
func (r *Result) merge(metadata, taken map[string]string, name string) {
	for _, key := range slices.Sorted(maps.Keys(taken)) {
		value := valueOf(key)
		variable := value + trigger.FromEnvSuffix
		switch {
		case key != value && metadata[value] != "", metadata[variable] != "" && slices.Contains(envFirst, value):
			r.note("%s gives %s, which the trigger gives itself: it is not taken over", name, value)
			continue
		case metadata[variable] != "":
			r.note("%s gives %s, which KEDA takes before the trigger's from the environment: it takes its place", name, value)
			delete(metadata, variable)
		}
		metadata[key] = taken[key]
	}
}

// secretsOf takes over what of an authentication is in Secrets, and returns these.
func (r *Result) secretsOf(metadata map[string]string, spec map[string]any, name string) (read []string, err error) {
	refs, _, err := unstructured.NestedSlice(spec, "secretTargetRef")
	if err != nil {
		return nil, err
	}
	for _, ref := range refs {
		ref, _ := ref.(map[string]any)
		parameter, secret, key := fmt.Sprint(ref["parameter"]), fmt.Sprint(ref["name"]), fmt.Sprint(ref["key"])
		switch own, known := secrets[parameter]; {
		case known:
			metadata[own] = secret + "/" + key
			delete(metadata, valueOf(own)+trigger.FromEnvSuffix)
			if words := "Secret " + secret; !slices.Contains(read, words) {
				read = append(read, words)
			}
		case parameter == "tls":
			metadata["tls"] = "true"
			r.note("%s took tls from Secret %s: TLS is switched on; take tls out if the Secret says no", name, secret)
		default:
			r.note("parameter %s of %s is not taken over: see docs/migrating.md for its counterpart", parameter, name)
		}
	}
	return read, nil
}

// variablesOf takes over what of an authentication is in the target's environment. KEDA reads that of the container that
// the ScaledObject names for our trigger, too.
func (r *Result) variablesOf(metadata map[string]string, spec map[string]any, name string) error {
	variables, _, err := unstructured.NestedSlice(spec, "env")
	if err != nil {
		return err
	}
	container, _, _ := unstructured.NestedString(r.Object.Object, "spec", "scaleTargetRef", "envSourceContainerName")
	for _, variable := range variables {
		variable, _ := variable.(map[string]any)
		parameter := fmt.Sprint(variable["parameter"])
		own, known := renamed[parameter+trigger.FromEnvSuffix]
		if !known {
			r.note("parameter %s of %s is not taken over: see docs/migrating.md for its counterpart", parameter, name)
			continue
		}
		metadata[own] = fmt.Sprint(variable["name"])
		if other, _ := variable["containerName"].(string); other != container {
			r.note("%s takes %s from the environment of container %q: set spec.scaleTargetRef.envSourceContainerName to it if it is not %q already, because a trigger has that of one container",
				name, parameter, other, container)
		}
	}
	return nil
}
