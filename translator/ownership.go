package translator

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Field owners. Two, because spec.replicas of a Deployment must be able to change hands
// apart from the rest (see replicas.go).
const (
	// ownerMain owns what the builders render.
	ownerMain = "pubsub-operator"
	// ownerReplicas owns spec.replicas of Deployments, and nothing else.
	ownerReplicas = "pubsub-operator-replicas"
)

// fieldSet is metadata.managedFields[].fieldsV1: "f:<name>" for a field, "k:<keys>" for an
// item of a list with keys, "." for the thing itself; {} for what is owned as a whole
// (sigs.k8s.io/structured-merge-diff, fieldpath/serialize.go).
type fieldSet map[string]any

// fieldsOf is what one entry of managedFields owns; nobody may change it.
func fieldsOf(entry metav1.ManagedFieldsEntry) (fieldSet, error) {
	if entry.FieldsV1 == nil {
		return fieldSet{}, nil
	}
	if fields := owned.decoded(entry.FieldsV1); fields != nil {
		return fields, nil
	}
	fields, err := decodeFields(entry.FieldsV1)
	if err != nil {
		return nil, fmt.Errorf("reading managedFields of %s: %w", entry.Manager, err)
	}
	return fields, nil
}

func decodeFields(raw *metav1.FieldsV1) (fieldSet, error) {
	var fields fieldSet
	err := json.NewDecoder(raw.GetRawReader()).Decode(&fields)
	return fields, err
}

// applied reports whether the object is as desired: our last apply owns exactly the
// desired fields, and each still has its value. Then another apply would change nothing.
//
// That finds an edit by somebody else, who becomes the field's owner by it, and a field
// that is not desired any more, which a comparison of values alone would overlook. It
// passes over what others add and what the API server fills in.
func applied(desired map[string]any, live client.Object) (bool, error) {
	for _, entry := range live.GetManagedFields() {
		if entry.Manager != ownerMain || entry.Operation != metav1.ManagedFieldsOperationApply || entry.Subresource != "" {
			continue
		}
		fields, err := fieldsOf(entry)
		if err != nil {
			return false, err
		}
		current, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
		if err != nil {
			return false, fmt.Errorf("converting %s: %w", live.GetName(), err)
		}
		return ownsMap(withoutIdentity(desired), current, fields), nil
	}
	return false, nil
}

// withoutIdentity drops what the API server never counts as owned.
func withoutIdentity(object map[string]any) map[string]any {
	out := map[string]any{}
	for key, value := range object {
		switch metadata, ok := value.(map[string]any); {
		case key == "apiVersion", key == "kind":
		case key == "metadata" && ok:
			rest := map[string]any{}
			for key, value := range metadata {
				if key != "name" && key != "namespace" && key != "uid" && key != "resourceVersion" {
					rest[key] = value
				}
			}
			out[key] = rest
		default:
			out[key] = value
		}
	}
	return out
}

func owns(desired, current any, owned fieldSet) bool {
	if leaf(owned) {
		return covers(desired, current)
	}
	switch desired := desired.(type) {
	case map[string]any:
		current, ok := current.(map[string]any)
		return ok && ownsMap(desired, current, owned)
	case []any:
		current, ok := current.([]any)
		return ok && ownsList(desired, current, owned)
	default:
		return false
	}
}

func ownsMap(desired, current map[string]any, owned fieldSet) bool {
	for key, value := range desired {
		child, ok := owned["f:"+key].(map[string]any)
		if !ok || !owns(value, current[key], child) {
			return false
		}
	}
	return len(desired) == members(owned)
}

// ownsList compares a list whose items have keys: the same items, in the same order.
func ownsList(desired, current []any, owned fieldSet) bool {
	if len(desired) != members(owned) {
		return false
	}
	next := 0
	for _, item := range desired {
		found := false
		for ; next < len(current) && !found; next++ {
			for key, child := range owned {
				child, ok := child.(map[string]any)
				if ok && hasKeys(item, key) && hasKeys(current[next], key) {
					found = owns(item, current[next], child)
				}
			}
		}
		if !found {
			return false
		}
	}
	return true
}

// hasKeys reports whether a list's item is the one that a key of the field set names.
func hasKeys(item any, key string) bool {
	text, ok := strings.CutPrefix(key, "k:")
	if !ok {
		return false
	}
	var keys map[string]any
	if utiljson.Unmarshal([]byte(text), &keys) != nil { // whole numbers as int64, as they are in the item
		return false
	}
	fields, ok := item.(map[string]any)
	if !ok {
		return false
	}
	for name, value := range keys {
		if !reflect.DeepEqual(fields[name], value) {
			return false
		}
	}
	return true
}

// covers reports whether everything desired is there; the API server may have filled in
// more, such as the apiVersion of a fieldRef.
func covers(desired, current any) bool {
	switch desired := desired.(type) {
	case map[string]any:
		current, ok := current.(map[string]any)
		if !ok {
			return false
		}
		for key, value := range desired {
			if !covers(value, current[key]) {
				return false
			}
		}
		return true
	case []any:
		current, ok := current.([]any)
		if !ok || len(desired) != len(current) {
			return false
		}
		for i := range desired {
			if !covers(desired[i], current[i]) {
				return false
			}
		}
		return true
	default:
		return reflect.DeepEqual(desired, current)
	}
}

// members counts what a field set names, besides the thing itself.
func members(owned fieldSet) int {
	if _, self := owned["."]; self {
		return len(owned) - 1
	}
	return len(owned)
}

func leaf(owned fieldSet) bool { return members(owned) == 0 }
