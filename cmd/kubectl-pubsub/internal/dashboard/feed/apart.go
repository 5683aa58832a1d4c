package feed

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
)

// mostNamespaces are followed one by one where all at once are not permitted.
const mostNamespaces = 200

// apart follows namespaces one by one, as long as all at once are not permitted. Its methods are
// called by the follower of all.
type apart struct {
	feed *Feed
	own  string // of the kubeconfig's context

	stop  context.CancelFunc // nil: nobody is followed
	ended chan struct{}
	// These two are of the goroutine of run; once it has ended, of the follower of all.
	following map[string]*single
	// orphans are channels that were seen while all at once were permitted, and that nobody follows yet.
	orphans map[string]remembered
	heard   time.Time // when the API server last said anything about the orphans
}

// single is a follower of one namespace, running.
type single struct {
	*follower
	stop  context.CancelFunc
	ended chan struct{}
}

// end stops it, and waits until it tells nothing more.
func (s *single) end() {
	s.stop()
	<-s.ended
}

// begin has the namespaces followed one by one, unless they are already. They take over what was
// known of all at once, so that the past of a channel that stays permitted is not lost.
func (a *apart) begin(ctx context.Context, known *decoder, heard time.Time) {
	if a.stop != nil {
		return
	}
	ctx, a.stop = context.WithCancel(ctx)
	a.ended, a.following, a.orphans, a.heard = make(chan struct{}), map[string]*single{}, known.release(), heard
	go func() {
		defer close(a.ended)
		a.run(ctx)
	}()
}

// end stops that, since all at once are permitted, and hands over what was known. It reports
// whether there was anything to stop.
func (a *apart) end(into *decoder) bool {
	if a.stop == nil {
		return false
	}
	a.stop()
	<-a.ended
	a.stop = nil
	for name, s := range a.following {
		s.hear()
		into.adopt(s.known.release())
		a.feed.remove(name)
	}
	into.adopt(a.orphans)
	a.feed.leaveOut("")
	return true
}

// run follows the namespaces that there are, and asks for them again and again: some are made, some
// are deleted, and the right to list them comes and goes.
func (a *apart) run(ctx context.Context) {
	defer func() {
		for _, s := range a.following {
			s.end()
		}
	}()
	for ctx.Err() == nil {
		wait := a.feed.rhythm.namespaces
		names, err := a.feed.namespaces(ctx, a.own)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			a.leave(names)
			a.follow(ctx, names...)
			a.dropOrphans()
		case apierrors.IsForbidden(err): // those that are followed may be there still
			a.follow(ctx, a.own)
			a.dropOrphans()
		default:
			wait = a.feed.rhythm.longestPause
			a.follow(ctx, a.own)
		}
		a.feed.retell()
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// leave ends the followers of namespaces that are not there any more.
func (a *apart) leave(names []string) {
	for name, s := range a.following {
		if !slices.Contains(names, name) {
			s.end()
			s.forgetAll()
			delete(a.following, name)
			a.feed.remove(name)
		}
	}
}

// follow begins with the namespaces that nobody follows yet.
func (a *apart) follow(ctx context.Context, names ...string) {
	for _, name := range names {
		if name == "" || a.following[name] != nil {
			continue
		}
		ctx, stop := context.WithCancel(ctx)
		s := &single{follower: a.feed.newFollower(name, nil), stop: stop, ended: make(chan struct{})}
		a.following[name] = s
		inherited := map[string]remembered{}
		for key, channel := range a.orphans {
			if strings.HasPrefix(key, name+"/") {
				inherited[key] = channel
				delete(a.orphans, key)
			}
		}
		s.known.adopt(inherited)
		s.heard = a.heard
		a.feed.add(name)
		go func() {
			defer close(s.ended)
			s.run(ctx)
		}()
	}
}

// dropOrphans takes away the channels of namespaces that nobody follows.
func (a *apart) dropOrphans() {
	for key := range a.orphans {
		a.feed.fleet.Forget(key)
	}
	clear(a.orphans)
}

// namespaces are those to follow one by one: all, if the user may list them. What is left out is
// told with the scope of all.
func (f *Feed) namespaces(ctx context.Context, own string) ([]string, error) {
	names := map[string]bool{own: true}
	total := 0
	for next := ""; ; {
		list := &corev1.NamespaceList{}
		bounded, cancel := f.cluster.Bounded(ctx)
		err := f.cluster.Client.List(bounded, list, client.Limit(pageSize), client.Continue(next))
		if err != nil {
			// Before the context is cancelled: of one that is, nobody needs a remedy.
			told := connect.RequestError(bounded, err, connect.Access{Verb: "list", Resource: "namespaces"}, "")
			cancel()
			f.leaveOut(fmt.Sprintf("of the others only %s is tried, unless it was known before, because the namespaces are not known (%v): name more with --namespace, with commas between them", own, told))
			return nil, err
		}
		cancel()
		for _, namespace := range list.Items {
			if total++; total <= mostNamespaces {
				names[namespace.Name] = true
			}
		}
		if next = list.Continue; next == "" {
			break
		}
	}
	words := ""
	if total > mostNamespaces {
		words = fmt.Sprintf("only the first %d of %d namespaces are tried one by one: name others with --namespace, with commas between them", mostNamespaces, total)
	}
	f.leaveOut(words)
	return slices.Sorted(maps.Keys(names)), nil
}
