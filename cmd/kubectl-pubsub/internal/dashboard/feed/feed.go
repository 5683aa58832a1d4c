// Package feed tells a record.Fleet what the Kubernetes API says of the channels, with the user's
// own rights. What is not permitted is told as such, and what can't be reached is tried again.
package feed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/channels"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/record"
)

// How long the API server is left alone.
const (
	pause = time.Second // after a watch that ended
	// longestPause is after several requests in a row that failed.
	longestPause = 5 * time.Second
	// forbiddenPause is after one that was not permitted, so that a right that is given shows soon.
	// It doubles up to the longest: a user may have no right in many namespaces.
	forbiddenPause        = 30 * time.Second
	longestForbiddenPause = 5 * time.Minute
)

const (
	// pageSize is how many channels one answer has.
	pageSize = 500
	// mostNamespaces are watched one by one where all at once are not permitted.
	mostNamespaces = 200
	// longestFrame is the longest event of a watch: etcd takes no larger object.
	longestFrame = 8 << 20
)

// plainV1 is the version of the options of lists and watches.
var plainV1 = schema.GroupVersion{Version: "v1"}

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
	now     func() time.Time

	mu     sync.Mutex
	scopes map[string]scope // by namespace, "" for all
	orders []string         // the scopes' names in the order in which they are told
	listed bool             // one of them was, or is known not to be permitted
	partly string           // which namespaces are not tried one by one, and the remedy; empty: none
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
	return &Feed{cluster: cluster, raw: raw, fleet: fleet, now: now, scopes: map[string]scope{}}, nil
}

// Run tells the fleet until the context ends.
func (f *Feed) Run(ctx context.Context, options Options) {
	var running sync.WaitGroup
	defer running.Wait()
	names := options.Namespaces
	if len(names) == 0 {
		names = []string{""}
	}
	for _, name := range names {
		f.add(name)
	}
	started := map[string]bool{}
	begin := func(name string, more func()) {
		if !started[name] {
			started[name] = true
			f.add(name)
			running.Go(func() { f.follow(ctx, name, more) })
		}
	}
	for _, name := range names {
		if name != "" {
			begin(name, nil)
		}
	}
	if !slices.Contains(names, "") {
		return
	}
	refused := make(chan struct{}, 1)
	begin("", func() {
		select {
		case refused <- struct{}{}:
		default:
		}
	})
	select {
	case <-ctx.Done():
	case <-refused: // all at once are not permitted, so each by itself
		for _, name := range f.namespaces(ctx, options.Own) {
			begin(name, nil)
		}
	}
}

