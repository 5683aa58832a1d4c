// Package ownership reads managedFields: whether an object is as it was applied, and which
// fields are whose. It is pure.
package ownership

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client"
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

// Applied reports whether the object is as desired: our last apply owns exactly the
// desired fields, and each still has its value. Then another apply would change nothing.
//
// That finds an edit by somebody else, who becomes the field's owner by it, and a field
// that is not desired any more, which a comparison of values alone would overlook. It
// passes over what others add and what the API server fills in.
//
// Ownership ends where the schema says atomic: a list of triggers or tolerations, and all
// within, is one value, which is equal only as a whole.
func (o *Decoded) Applied(desired map[string]any, live client.Object) (bool, error) {
	for _, entry := range live.GetManagedFields() {
		if entry.Manager != Main || entry.Operation != metav1.ManagedFieldsOperationApply || entry.Subresource != "" {
			continue
		}
		fields, err := o.fieldsOf(entry)
		if err != nil {
			return false, err
		}
		current, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
		if err != nil {
			return false, fmt.Errorf("converting %s: %w", live.GetName(), err)
		}
		sent := WithoutIdentity(desired)
		if ownsMap(sent, sent, current, fields) {
			return true, nil
		}
		stored, err := asStored(desired, live)
		if err != nil {
			return false, err
		}
		return ownsMap(sent, stored, current, fields), nil
	}
	return false, nil
}

// asStored is an object as its type writes it: without what is empty there, which a user's
// template may have said explicitly ("value: \"\"", "stdin: false").
func asStored(desired map[string]any, live client.Object) (map[string]any, error) {
	typed := reflect.New(reflect.TypeOf(live).Elem()).Interface()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(desired, typed); err != nil {
		return nil, fmt.Errorf("converting what %s is to be: %w", live.GetName(), err)
	}
	stored, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		return nil, fmt.Errorf("converting what %s is to be: %w", live.GetName(), err)
	}
	return stored, nil
}

// WithoutIdentity drops what the API server never counts as owned.
func WithoutIdentity(object map[string]any) map[string]any {
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

// owns compares one field: name is the field's, empty for an item of a list; sent is what
// is asked for, and stored the same as the API server would keep it.
func owns(name string, sent, stored, current any, owned fieldSet) bool {
	if leaf(owned) {
		if empty(sent) && !selectors[name] {
			_, there := current.(map[string]any)
			return there // what is in it is others' or filled in
		}
		return equal(name, stored, current)
	}
	switch sent := sent.(type) {
	case map[string]any:
		stored, kept := stored.(map[string]any)
		current, ok := current.(map[string]any)
		return ok && kept && ownsMap(sent, stored, current, owned)
	case []any:
		stored, kept := stored.([]any)
		current, ok := current.([]any)
		return ok && kept && len(stored) == len(sent) && ownsList(sent, stored, current, owned)
	default:
		return false
	}
}

func ownsMap(sent, stored, current map[string]any, owned fieldSet) bool {
	for key, value := range sent {
		child, ok := owned["f:"+key].(map[string]any)
		if !ok || !owns(key, value, stored[key], current[key], child) {
			return false
		}
	}
	return len(sent) == members(owned)
}

// ownsList compares a list whose items have keys: the same items, in the same order.
func ownsList(sent, stored, current []any, owned fieldSet) bool {
	if len(sent) != members(owned) {
		return false
	}
	next := 0
	for i, item := range sent {
		found := false
		for ; next < len(current) && !found; next++ {
			for key, child := range owned {
				child, ok := child.(map[string]any)
				if ok && hasKeys(item, key) && hasKeys(current[next], key) {
					found = owns("", item, stored[i], current[next], child)
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
		given, ok := fields[name]
		if !ok {
			given = "" // as the schema has it for names
		}
		if !reflect.DeepEqual(given, value) {
			return false
		}
	}
	return true
}

// Equal compares what is owned as a whole, where what is not desired must not be there
// either, but for what the API server fills in.
func equal(name string, desired, current any) bool {
	switch desired := desired.(type) {
	case map[string]any:
		current, ok := current.(map[string]any)
		return ok && equalMaps(desired, current, filledIn[name])
	case []any:
		current, ok := current.([]any)
		return ok && slices.EqualFunc(desired, current, func(a, b any) bool { return equal("", a, b) })
	default:
		return reflect.DeepEqual(desired, current)
	}
}

func equalMaps(desired, current, filledIn map[string]any) bool {
	for key, value := range desired {
		if !equal(key, value, current[key]) {
			return false
		}
	}
	for key, value := range current {
		if _, known := desired[key]; known {
			continue
		}
		if given, ok := filledIn[key]; !ok || given != value {
			return false
		}
	}
	return true
}

// filledIn is what the API server fills in within parts that are owned as a whole, by the
// field that holds it (Kubernetes 1.36, pkg/apis/core/v1/defaults.go and
// zz_generated.defaults.go).
var filledIn = map[string]map[string]any{
	"fieldRef":            {"apiVersion": "v1"},
	"fileKeyRef":          {"optional": false},
	"serviceAccountToken": {"expirationSeconds": int64(3600)},
	"podCertificate":      {"maxExpirationSeconds": int64(86400)},
}

// selectors are the label selectors of a pod template. Each is owned as a whole, and {}
// selects everything; any other field that is {} is there only for what others put in it.
var selectors = map[string]bool{"labelSelector": true, "namespaceSelector": true, "selector": true}

func empty(value any) bool {
	fields, ok := value.(map[string]any)
	return ok && len(fields) == 0
}

// members counts what a field set names, besides the thing itself.
func members(owned fieldSet) int {
	if _, self := owned["."]; self {
		return len(owned) - 1
	}
	return len(owned)
}

func leaf(owned fieldSet) bool { return members(owned) == 0 }
