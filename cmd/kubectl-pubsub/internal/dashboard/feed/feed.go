// Package feed tells a record.Fleet what the Kubernetes API says of the channels, with the user's
// own rights. What is not permitted is told as such, what can't be reached is tried again, and what
// can't be read is a row that says so.
package feed

import (
	"context"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/record"
)

// rhythm is how often the API server is asked.
type rhythm struct {
	pause time.Duration // after a watch that ended
	// longestPause is after several requests in a row that failed.
	longestPause time.Duration
	// forbiddenPause is after one that was not permitted, so that a right that is given shows soon.
	// It doubles up to the longest: a user may have no right in many namespaces.
	forbiddenPause, longestForbiddenPause time.Duration
	// watch is how long one watch lasts. The API server looks at rights only when one begins, so a
	// right that was taken away shows after this.
	watch time.Duration
	// overdue is how much longer a watch is waited for: its end may be lost on the way, as all that it would tell.
	overdue time.Duration
	// namespaces is how often it is asked which namespaces there are, while they are followed one by one.
	namespaces time.Duration
	// silence is for how long a watch that lives says nothing at most: the API server sends a bookmark each minute
	// (apiserver, pkg/storage/cacher, bookmarkFrequency). In a longer one that did not end well, anything may have happened.
	silence time.Duration
	// tick is how often it is looked whether the machine slept, and asleep how long that is at least.
	tick, asleep time.Duration
}

var everyday = rhythm{
	pause: time.Second, longestPause: 5 * time.Second, forbiddenPause: 30 * time.Second, longestForbiddenPause: 5 * time.Minute,
	watch: 5 * time.Minute, overdue: 30 * time.Second, namespaces: time.Minute, silence: 90 * time.Second, tick: time.Second, asleep: 30 * time.Second,
}

// Options say which channels.
type Options struct {
	// Namespaces; none: all of them.
	Namespaces []string
	// Own is the context's namespace, which is shown if all are asked for and not permitted.
	Own string
}

// Feed is the way from the cluster to the fleet.
type Feed struct {
	cluster *connect.Cluster
	raw     rest.Interface
	fleet   *record.Fleet
	now     func() time.Time // the cluster's clock
	local   func() time.Time // this machine's, which moves on evenly while the difference of the two is learned
	rhythm  rhythm

	mu     sync.Mutex
	scopes map[string]scope // by namespace, "" for all
	orders []string         // the scopes' names in the order in which they are told
	listed bool             // one of them was, or is known not to be permitted
	partly string           // which namespaces are not followed one by one, and the remedy; empty: none

	sleep sleep
}

// scope is how it is with one namespace.
type scope struct {
	forbidden string // why it is not permitted; empty: it is
	problem   string // why the API server can't be asked; empty: it can
}

// New prepares a feed; nothing is asked yet. The fleet is told what is seen by the clock now.
func New(cluster *connect.Cluster, fleet *record.Fleet, now func() time.Time) (*Feed, error) {
	raw, err := cluster.Raw()
	if err != nil {
		return nil, err
	}
	return &Feed{cluster: cluster, raw: raw, fleet: fleet, now: now, local: time.Now, rhythm: everyday, scopes: map[string]scope{}, sleep: sleep{over: make(chan struct{})}}, nil
}

// Run tells the fleet until the context ends.
func (f *Feed) Run(ctx context.Context, options Options) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { f.findSleeps(ctx) })
	if len(options.Namespaces) == 0 {
		f.add("")
		f.newFollower("", &apart{feed: f, own: options.Own}).run(ctx)
		return
	}
	for _, name := range options.Namespaces { // first, so that the first word is of all of them
		f.add(name)
	}
	for _, name := range options.Namespaces {
		running.Go(func() { f.newFollower(name, nil).run(ctx) })
	}
}

func (f *Feed) add(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.scopes[name]; !known {
		f.scopes[name] = scope{}
		f.orders = append(f.orders, name)
	}
}

// remove takes away a scope that nobody follows any more. The fleet is told with the next word.
func (f *Feed) remove(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.scopes, name)
	f.orders = slices.DeleteFunc(f.orders, func(each string) bool { return each == name })
}

// leaveOut sets which namespaces are not followed one by one, in words. The fleet is told with the next word.
func (f *Feed) leaveOut(words string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.partly = words
}

// retell tells the fleet how it is with all scopes.
func (f *Feed) retell() {
	at := f.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.announce(at)
}

// tell sets how it is with a scope, and tells the fleet.
func (f *Feed) tell(name string, now scope) {
	at := f.now()
	f.mu.Lock()
	defer f.mu.Unlock() // also while the fleet is told, or it would be told last of a state that is over
	f.scopes[name] = now
	f.listed = f.listed || now.problem == ""
	f.announce(at)
}

// announce tells the fleet how it is with all scopes. The lock is held.
func (f *Feed) announce(at time.Time) {
	var namespaces []protocol.Namespace
	problem := ""
	for _, each := range f.orders {
		s := f.scopes[each]
		why := s.forbidden
		if each == "" && why != "" && f.partly != "" {
			why += "; " + f.partly
		}
		namespaces = append(namespaces, protocol.Namespace{Name: each, Permitted: s.forbidden == "", Why: why})
		if problem == "" {
			problem = s.problem
		}
	}
	if f.listed {
		f.fleet.Permit(namespaces)
	}
	f.fleet.Connect(problem == "", problem, at)
}
