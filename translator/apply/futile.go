package apply

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
)

// futileApplies are the applies that changed nothing though something was to be changed: the
// API server drops what belongs to a feature that is off there, and an admission webhook may
// undo what it does not like. The same apply would be sent each time that a channel is looked
// at. It is sent again once what is asked for, or what is there, has changed. The zero value
// is ready for use, and holds nothing of objects that are as they are asked for.
type futileApplies struct {
	mu    sync.Mutex
	known map[types.UID]futileApply
}

// futileApply tells an apply, and what it was sent for, from others.
type futileApply struct {
	desired, live [sha256.Size]byte
	at            time.Time
}

// futileRetry is when such an apply is sent once more nevertheless, where the channel is
// looked at: what was in the way may have gone.
const futileRetry = 10 * time.Minute

// futileKept is how many are kept; beyond, a new beginning is made. One that is not kept costs
// an apply, no more.
const futileKept = 10000

// needed reports whether an object has to be applied: it is not as desired, and it is not
// known that an apply changes nothing.
func (f *futileApplies) needed(owned *ownership.Decoded, desired map[string]any, live client.Object, now time.Time) (bool, error) {
	if same, err := owned.Applied(desired, live); same || err != nil {
		return false, err
	}
	f.mu.Lock()
	known, ok := f.known[live.GetUID()]
	f.mu.Unlock()
	if !ok || now.Sub(known.at) >= futileRetry {
		return true, nil
	}
	this, err := futileOf(desired, live)
	return this.desired != known.desired || this.live != known.live, err
}

// add takes down that an apply left an object at a version. It returns what is not as it was
// asked for, as JSON paths: where the apply changed nothing, and the same was not asked before.
func (f *futileApplies) add(desired map[string]any, live client.Object, version string, now time.Time) ([]string, error) {
	if version != live.GetResourceVersion() {
		return nil, nil
	}
	this, err := futileOf(desired, live)
	if err != nil {
		return nil, err
	}
	this.at = now
	f.mu.Lock()
	last := f.known[live.GetUID()]
	if f.known == nil || len(f.known) >= futileKept {
		f.known = map[types.UID]futileApply{}
	}
	f.known[live.GetUID()] = this
	f.mu.Unlock()
	if last.desired == this.desired {
		return nil, nil
	}
	return ownership.Unkept(desired, live)
}

func futileOf(desired map[string]any, live client.Object) (this futileApply, err error) {
	current, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
	if err != nil {
		return this, fmt.Errorf("converting %s: %w", live.GetName(), err)
	}
	// What changes by itself, and is no reason for another try. The main owner has no replicas
	// once an object is there.
	delete(current, "status")
	if metadata, ok := current["metadata"].(map[string]any); ok {
		delete(metadata, "resourceVersion")
		delete(metadata, "generation")
		delete(metadata, "managedFields")
	}
	if spec, ok := current["spec"].(map[string]any); ok {
		delete(spec, "replicas")
	}
	for digest, object := range map[*[sha256.Size]byte]map[string]any{&this.desired: ownership.WithoutIdentity(desired), &this.live: current} {
		data, err := json.Marshal(object)
		if err != nil {
			return this, fmt.Errorf("encoding %s: %w", live.GetName(), err)
		}
		*digest = sha256.Sum256(data)
	}
	return this, nil
}

// noteApply takes down what became of an apply, and warns where the API server keeps
// something otherwise than it was asked for: nothing else would tell.
func (a *Applier) noteApply(ctx context.Context, channel *v1.PubSubChannel, desired map[string]any, live client.Object, version string) error {
	paths, err := a.futile.add(desired, live, version, a.Now())
	if len(paths) == 0 || err != nil {
		return err
	}
	if more := len(paths) - mostPaths; more > 0 {
		paths = append(paths[:mostPaths:mostPaths], fmt.Sprintf("%d more", more))
	}
	a.Warn(ctx, channel, v1.EventNotKept, "Apply", fmt.Sprintf("the API server does not keep %s of %s as the channel asks for it: "+
		"a feature of Kubernetes that is off there, or something that changes it, such as an admission webhook: switch that on or off, or leave it out",
		strings.Join(paths, ", "), live.GetName()))
	return nil
}

// mostPaths is how many fields are told that are not kept.
const mostPaths = 5
