// Package ownership reads managedFields: whether an object is as it was applied, and which
// fields are whose. It is pure.
//
// Sets of fields are those of structured-merge-diff, which the API server writes them with. The
// Extract functions of client-go, measured beside it for a Deployment, take 2.6 times as long
// and 5 times the allocations (240 µs and 2,667 against 92 µs and 514); for ScaledObjects there
// are none.
package ownership

import (
	"fmt"
	"iter"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// fieldsOf is what one entry of managedFields owns; nobody may change it.
func fieldsOf(entry metav1.ManagedFieldsEntry) (*fieldpath.Set, error) {
	fields := &fieldpath.Set{}
	if entry.FieldsV1 == nil {
		return fields, nil
	}
	if err := fields.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
		return nil, fmt.Errorf("reading managedFields of %s: %w", entry.Manager, err)
	}
	return fields, nil
}

// below is what is owned below a field or an item, empty where that is owned as a whole; false
// where nothing of it is owned.
func below(owned *fieldpath.Set, at fieldpath.PathElement) (*fieldpath.Set, bool) {
	if within, ok := owned.Children.Get(at); ok {
		return within, true
	}
	return nothing, owned.Members.Has(at)
}

// nothing is no fields; nobody changes it.
var nothing = fieldpath.NewSet()

// elements are the fields or items of which something is owned.
func elements(owned *fieldpath.Set) iter.Seq[fieldpath.PathElement] {
	return func(yield func(fieldpath.PathElement) bool) {
		for at := range owned.Children.All() {
			if !yield(at) {
				return
			}
		}
		for at := range owned.Members.All() {
			if _, within := owned.Children.Get(at); !within && !yield(at) {
				return
			}
		}
	}
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
func owns(name string, sent, stored, current any, owned *fieldpath.Set) bool {
	if owned.Empty() {
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

func ownsMap(sent, stored, current map[string]any, owned *fieldpath.Set) bool {
	for key, value := range sent {
		child, ok := below(owned, fieldpath.FieldNameElement(key))
		if !ok || !owns(key, value, stored[key], current[key], child) {
			return false
		}
	}
	return len(sent) == size(owned)
}

// ownsList compares a list whose items have keys: the same items, in the same order.
func ownsList(sent, stored, current []any, owned *fieldpath.Set) bool {
	if len(sent) != size(owned) {
		return false
	}
	next := 0
	for i, item := range sent {
		found := false
		for ; next < len(current) && !found; next++ {
			for at := range elements(owned) {
				if hasKeys(item, at) && hasKeys(current[next], at) {
					within, _ := below(owned, at)
					found = owns("", item, stored[i], current[next], within)
				}
			}
		}
		if !found {
			return false
		}
	}
	return true
}

// hasKeys reports whether a list's item is the one that has these keys.
func hasKeys(item any, at fieldpath.PathElement) bool {
	fields, ok := item.(map[string]any)
	if !ok || at.Key == nil {
		return false
	}
	for _, key := range *at.Key {
		given, ok := fields[key.Name]
		if !ok {
			given = "" // as the schema has it for names
		}
		if !value.Equals(value.NewValueInterface(given), key.Value) {
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

// size is the number of fields or items of which something is owned.
func size(owned *fieldpath.Set) (n int) {
	for range elements(owned) {
		n++
	}
	return n
}
