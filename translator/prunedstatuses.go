package translator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// prunedStatuses are the statuses of which the API server kept only a part, because its CRD
// is older than this controller: it drops what the CRD does not know. Or nothing: it refuses
// the status of a channel that breaks a rule which came later (one of 1.30 does), or what an
// older CRD forbids. What is not kept counts as written all the same. Otherwise the same
// status would be written, and the same scaling told, each time that a channel is looked at.
// The zero value is ready for use.
//
// With a CRD that fits, nothing is kept here. What is missing is sent again with the next
// status that has something new: by then the channel or the CRD may have been corrected.
type prunedStatuses struct {
	mu       sync.Mutex
	statuses map[types.NamespacedName]prunedStatus // by name, so that what is gone can be forgotten
	dropped  []string                              // paths of fields that were ever dropped, of any channel
}

type prunedStatus struct {
	uid           types.UID
	written, kept v1.PubSubChannelStatus
	// read is kept as a watch may tell of it that goes by a CRD of before: without all that was ever
	// dropped. The next CRD may know some of that, and still not all.
	read    v1.PubSubChannelStatus
	refusal string // the API server's message; empty where it kept a part
}

// channelID tells a channel from one of the same name that came before.
type channelID struct {
	types.NamespacedName
	uid types.UID
}

func identityOf(channel *v1.PubSubChannel) channelID {
	return channelID{client.ObjectKeyFromObject(channel), channel.UID}
}

// whole is what was written of a status, from what the API server has kept of it. Anything
// else is returned as it is: somebody else has written it.
func (p *prunedStatuses) whole(key channelID, stored v1.PubSubChannelStatus) v1.PubSubChannelStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	pruned, ok := p.statuses[key.NamespacedName]
	if !ok {
		return stored
	}
	ours := pruned.uid == key.uid &&
		(apiequality.Semantic.DeepEqual(pruned.kept, stored) || apiequality.Semantic.DeepEqual(pruned.read, stored))
	if !ours || apiequality.Semantic.DeepEqual(pruned.written, stored) { // the latter is whole by now
		delete(p.statuses, key.NamespacedName)
		return stored
	}
	return *pruned.written.DeepCopy()
}

// stored is the status as the API server has it, of one that whole has returned.
func (p *prunedStatuses) stored(key channelID, status v1.PubSubChannelStatus) v1.PubSubChannelStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pruned, ok := p.statuses[key.NamespacedName]; ok && pruned.uid == key.uid {
		return *pruned.kept.DeepCopy()
	}
	return status
}

// add takes down what the API server answered to a status that was written. It returns the
// paths of the fields that it dropped, each the first time that it is seen with any channel.
func (p *prunedStatuses) add(key channelID, written, kept v1.PubSubChannelStatus) (news []string, err error) {
	dropped, err := droppedFields(written, kept)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, field := range dropped {
		if !slices.Contains(p.dropped, field) {
			p.dropped, news = append(p.dropped, field), append(news, field)
		}
	}
	delete(p.statuses, key.NamespacedName)
	if len(p.dropped) == 0 {
		return nil, nil
	}
	// A watch goes by the CRD that was there when it began, for a minute and more after
	// another was put in: what is written may be whole, and still be read without a part.
	read, err := without(kept, p.dropped)
	if err != nil {
		return news, err
	}
	if !apiequality.Semantic.DeepEqual(written, read) {
		p.set(key, prunedStatus{written: *written.DeepCopy(), kept: *kept.DeepCopy(), read: read})
	}
	return news, nil
}

// refuse takes down that the API server refused a status, and reports whether its message is
// new.
func (p *prunedStatuses) refuse(key channelID, written, stored v1.PubSubChannelStatus, message string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.statuses[key.NamespacedName]
	read, err := without(stored, p.dropped)
	if err != nil {
		read = stored
	}
	p.set(key, prunedStatus{written: *written.DeepCopy(), kept: *stored.DeepCopy(), read: *read.DeepCopy(), refusal: message})
	return last.refusal != message
}

func (p *prunedStatuses) set(key channelID, status prunedStatus) {
	if p.statuses == nil {
		p.statuses = map[types.NamespacedName]prunedStatus{}
	}
	status.uid = key.uid
	p.statuses[key.NamespacedName] = status
}

func (p *prunedStatuses) forget(key types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.statuses, key)
}

// droppedFields are the paths of what a written status has and is not kept as it was written, in
// order: a field, or a part of one, such as decision.window; conditions[].reason is one of the
// items of a list.
func droppedFields(written, kept v1.PubSubChannelStatus) (dropped []string, err error) {
	if apiequality.Semantic.DeepEqual(written, kept) {
		return nil, nil
	}
	before, err := statusFields(written)
	if err != nil {
		return nil, err
	}
	after, err := statusFields(kept)
	if err != nil {
		return nil, err
	}
	compare("", before, after, func(path string) { dropped = append(dropped, path) })
	slices.Sort(dropped)
	return slices.Compact(dropped), nil
}

// compare finds the paths of what before has and after has not, each as long as both have
// something of the kind there: an older CRD may know a field, and not all of its parts.
func compare(path string, before, after any, differs func(path string)) {
	switch before := before.(type) {
	case map[string]any:
		if after, ok := after.(map[string]any); ok {
			for name, part := range before {
				compare(strings.TrimPrefix(path+"."+name, "."), part, after[name], differs)
			}
			return
		}
	case []any:
		if after, ok := after.([]any); ok && len(after) == len(before) {
			for i := range before {
				compare(path+items, before[i], after[i], differs)
			}
			return
		}
	}
	if !reflect.DeepEqual(before, after) {
		differs(path)
	}
}

// items ends the name of a list whose items a path goes on in.
const items = "[]"

// without is a status as it is read where the CRD has not these fields.
func without(status v1.PubSubChannelStatus, paths []string) (v1.PubSubChannelStatus, error) {
	if len(paths) == 0 {
		return status, nil
	}
	fields, err := statusFields(status)
	if err != nil {
		return status, err
	}
	for _, path := range paths {
		remove(fields, strings.Split(path, "."))
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return status, fmt.Errorf("encoding a status: %w", err)
	}
	status = v1.PubSubChannelStatus{}
	if err := json.Unmarshal(data, &status); err != nil {
		return status, fmt.Errorf("decoding a status: %w", err)
	}
	return status, nil
}

// remove takes away what is at a path, of each item where it leads into a list.
func remove(from any, path []string) {
	if list, ok := from.([]any); ok {
		for _, item := range list {
			remove(item, path)
		}
		return
	}
	fields, ok := from.(map[string]any)
	if name := strings.TrimSuffix(path[0], items); ok && len(path) == 1 {
		delete(fields, name)
	} else if ok {
		remove(fields[name], path[1:])
	}
}

// statusFields are a status's fields as they are sent: a time without its fractions, for
// example.
func statusFields(status v1.PubSubChannelStatus) (fields map[string]any, err error) {
	data, err := json.Marshal(status)
	if err != nil {
		return nil, fmt.Errorf("encoding a status: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // an int64 may be larger than a float64 tells exactly
	if err := decoder.Decode(&fields); err != nil {
		return nil, fmt.Errorf("decoding a status: %w", err)
	}
	return fields, nil
}
