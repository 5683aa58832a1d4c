// Package watched knows which of the watched namespaces can be read, so that one that can't be
// holds up no other.
//
// A cache of some namespaces has an informer for each namespace and kind, and counts as filled
// when all of them are. A namespace without its Role would keep it from that for ever. So the
// informers of NewInformer are not waited for once the API server has refused to let them read,
// and Guard turns what is read of such a namespace into an error: its cache is empty because
// nobody may look, not because there is nothing. The informers themselves go on trying, less
// often with each attempt. Once one may read, its namespace is served like any other.
package watched

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
)

// patience is how long a failure may last that the next attempt may mend. An API server that
// has just started refuses everything for a few seconds, before it knows the Roles. Other
// failures, such as an answer that can't be decoded, hold up all namespaces for as long.
// controller-runtime waits for a kind for 2 minutes (controller.Options.CacheSyncTimeout).
const patience = 30 * time.Second

// ErrUnreadable is wrapped by the error of reading a namespace that can't be read.
var ErrUnreadable = errors.New("can't be read")

// Namespaces are the watched ones. Nil means all of the cluster, which nothing here changes.
type Namespaces struct {
	names []string
	clock clock.PassiveClock
	log   *slog.Logger

	mu    sync.Mutex
	kinds map[string][]*kind // by namespace
	told  map[string]bool    // namespaces of which the log says that they can't be read
}

// kind is what is known of reading one kind in one namespace.
type kind struct {
	synced func() bool // whether all of it was read once

	// Of Namespaces.mu:

	failure error     // of the last attempt that failed
	since   time.Time // when such failures began
	begun   bool      // the last attempt began well
	waived  bool      // nobody waits for the first read any more
}

// why is what keeps it from being read; nil: nothing that is known. A first read that began well may still fail, as one whose
// answer can't be decoded does at each attempt: so its failure counts until all was read. But whose read began is not refused.
func (k *kind) why() error {
	if k.begun && (k.synced() || apierrors.IsForbidden(k.failure)) {
		return nil
	}
	return k.failure
}

// New makes the watched namespaces; nil if there are no names. The clock tells how long a
// failure lasts. The log tells of each namespace once when it can't be read, and once when it
// can.
func New(names []string, passive clock.PassiveClock, log *slog.Logger) *Namespaces {
	if len(names) == 0 {
		return nil
	}
	return &Namespaces{names: slices.Clone(names), clock: passive, log: log, kinds: map[string][]*kind{}, told: map[string]bool{}}
}

// Configs are those of a cache whose informers are of NewInformer; nil means one for all
// namespaces. A transform that is nil changes nothing.
func (n *Namespaces) Configs(transform toolscache.TransformFunc) map[string]cache.Config {
	if n == nil {
		return nil
	}
	configs := make(map[string]cache.Config, len(n.names))
	for _, name := range n.names {
		configs[name] = cache.Config{Transform: Transform(name, transform)}
	}
	return configs
}

// Check returns why a namespace can't be read, which wraps ErrUnreadable. It is nil for a namespace
// that has not answered yet: who reads it waits for its answer.
func (n *Namespaces) Check(namespace string) error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.check(namespace)
}

// check is Check with the lock.
func (n *Namespaces) check(namespace string) error {
	for _, k := range n.kinds[namespace] {
		if is, why := n.unreadable(k); is {
			return fmt.Errorf("namespace %s %w: %s", namespace, ErrUnreadable, explain(namespace, why))
		}
	}
	return nil
}

// Ready returns why none of the namespaces can be read. It is nil if at least one can.
func (n *Namespaces) Ready() error {
	if n == nil {
		return nil
	}
	var errs []error
	for _, name := range n.names {
		err := n.Check(name)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("none of the watched namespaces can be read: %w", errors.Join(errs...))
}

// Unreadable is how many namespaces can't be read.
func (n *Namespaces) Unreadable() int {
	if n == nil {
		return 0
	}
	count := 0
	for _, name := range n.names {
		if n.Check(name) != nil {
			count++
		}
	}
	return count
}

// unreadable reports whether a kind can't be read, and why; nil means that it is being read for
// the first time. What was read before is still good while the API server is away, as it is
// without watched namespaces. But who may not read any more is told of no change, for ever.
func (n *Namespaces) unreadable(k *kind) (is bool, why error) {
	why = k.why()
	if !k.synced() {
		return n.isWaived(k), why
	}
	return apierrors.IsForbidden(why) && n.clock.Since(k.since) >= patience, why
}

// isWaived reports whether nobody waits for the first read of a kind, now or ever again: a caller
// that has gone on because of it must not be held up later.
func (n *Namespaces) isWaived(k *kind) bool {
	if why := k.why(); why != nil && (apierrors.IsForbidden(why) || n.clock.Since(k.since) >= patience) {
		k.waived = true
	}
	return k.waived
}

// explain is the cause with the remedy. It is a text only: a caller that looks for "not found" in
// an error means the object that it asked for.
func explain(namespace string, why error) string {
	switch {
	case why == nil:
		return "its objects are being read for the first time; try again"
	case apierrors.IsForbidden(why):
		return fmt.Sprintf("%s: run helm upgrade, which makes its Role again (the namespace must exist), or take %s out of --watch-namespaces (the chart's watchNamespaces)", why.Error(), namespace)
	default:
		return why.Error() + ": it is tried again"
	}
}

// add takes a kind of a namespace in.
func (n *Namespaces) add(namespace string, k *kind) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kinds[namespace] = append(n.kinds[namespace], k)
}

// heard takes down how an attempt to read a kind went.
func (n *Namespaces) heard(ctx context.Context, namespace string, k *kind, err error) {
	if ctx.Err() != nil {
		return // the program ends
	}
	n.mu.Lock()
	if err != nil {
		if k.why() == nil || apierrors.IsForbidden(k.failure) != apierrors.IsForbidden(err) {
			k.since = n.clock.Now()
		}
		k.failure = err
	}
	k.begun = err == nil
	n.mu.Unlock()
	n.tell(ctx, namespace)
}

// tell logs that a namespace can't be read, or that it can again, where that is new.
func (n *Namespaces) tell(ctx context.Context, namespace string) {
	n.mu.Lock()
	err := n.check(namespace)
	news := n.told[namespace] != (err != nil)
	n.told[namespace] = err != nil
	n.mu.Unlock()
	switch {
	case news && err != nil:
		n.log.ErrorContext(ctx, "a watched namespace can't be read: its channels wait, those of other namespaces don't", "namespace", namespace, "error", err)
	case news:
		n.log.InfoContext(ctx, "a watched namespace can be read now", "namespace", namespace)
	}
}

// waived is isWaived for who does not have the lock.
func (n *Namespaces) waived(k *kind) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.isWaived(k)
}
