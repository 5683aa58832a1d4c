//go:build e2e

package suite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// step is a value that spec.replicas of a Deployment took.
type step struct {
	replicas int32
	at       time.Time // when the watch told
}

// recorder keeps every value of a Deployment's spec.replicas, from a watch that misses
// none.
type recorder struct {
	s     *space
	mu    sync.Mutex
	steps []step
	ended error // the watch ended while the test went on
}

// record starts with the Deployment's present replicas.
func (s *space) record(deployment string) *recorder {
	s.t.Helper()
	live := &appsv1.Deployment{}
	require.NoError(s.t, env.client.Get(s.t.Context(), client.ObjectKey{Namespace: s.name, Name: deployment}, live))
	r := &recorder{s: s, steps: []step{{ptr.Deref(live.Spec.Replicas, 1), time.Now()}}}
	watcher, err := watchtools.NewRetryWatcherWithContext(s.t.Context(), live.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector = "metadata.name=" + deployment
			return env.client.Watch(ctx, &appsv1.DeploymentList{}, client.InNamespace(s.name), &client.ListOptions{Raw: &options})
		},
	})
	require.NoError(s.t, err)
	var following sync.WaitGroup
	following.Go(func() { r.follow(watcher) })
	s.t.Cleanup(func() { // the test's context has ended by now, and the watch with it
		following.Wait()
	})
	return r
}

func (r *recorder) follow(watcher *watchtools.RetryWatcher) {
	for event := range watcher.ResultChan() {
		deployment, ok := event.Object.(*appsv1.Deployment)
		if !ok {
			r.mu.Lock()
			r.ended = fmt.Errorf("the watch of the Deployment broke: %v", event.Object)
			r.mu.Unlock()
			continue
		}
		if event.Type == watch.Deleted {
			continue
		}
		r.mu.Lock()
		now, last := ptr.Deref(deployment.Spec.Replicas, 1), r.steps[len(r.steps)-1].replicas
		if now != last {
			r.steps = append(r.steps, step{now, time.Now()})
		}
		r.mu.Unlock()
		if now != last && r.s.t.Context().Err() == nil {
			r.s.logf("spec.replicas %d → %d", last, now)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.s.t.Context().Err() == nil && r.ended == nil {
		r.ended = errors.New("the watch of the Deployment ended")
	}
}

func (r *recorder) all() []step {
	r.s.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.NoError(r.s.t, r.ended)
	return slices.Clone(r.steps)
}

// values are all replicas so far, in their order.
func (r *recorder) values() []int32 {
	r.s.t.Helper()
	var values []int32
	for _, s := range r.all() {
		values = append(values, s.replicas)
	}
	return values
}

func (r *recorder) last() step {
	r.s.t.Helper()
	all := r.all()
	return all[len(all)-1]
}

// latest is last for goroutines that are not the test's: it can't fail the test, and is
// the last value that was seen.
func (r *recorder) latest() step {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.steps[len(r.steps)-1]
}

// after is the step that came next, if there was one yet.
func (r *recorder) after(last step) *step {
	r.s.t.Helper()
	all := r.all()
	if next := slices.Index(all, last) + 1; next < len(all) {
		return &all[next]
	}
	return nil
}

// untilValues waits until spec.replicas has taken exactly these values, one after the
// other; it fails as soon as another one comes.
func (r *recorder) untilValues(within time.Duration, wanted ...int32) {
	r.s.t.Helper()
	r.s.until(within, fmt.Sprintf("spec.replicas went %v", wanted), func(context.Context) error {
		got := r.values()
		if len(got) > len(wanted) || !slices.Equal(got, wanted[:len(got)]) {
			require.Equal(r.s.t, wanted, got, "spec.replicas took another way")
		}
		if len(got) < len(wanted) {
			return fmt.Errorf("so far it went %v", got)
		}
		return nil
	})
}

// staysAt is a condition for assertStable: spec.replicas has not changed since the last
// of these values.
func (r *recorder) staysAt(wanted int32) func(context.Context) error {
	before := len(r.all())
	return func(context.Context) error {
		if got := r.values(); len(got) != before || got[before-1] != wanted {
			return fmt.Errorf("spec.replicas is not what it was: it went %v", got)
		}
		return nil
	}
}

// holds asserts that spec.replicas stays for that many syncs of the HPA.
func (r *recorder) holds(replicas int32, syncs int, why string) {
	r.s.t.Helper()
	// One sync more: the first one may be about to happen.
	r.s.assertStable(env.syncs(syncs+1), fmt.Sprintf("spec.replicas holds at %d for %d HPA syncs, %s", replicas, syncs, why), r.staysAt(replicas))
}

// requireCooldown requires that the changes are at least the cooldown apart, but for the
// step 0 → 1, which neither waits nor counts. The HPA's lastScaleTime has whole seconds,
// and the watch has its delay.
func (r *recorder) requireCooldown(cooldown time.Duration) {
	r.s.t.Helper()
	const inexact = 1500 * time.Millisecond
	all := r.all()
	for i := 2; i < len(all); i++ {
		if all[i-2].replicas == 0 || all[i-1].replicas == 0 {
			continue
		}
		gap := all[i].at.Sub(all[i-1].at)
		require.GreaterOrEqualf(r.s.t, gap, cooldown-inexact, "%d → %d came %.1f s after %d → %d, within the cooldown of %s",
			all[i-1].replicas, all[i].replicas, gap.Seconds(), all[i-2].replicas, all[i-1].replicas, cooldown)
	}
}
