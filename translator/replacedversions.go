package translator

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// replacedVersions are the resource versions of channels that our own status writes
// replaced. While the cache still has such a one, what would be written from it would be
// refused, and what is in the caches beside it is likely to be as old. The zero value is
// ready for use.
//
// A version that is not kept costs a conflict, no more; so few are kept.
type replacedVersions struct {
	mu       sync.Mutex
	versions map[types.NamespacedName]string
}

// replacedKept is how many are kept: a cache has the new one within milliseconds.
const replacedKept = 256

func (r *replacedVersions) add(key types.NamespacedName, version string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.versions == nil || len(r.versions) >= replacedKept {
		r.versions = map[types.NamespacedName]string{}
	}
	r.versions[key] = version
}

// is reports whether the version is the one that was replaced, and forgets that one as soon
// as there is another.
func (r *replacedVersions) is(key types.NamespacedName, version string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	replaced, ok := r.versions[key]
	if ok && replaced != version {
		delete(r.versions, key)
	}
	return ok && replaced == version
}

func (r *replacedVersions) forget(key types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.versions, key)
}
