package translator

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ownedFields keeps one copy of each set of owned fields: nearly all objects have the same,
// and each is some hundred bytes, and long to decode. The zero value is ready for use; nil
// keeps nothing.
type ownedFields struct {
	mu   sync.Mutex
	sets map[string]*ownedSet
}

type ownedSet struct {
	raw     *metav1.FieldsV1
	decoded fieldSet
	// alone is all that is kept where only the main owner applied, as for most objects.
	alone []metav1.ManagedFieldsEntry
}

// ownedFieldsKept is how many sets are kept; beyond, a new beginning is made, and what
// objects have remains theirs.
const ownedFieldsKept = 1000

// share returns the one copy, which nobody may change: what is read from a cache is a copy
// of its own.
func (o *ownedFields) share(fields []byte) *ownedSet {
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
		Manager: ownerMain, Operation: metav1.ManagedFieldsOperationApply, FieldsV1: raw,
	}}}
	set.decoded, _ = decodeFields(raw) // what can't be read is tried again, and told, by who needs it
	o.sets[text] = set
	return set
}

// decoded is what a set says, which nobody may change; nil where it is not kept.
func (o *ownedFields) decoded(raw *metav1.FieldsV1) fieldSet {
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
func (o *ownedFields) fieldsOf(entry metav1.ManagedFieldsEntry) (fieldSet, error) {
	if entry.FieldsV1 != nil {
		if fields := o.decoded(entry.FieldsV1); fields != nil {
			return fields, nil
		}
	}
	return fieldsOf(entry)
}