// namespaces are those to try one by one: all, if the user may list them, else the own one. What is
// left out is told with the scope of all.
func (f *Feed) namespaces(ctx context.Context, own string) []string {
	ctx, cancel := f.cluster.Bounded(ctx)
	defer cancel()
	list := &corev1.NamespaceList{}
	if err := f.cluster.Client.List(ctx, list, client.Limit(mostNamespaces)); err != nil {
		err = connect.RequestError(ctx, err, connect.Access{Verb: "list", Resource: "namespaces"}, "")
		f.leaveOut(fmt.Sprintf("of the others only %s is tried, because the namespaces are not known (%v): name more with --namespace, with commas between them", own, err))
		return []string{own}
	}
	if list.Continue != "" {
		f.leaveOut(fmt.Sprintf("only the first %d namespaces are tried one by one: name others with --namespace, with commas between them", len(list.Items)))
	}
	names := map[string]bool{own: true}
	for _, namespace := range list.Items {
		names[namespace.Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

func (f *Feed) leaveOut(words string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.partly = words
}

func (f *Feed) add(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.scopes[name]; !known {
		f.scopes[name] = scope{}
		f.orders = append(f.orders, name)
	}
}

// tell sets how it is with a scope, and tells the fleet.
func (f *Feed) tell(name string, now scope) {
	at := f.now()
	f.mu.Lock()
	defer f.mu.Unlock() // also while the fleet is told, or it would be told last of a state that is over
	f.scopes[name] = now
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
	if f.listed = f.listed || now.problem == ""; f.listed {
		f.fleet.Permit(namespaces)
	}
	f.fleet.Connect(problem == "", problem, at)
}

// follow tells of one namespace, or of all, until the context ends. refused is called if it is
// not permitted.
func (f *Feed) follow(ctx context.Context, namespace string, refused func()) {
	known := newDecoder()
	forbidden := forbiddenPause
	for failures := 0; ctx.Err() == nil; {
		version, err := f.list(ctx, namespace, known)
		wait, listed := pause, err == nil
		if listed {
			failures, forbidden = 0, forbiddenPause
			f.tell(namespace, scope{})
			err = f.watch(ctx, namespace, version, known)
		}
		switch {
		case ctx.Err() != nil:
			return
		case apierrors.IsResourceExpired(err): // between two pages of a list
		case listed && apierrors.IsForbidden(err): // to watch is not permitted: a list now and then will do
			wait = longestPause
		case apierrors.IsForbidden(err):
			f.tell(namespace, scope{forbidden: err.Error()})
			f.forgetAll(known)
			if refused != nil {
				refused()
			}
			wait, forbidden = forbidden, min(longestForbiddenPause, 2*forbidden)
		case err != nil:
			failures++
			f.tell(namespace, scope{problem: err.Error()})
			wait = min(longestPause, pause*time.Duration(failures))
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// forgetAll takes away what is not permitted any more.
func (f *Feed) forgetAll(known *decoder) {
	for key := range known.known {
		known.forget(key)
		f.fleet.Forget(key)
	}
}

func (f *Feed) problem(ctx context.Context, verb, namespace string, err error) error {
	if apierrors.IsNotFound(err) {
		return errors.New("this cluster has no PubSubChannels: install the operator with its Helm chart, or choose another --context")
	}
	access := connect.Access{Verb: verb, Resource: channels.Resource, Namespace: namespace}
	return connect.RequestError(ctx, err, access, "")
}

// list tells of all channels that there are, page by page.
func (f *Feed) list(ctx context.Context, namespace string, known *decoder) (version string, err error) {
	listed := map[string]bool{}
	for next := ""; ; {
		meta, items, err := f.page(ctx, namespace, next)
		if err != nil {
			return "", err
		}
		for _, item := range items {
			channel, err := known.channel(item)
			if err != nil {
				return "", err
			}
			listed[channel.Namespace+"/"+channel.Name] = true
			f.fleet.See(channel, f.now())
		}
		version, next = meta.ResourceVersion, meta.Continue
		if next == "" {
			break
		}
	}
	for _, key := range slices.Collect(maps.Keys(known.known)) {
		if !listed[key] {
			known.forget(key)
			f.fleet.Forget(key)
		}
	}
	return version, nil
}

func (f *Feed) page(ctx context.Context, namespace, next string) (metav1.ListMeta, [][]byte, error) {
	ctx, cancel := f.cluster.Bounded(ctx)
	defer cancel()
	data, err := f.request(namespace, &metav1.ListOptions{Limit: pageSize, Continue: next}).Do(ctx).Raw()
	if err != nil {
		return metav1.ListMeta{}, nil, f.problem(ctx, "list", namespace, err)
	}
	return page(data)
}

func (f *Feed) request(namespace string, options *metav1.ListOptions) *rest.Request {
	return f.raw.Get().NamespaceIfScoped(namespace, namespace != "").Resource("pubsubchannels").SpecificallyVersionedParams(options, metav1.ParameterCodec, plainV1)
}

// watch tells of changes until the API server ends the watch, which it does now and then; the
// next list makes up for what was missed.
func (f *Feed) watch(ctx context.Context, namespace, version string, known *decoder) error {
	stream, err := f.request(namespace, &metav1.ListOptions{Watch: true, ResourceVersion: version, AllowWatchBookmarks: true}).Stream(ctx)
	if err != nil {
		return f.problem(ctx, "watch", namespace, err)
	}
	defer stream.Close() // it was only read
	lines := bufio.NewScanner(stream)
	lines.Buffer(make([]byte, 64<<10), longestFrame)
	for lines.Scan() {
		kind, object, err := frame(lines.Bytes())
		if err != nil {
			return fmt.Errorf("watching PubSubChannels: %w", err)
		}
		switch kind {
		case "BOOKMARK":
		case "DELETED":
			parts, err := split(object)
			if err != nil {
				return fmt.Errorf("watching PubSubChannels: %w", err)
			}
			known.forget(parts.key())
			f.fleet.Forget(parts.key())
		case "ADDED", "MODIFIED":
			channel, err := known.channel(object)
			if err != nil {
				return err
			}
			f.fleet.See(channel, f.now())
		default: // ERROR, such as a version that is too old
			return nil
		}
	}
	return nil // whether the API server is away, the next list shows
}
