//go:build e2e

package suite

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/e2e/sharing"
)

// The parts of the cluster that the tests share.
const (
	node     sharing.Part = "node"     // its containerd and its kubelet
	keda     sharing.Part = "KEDA"     // its operator and its metrics server
	operator sharing.Part = "operator" // what is installed, and that its controller works
	scalers  sharing.Part = "scalers"  // the operator's pods of that name, to which tests hold connections
)

// The order in which tests that wait get their turns. Those that disturb come last. By then, few others are left that would
// have to wait until they are over.
const (
	early     = iota // what takes longest, so that it is not alone at the end; and what tells that nothing can work
	usual            // most tests
	preparing        // what disturbs later, and has something to set up before
	spare            // what needs so little that it can be beside tests that disturb
	stopsKEDA        // of those that disturb, the first ones: spare tests run beside them
	endsPods
	restartsScalers
	restartsNode
	// The operator is exchanged at the very end. Until then it is the one that TestMain has installed.
	exchanges
	exchangesForGood // what it installs stays, until somebody needs another
	removes
)

// everythingBut are all parts without these.
func everythingBut(parts ...sharing.Part) []sharing.Part {
	return slices.DeleteFunc([]sharing.Part{node, keda, operator, scalers}, func(part sharing.Part) bool { return slices.Contains(parts, part) })
}

// turn is a test's right to use the cluster, and perhaps to disturb it. It ends with the test.
type turn struct {
	t     *testing.T
	claim sharing.Claim
	now   *sharing.Turn
	began time.Time // zero while it waits
}

// beside runs a test beside others, once its turn comes. It needs all parts of the cluster but those that are given.
func beside(t *testing.T, order int, but ...sharing.Part) *turn {
	t.Helper()
	return begin(t, sharing.Claim{Needs: everythingBut(but...), Order: order})
}

// disturb is beside for a test that disturbs these parts of the cluster, and has nothing to prepare.
func disturb(t *testing.T, order int, parts ...sharing.Part) {
	t.Helper()
	begin(t, sharing.Claim{Disturbs: parts, Needs: everythingBut(parts...), Order: order})
}

func begin(t *testing.T, claim sharing.Claim) *turn {
	t.Helper()
	u := &turn{t: t, claim: claim, now: env.cluster.Announce(claim)}
	t.Parallel()
	t.Cleanup(u.end) // the last of all: what a test disturbs is as before by then
	u.await()
	return u
}

// disturb gives up what the test has had until now, and waits until it may disturb these parts; it needs all others. Until
// then, others may disturb what it has set up.
func (u *turn) disturb(order int, parts ...sharing.Part) {
	u.t.Helper()
	u.take(sharing.Claim{Disturbs: parts, Needs: everythingBut(parts...), Order: order})
}

// take is disturb for a test that needs less.
func (u *turn) take(claim sharing.Claim) {
	u.t.Helper()
	u.over()
	u.claim, u.now = claim, u.now.Exchange(claim)
	u.await()
}

func (u *turn) await() {
	u.t.Helper()
	ctx := u.t.Context()
	if deadline, ok := u.t.Deadline(); ok {
		// Before Go ends all tests, which would not tell whose turn it was.
		limited, cancel := context.WithDeadline(ctx, deadline.Add(-commandTimeout))
		defer cancel()
		ctx = limited
	}
	start := time.Now()
	require.NoError(u.t, u.now.Await(ctx))
	u.began = time.Now()
	u.t.Logf("its turn came after %.1f s", u.began.Sub(start).Seconds())
	if u.claim.Order < exchangesForGood {
		require.NoError(u.t, env.installation.restore(ctx))
	}
}

func (u *turn) end() {
	u.t.Helper()
	u.over()
	u.now.End()
}

// over tells how long the turn took.
func (u *turn) over() {
	u.t.Helper()
	if !u.began.IsZero() {
		u.t.Logf("its turn took %.1f s", time.Since(u.began).Seconds())
		u.began = time.Time{}
	}
}

// installation knows whether the operator that is installed is TestMain's. An upgrade takes as long as a small test, so
// those that exchange the operator one after the other do not restore it in between.
type installation struct {
	mu    sync.Mutex // whoever needs it waits until it is restored
	other bool
}

// leave tells that a test leaves another operator, or none.
func (i *installation) leave() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.other = true
}

// restore installs TestMain's operator again, if it is another one.
func (i *installation) restore(ctx context.Context) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.other {
		return nil
	}
	err := install(ctx)
	i.other = err != nil
	return err
}
