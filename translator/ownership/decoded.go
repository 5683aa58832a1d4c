package ownership

import (
	"bytes"
	"sync"
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Decoded keeps one copy of each set of owned fields: nearly all objects have the same,
// and each is some hundred bytes, and long to decode. The zero value is ready for use; nil
// keeps nothing.
type Decoded struct {
	mu   sync.Mutex
	sets map[string]*ownedSet
}

type ownedSet struct {
	raw     *metav1.FieldsV1
	decoded *fieldpath.Set
	// alone is all that is kept where only the main owner applied, as for most objects.
	alone []metav1.ManagedFieldsEntry
}

// ownedFieldsKept is how many sets are kept; beyond, a new beginning is made, and what
// objects have remains theirs.
const ownedFieldsKept = 1000

// share returns the one copy, which nobody may change: what is read from a cache is a copy
// of its own.
func (o *Decoded) share(fields []byte) *ownedSet {
	o.mu.Lock()
	defer o.mu.Unlock()
	if set, ok := o.sets[string(fields)]; ok {
		return set
	}
	if len(o.sets) >= ownedFieldsKept {
		clear(o.sets)
	}
	if o.sets == nil {
		o.sets = map[string]*ownedSet{}
	}
	text := string(fields)
	raw := metav1.NewFieldsV1(text)
	set := &ownedSet{raw: raw, alone: []metav1.ManagedFieldsEntry{{
		Manager: Main, Operation: metav1.ManagedFieldsOperationApply, FieldsV1: raw,
	}}}
	set.decoded, _ = fieldsOf(set.alone[0]) // what can't be read is tried again, and told, by who needs it
	o.sets[text] = set
	return set
}

// decoded is what a set says, which nobody may change; nil where it is not kept.
func (o *Decoded) decoded(raw *metav1.FieldsV1) *fieldpath.Set {
	if o == nil {
		return nil
	}
	text := raw.GetRawString()
	o.mu.Lock()
	defer o.mu.Unlock()
	if set, ok := o.sets[text]; ok {
		return set.decoded
	}
	return nil
}

// fieldsOf is what one entry of managedFields owns; nobody may change it.
func (o *Decoded) fieldsOf(entry metav1.ManagedFieldsEntry) (*fieldpath.Set, error) {
	if entry.FieldsV1 != nil {
		if fields := o.decoded(entry.FieldsV1); fields != nil {
			return fields, nil
		}
	}
	return fieldsOf(entry)
}

// Kept is what is kept of an object's managedFields: what the main owner applied, and that
// somebody else owns spec.replicas. It is one slice for all objects that only the main owner
// applied alike: each entry is some hundred bytes.
func (o *Decoded) Kept(object client.Object) []metav1.ManagedFieldsEntry {
	controller := metav1.GetControllerOfNoCopy(object)
	var all, alone []metav1.ManagedFieldsEntry
	for _, entry := range object.GetManagedFields() {
		main := entry.Manager == Main && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == ""
		if entry.FieldsV1 == nil || !main && !bytes.Contains(entry.FieldsV1.GetRawBytes(), []byte(`"f:replicas"`)) {
			continue
		}
		set := o.share(withoutUID(entry.FieldsV1.GetRawBytes(), controller))
		if main {
			alone = set.alone
		}
		all = append(all, metav1.ManagedFieldsEntry{
			Manager: unique.Make(entry.Manager).Value(), Operation: unique.Make(entry.Operation).Value(),
			Subresource: unique.Make(entry.Subresource).Value(), FieldsV1: set.raw,
		})
	}
	if len(all) == 1 && alone != nil {
		return alone
	}
	return all
}

// withoutUID names the reference to the channel by its being the controller's, of which
// there is one, in place of its uid: that alone would make every set of fields another.
// What is found by the key is compared in whole, uid included.
func withoutUID(fields []byte, controller *metav1.OwnerReference) []byte {
	if controller == nil {
		return fields
	}
	return bytes.ReplaceAll(fields, []byte(`{\"uid\":\"`+string(controller.UID)+`\"}`), []byte(`{\"controller\":true}`))
}
