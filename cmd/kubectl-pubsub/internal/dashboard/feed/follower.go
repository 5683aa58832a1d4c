package feed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/channels"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
)

const (
	// pageSize is how many channels one answer has.
	pageSize = 500
	// longestFrame is the longest event of a watch: etcd takes no larger object.
	longestFrame = 8 << 20
)

// plainV1 is the version of the options of lists and watches.
var plainV1 = schema.GroupVersion{Version: "v1"}

// follower tells the fleet of one namespace, or of all.
type follower struct {
	feed      *Feed
	namespace string // empty: all
	known     *decoder
	// heard is when the API server last said anything about the channels; zero: it did not yet.
	heard time.Time
	// apart follows the namespaces one by one while all at once are not permitted; nil for one namespace.
	apart *apart
}

func (f *Feed) newFollower(namespace string, apart *apart) *follower {
	return &follower{feed: f, namespace: namespace, known: newDecoder(), apart: apart}
}

// run tells until the context ends.
func (w *follower) run(ctx context.Context) {
	if w.apart != nil {
		defer w.apart.end(w.known)
	}
	rhythm := w.feed.rhythm
	forbidden := rhythm.forbiddenPause
	for failures := 0; ctx.Err() == nil; {
		woken := w.feed.woken()
		version, err := w.list(ctx)
		wait, listed := rhythm.pause, err == nil
		if listed {
			failures, forbidden = 0, rhythm.forbiddenPause
			w.feed.tell(w.namespace, scope{})
			err = w.watch(ctx, version, woken)
		}
		switch {
		case ctx.Err() != nil:
			return
		case apierrors.IsResourceExpired(err): // between two pages of a list
		case listed && apierrors.IsForbidden(err): // to watch is not permitted: a list now and then will do
			wait = rhythm.longestPause
		case apierrors.IsForbidden(err):
			w.feed.tell(w.namespace, scope{forbidden: err.Error()})
			w.refused(ctx)
			wait, forbidden = forbidden, min(rhythm.longestForbiddenPause, 2*forbidden)
		case err != nil:
			failures++
			w.miss()
			w.feed.tell(w.namespace, scope{problem: err.Error()})
			wait = min(rhythm.longestPause, rhythm.pause*time.Duration(failures))
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// refused is for a list that is not permitted, or not any more.
func (w *follower) refused(ctx context.Context) {
	if w.apart == nil {
		w.forgetAll()
		return
	}
	w.apart.begin(ctx, w.known, w.heard)
}

// miss takes that the API server can't be asked. Since it was heard last, nothing is known, unless others follow the channels.
func (w *follower) miss() {
	if !w.heard.IsZero() && (w.apart == nil || w.apart.stop == nil) {
		w.feed.fleet.Miss(w.namespace, w.heard)
	}
}

// hear takes that the API server answered. If a watch is silent for so long before that, what it was to tell is lost.
func (w *follower) hear() {
	now := w.feed.wall()
	if now.Sub(w.heard) > w.feed.rhythm.silence {
		w.miss()
	}
	w.heard = now
}

// forgetAll takes away what is not permitted, or not there, any more.
func (w *follower) forgetAll() {
	for key := range w.known.release() {
		w.feed.fleet.Forget(key)
	}
}

func (w *follower) problem(ctx context.Context, verb string, err error) error {
	if apierrors.IsNotFound(err) {
		return errors.New("this cluster has no PubSubChannels of the version that this plugin reads: install the operator with its Helm chart, choose another --context, or, if its operator is newer, upgrade the plugin")
	}
	access := connect.Access{Verb: verb, Resource: channels.Resource, Namespace: w.namespace}
	return connect.RequestError(ctx, err, access, "")
}

// list tells of all channels that there are, page by page. Those that are as they were seen are not
// told again.
func (w *follower) list(ctx context.Context) (version string, err error) {
	listed := map[string]bool{}
	for next := ""; ; {
		meta, items, err := w.page(ctx, next)
		if err != nil {
			return "", err
		}
		if next == "" && w.apart != nil && w.apart.end(w.known) {
			w.heard = w.feed.wall() // the others told of what they missed
			continue                // what was followed one by one may be newer than this page
		}
		w.hear()
		for _, item := range items {
			key, same := w.known.has(item)
			if !same {
				key = w.see(item)
			}
			listed[key] = true
		}
		version, next = meta.ResourceVersion, meta.Continue
		if next == "" {
			break
		}
	}
	for _, key := range slices.Collect(maps.Keys(w.known.known)) {
		if !listed[key] {
			w.known.forget(key)
			w.feed.fleet.Forget(key)
		}
	}
	w.feed.fleet.Hear(w.namespace, w.feed.now())
	return version, nil
}

// see tells the fleet of a channel as the API server sent it.
func (w *follower) see(item []byte) (key string) {
	channel := w.known.channel(item, w.namespace)
	w.feed.fleet.See(channel, w.feed.now())
	return channel.Namespace + "/" + channel.Name
}

func (w *follower) page(ctx context.Context, next string) (metav1.ListMeta, [][]byte, error) {
	ctx, cancel := w.feed.cluster.Bounded(ctx)
	defer cancel()
	data, err := connect.Body(w.request(&metav1.ListOptions{Limit: pageSize, Continue: next}).Do(ctx))
	if err != nil {
		return metav1.ListMeta{}, nil, w.problem(ctx, "list", err)
	}
	return page(data)
}

func (w *follower) request(options *metav1.ListOptions) *rest.Request {
	return w.feed.raw.Get().NamespaceIfScoped(w.namespace, w.namespace != "").Resource("pubsubchannels").SpecificallyVersionedParams(options, metav1.ParameterCodec, plainV1)
}

// watch tells of changes until the API server ends the watch, or the machine slept; the next list makes up for what was
// missed.
func (w *follower) watch(ctx context.Context, version string, woken <-chan struct{}) error {
	rhythm := w.feed.rhythm
	lasts := int64(max(time.Second, rhythm.watch).Seconds())
	ctx, cancel := context.WithTimeout(ctx, time.Duration(lasts)*time.Second+rhythm.overdue)
	defer cancel()
	go func() {
		select {
		case <-woken:
			cancel()
		case <-ctx.Done():
		}
	}()
	stream, err := w.request(&metav1.ListOptions{Watch: true, ResourceVersion: version, AllowWatchBookmarks: true, TimeoutSeconds: &lasts}).Stream(ctx)
	if err != nil {
		select {
		case <-woken:
			return nil // nothing is wrong with the API server
		default:
			return w.problem(ctx, "watch", err)
		}
	}
	defer stream.Close() // it was only read
	lines := bufio.NewScanner(stream)
	lines.Buffer(make([]byte, 64<<10), longestFrame)
	for lines.Scan() {
		w.feed.look()
		select {
		case <-woken:
			return nil // when what it says happened, nobody knows
		default:
		}
		w.heard = w.feed.wall()
		kind, object, err := frame(lines.Bytes())
		if err != nil {
			return fmt.Errorf("watching PubSubChannels: %w", err)
		}
		switch kind {
		case "BOOKMARK":
		case "DELETED":
			parts, err := split(object)
			if err != nil || !parts.named() {
				return nil // which one it was, the next list shows
			}
			w.known.forget(parts.key())
			w.feed.fleet.Forget(parts.key())
		case "ADDED", "MODIFIED":
			w.see(object)
		default: // ERROR, such as a version that is too old
			return nil
		}
	}
	// A watch that ends well has told all. One that broke after no more silence than that of one that lives did, too, as far as
	// anybody can tell.
	if now := w.feed.wall(); lines.Err() == nil || now.Sub(w.heard) <= rhythm.silence {
		w.heard = now
	}
	return nil // whether the API server is away, the next list shows
}
