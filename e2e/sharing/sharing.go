// Package sharing lets tests run side by side on one cluster, of which some disturb what others need. Each test says what it
// needs undisturbed, and what it disturbs, and waits for its turn:
//
//	turn := cluster.Announce(sharing.Claim{Needs: []sharing.Part{"keda"}})
//	t.Parallel()
//	if err := turn.Await(t.Context()); err != nil { … }
//	defer turn.End()
package sharing

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// A Part is a part of the cluster that several tests use.
type Part string

// A Claim is what a test does with the parts during its turn.
type Claim struct {
	// Needs are the parts that no other test may disturb meanwhile.
	Needs []Part
	// Disturbs are the parts that no other test may need, or disturb, meanwhile.
	Disturbs []Part
	// Order is among those that wait: the lowest goes first. It is not overtaken by one that would then be in its way.
	Order int
}

func (c Claim) String() string { return fmt.Sprintf("needs %v, disturbs %v", c.Needs, c.Disturbs) }

// conflicts tells whether two turns can't be at the same time.
func (c Claim) conflicts(other Claim) bool {
	return c.harms(other) || other.harms(c)
}

func (c Claim) harms(other Claim) bool {
	return slices.ContainsFunc(c.Disturbs, func(part Part) bool {
		return slices.Contains(other.Needs, part) || slices.Contains(other.Disturbs, part)
	})
}

// A Cluster gives turns to the tests that share it.
type Cluster struct {
	places int

	mu      sync.Mutex
	open    bool
	waiting []*Turn // by their order, and then as they came
	running []*Turn
}

// NewCluster is a cluster on which at most so many turns are at once.
func NewCluster(places int) *Cluster { return &Cluster{places: places} }

// A Turn is a test's, from Announce to End.
type Turn struct {
	cluster *Cluster
	claim   Claim
	given   chan struct{} // closed once it has begun
}

// Announce has a claim wait. Nobody's turn begins before somebody awaits one: so if tests announce before they call
// t.Parallel, and await afterwards, all of them are known when the first one is chosen.
func (c *Cluster) Announce(claim Claim) *Turn {
	t := &Turn{cluster: c, claim: claim, given: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	at, _ := slices.BinarySearchFunc(c.waiting, claim.Order, func(other *Turn, order int) int {
		if other.claim.Order <= order {
			return -1
		}
		return 1
	})
	c.waiting = slices.Insert(c.waiting, at, t)
	return t
}

// Await returns when the turn has begun. After an error there is none, and nothing to end.
func (t *Turn) Await(ctx context.Context) error {
	c := t.cluster
	c.mu.Lock()
	c.open = true
	c.admit()
	c.mu.Unlock()
	select {
	case <-t.given:
		return nil
	case <-ctx.Done():
		present := c.present()
		t.End()
		return fmt.Errorf("waiting for a turn that %s: %w; these had theirs: %v", t.claim, context.Cause(ctx), present)
	}
}

// Exchange ends a turn, or its waiting, and has another claim wait in its stead. No turn of a later order comes between the two:
// that one may take away what was prepared in the first.
func (t *Turn) Exchange(claim Claim) *Turn {
	next := t.cluster.Announce(claim)
	t.End()
	return next
}

// Begun tells whether the turn has begun, be it over or not.
func (t *Turn) Begun() bool {
	select {
	case <-t.given:
		return true
	default:
		return false
	}
}

// End ends a turn, or its waiting. It may be called again.
func (t *Turn) End() {
	c := t.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	isThis := func(other *Turn) bool { return other == t }
	c.waiting = slices.DeleteFunc(c.waiting, isThis)
	c.running = slices.DeleteFunc(c.running, isThis)
	c.admit()
}

// admit begins the turns that can begin; c.mu is held.
func (c *Cluster) admit() {
	if !c.open {
		return
	}
	var left []*Turn
	for _, t := range c.waiting {
		if len(c.running) >= c.places || conflicts(t, c.running) || conflicts(t, left) {
			left = append(left, t)
			continue
		}
		c.running = append(c.running, t)
		close(t.given)
	}
	c.waiting = left
}

func conflicts(t *Turn, others []*Turn) bool {
	return slices.ContainsFunc(others, func(other *Turn) bool { return t.claim.conflicts(other.claim) })
}

// present are the claims of those whose turn it is.
func (c *Cluster) present() (claims []Claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.running {
		claims = append(claims, t.claim)
	}
	return claims
}
