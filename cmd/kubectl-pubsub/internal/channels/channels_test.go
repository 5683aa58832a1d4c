package channels

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
)

// soon is how long anything that is to happen may take on a busy machine.
const soon = 2 * time.Minute

func clusterOf(t *testing.T, functions interceptor.Funcs, objects ...client.Object) *connect.Cluster {
	t.Helper()
	cluster, err := connect.NewCluster(&rest.Config{Host: "http://127.0.0.1:1"})
	require.NoError(t, err)
	if functions.Watch == nil {
		functions.Watch = watchRaw
	}
	cluster.Client = fake.NewClientBuilder().WithScheme(cluster.Client.Scheme()).WithObjects(objects...).WithInterceptorFuncs(functions).Build()
	return cluster
}

// watchRaw watches as a real client does, which tells of raw objects where it is asked for
// such; the fake one tells of what was written.
func watchRaw(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) (watch.Interface, error) {
	watcher, err := c.Watch(ctx, list, options...)
	if err != nil {
		return nil, err
	}
	return watch.Filter(watcher, func(event watch.Event) (watch.Event, bool) {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(event.Object)
		if err != nil {
			panic(err)
		}
		event.Object = &unstructured.Unstructured{Object: fields}
		return event, true
	}), nil
}

func channel(namespace, name string, autoscaling bool) *v1.PubSubChannel {
	return &v1.PubSubChannel{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1.PubSubChannelSpec{ChannelName: name, AutoScaling: &v1.AutoScalingSpec{Enabled: autoscaling}},
	}
}

func TestCheck(t *testing.T) {
	forbidden := apierrors.NewForbidden(v1.GroupVersion.WithResource("pubsubchannels").GroupResource(), "orders", errors.New("no rule allows it"))
	forbid := func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
		return forbidden
	}
	here, off := channel("shop", "orders", true), channel("shop", "mails", false)
	without := channel("shop", "plain", false)
	without.Spec.AutoScaling = nil
	tests := map[string]struct {
		name      string
		functions interceptor.Funcs
		want      string
		finding   bool
	}{
		"it is there":          {name: "orders"},
		"autoscaling is off":   {name: "mails", finding: true, want: `autoscaling of PubSubChannel shop/mails is off, so nothing decides about its replicas: switch it on with kubectl patch psc mails -n shop --type merge -p '{"spec":{"autoScaling":{"enabled":true}}}'`},
		"no autoscaling":       {name: "plain", finding: true, want: "autoscaling of PubSubChannel shop/plain is off"},
		"a slip":               {name: "ordres", finding: true, want: `there is no PubSubChannel "ordres" in namespace "shop": did you mean orders?`},
		"in another namespace": {name: "bills", finding: true, want: `there is no PubSubChannel "bills" in namespace "shop": there is one in namespace bank: name it with --namespace`},
		"quite another name":   {name: "subscriptions", finding: true, want: `there is no PubSubChannel "subscriptions" in namespace "shop": there is mails, orders or plain`},
		"other namespaces may not be seen": {name: "ordres", finding: true, want: "did you mean orders?",
			functions: interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
				if len(options) == 0 {
					return forbidden
				}
				return c.List(ctx, list, options...)
			}}},
		"nothing may be listed": {name: "ordres", finding: true, functions: interceptor.Funcs{List: forbid}, want: "kubectl get psc --all-namespaces lists the existing ones"},
		"it may not be read": {name: "orders", want: `reading PubSubChannel shop/orders: you need the right to get pubsubchannels.pubsub.jawaracloud.io in namespace "shop" (check it with kubectl auth can-i get pubsubchannels.pubsub.jawaracloud.io/orders -n shop): ask an administrator for it: `,
			functions: interceptor.Funcs{Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
				return forbidden
			}}},
		"the CRD is missing": {name: "orders", finding: true, want: "this cluster has no PubSubChannels: install the operator",
			functions: interceptor.Funcs{Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
				return apierrors.NewGenericServerResponse(404, "get", schema.GroupResource{Resource: "pubsubchannels"}, "orders", "404 page not found", 0, true)
			}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cluster := clusterOf(t, test.functions, here, off, without, channel("bank", "bills", true))
			err := Check(t.Context(), cluster, types.NamespacedName{Namespace: "shop", Name: test.name})
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
			assert.Equal(t, test.finding, IsFinding(err))
		})
	}
}

func TestNear(t *testing.T) {
	tests := map[string]struct {
		wanted, name string
		distance     int
		near         bool
	}{
		"two letters swapped": {"ordres", "orders", 2, true},
		"a letter missing":    {"order", "orders", 1, true},
		"the beginning":       {"inv", "invoices", 5, true},
		"another word":        {"orders", "invoices", 6, false},
		"short ones":          {"a", "bc", 2, false},
		"equal":               {"orders", "orders", 0, true},
		"empty":               {"", "ab", 2, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.distance, distance(test.wanted, test.name))
			assert.Equal(t, test.distance, distance(test.name, test.wanted))
			assert.Equal(t, test.near, isNear(test.wanted, test.name))
		})
	}
	assert.Equal(t, "a, b, c, d, e or one of 2 more", oneOf([]string{"g", "f", "e", "d", "c", "b", "a"}))
}

// listen runs Follow until the test ends.
func listen(t *testing.T, cluster *connect.Cluster, selection Selection) (<-chan Event, <-chan error) {
	t.Helper()
	events, ended := make(chan Event, 100), make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		ended <- Follow(ctx, cluster, selection, func(e Event) { events <- e })
		close(ended)
	}()
	t.Cleanup(func() {
		stop()
		for range ended { // until it is closed
		}
	})
	return events, ended
}

func next(t *testing.T, events <-chan Event) Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(soon):
		require.FailNow(t, "no event")
		panic("unreachable")
	}
}

func TestFollow(t *testing.T) {
	orders, mails := channel("shop", "orders", true), channel("shop", "mails", false)
	orders.Status.ObservedGeneration = 4
	cluster := clusterOf(t, interceptor.Funcs{}, orders, mails, channel("bank", "orders", true))
	events, _ := listen(t, cluster, Selection{Namespace: "shop"})
	key := client.ObjectKeyFromObject
	assert.ElementsMatch(t, []Event{
		{Channel: key(orders), State: &State{Autoscaled: true, Generation: 4}},
		{Channel: key(mails), State: &State{}},
	}, []Event{next(t, events), next(t, events)})
	require.Equal(t, Event{Listed: true}, next(t, events))

	probes := 0
	require.Eventually(t, func() bool { // until the watch has begun
		probes++
		if cluster.Client.Create(t.Context(), channel("shop", fmt.Sprint("probe-", probes), true)) != nil {
			return false
		}
		select {
		case <-events:
			return true
		case <-time.After(100 * time.Millisecond):
			return false
		}
	}, soon, time.Millisecond)
	nextOfNoProbe := func() Event { // those of probes may come late
		t.Helper()
		for {
			if e := next(t, events); !strings.HasPrefix(e.Channel.Name, "probe-") {
				return e
			}
		}
	}
	bills := channel("shop", "bills", true)
	require.NoError(t, cluster.Client.Create(t.Context(), bills))
	require.Equal(t, Event{Channel: key(bills), State: &State{Autoscaled: true}}, nextOfNoProbe())
	bills.Status.QueueDepth = new(int64) // what the controller writes all the time is no news
	require.NoError(t, cluster.Client.Update(t.Context(), bills))
	bills.Spec.AutoScaling.Enabled = false
	require.NoError(t, cluster.Client.Update(t.Context(), bills))
	require.Equal(t, Event{Channel: key(bills), State: &State{}}, nextOfNoProbe())
	require.NoError(t, cluster.Client.Delete(t.Context(), bills))
	require.Equal(t, Event{Channel: key(bills)}, nextOfNoProbe())
}

func TestFollowByName(t *testing.T) {
	cluster := clusterOf(t, interceptor.Funcs{}, channel("shop", "a", true), channel("shop", "b", true), channel("shop", "c", true))
	events, _ := listen(t, cluster, Selection{Namespace: "shop", Names: []string{"a", "c"}})
	assert.Equal(t, "a", next(t, events).Channel.Name)
	assert.Equal(t, "c", next(t, events).Channel.Name)
	assert.True(t, next(t, events).Listed)
}

// The first list may fail; later ones are told, and what was missed meanwhile is made up
// for.
func TestFollowProblems(t *testing.T) {
	forbidden := apierrors.NewForbidden(v1.GroupVersion.WithResource("pubsubchannels").GroupResource(), "", errors.New("no rule allows it"))
	_, ended := listen(t, clusterOf(t, interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
		return forbidden
	}}), Selection{Namespace: "shop"})
	require.ErrorContains(t, <-ended, `listing PubSubChannels: you need the right to list pubsubchannels.pubsub.jawaracloud.io in namespace "shop"`)

	orders, bills := channel("shop", "orders", true), channel("shop", "bills", true)
	watcher := watch.NewFake()
	lists := 0
	events, _ := listen(t, clusterOf(t, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			lists++
			switch lists {
			case 2:
				return errors.New("away")
			case 3:
				if err := c.Delete(ctx, orders); err != nil {
					return err
				}
			}
			return c.List(ctx, list, options...)
		},
		Watch: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) (watch.Interface, error) {
			if lists == 1 {
				return watcher, nil
			}
			return nil, forbidden
		},
	}, orders, bills), Selection{Namespace: "shop"})
	for range 2 {
		assert.NotNil(t, next(t, events).State)
	}
	assert.True(t, next(t, events).Listed)
	watcher.Error(&metav1.Status{Reason: metav1.StatusReasonExpired})
	require.ErrorContains(t, next(t, events).Err, "away")
	assert.Equal(t, Event{Channel: client.ObjectKeyFromObject(orders)}, next(t, events), "it was deleted meanwhile")
	assert.True(t, next(t, events).Listed)
	require.ErrorContains(t, next(t, events).Err, "you need the right to watch pubsubchannels.pubsub.jawaracloud.io")
}

// A channel that no typed client can decode hides no other, and says what is wrong with it.
func TestUnreadable(t *testing.T) {
	const faulty = `{"apiVersion":"pubsub.jawaracloud.io/v1","kind":"PubSubChannel","metadata":{"namespace":"shop","name":"faulty","resourceVersion":"2"},"spec":{"channelName":"m","autoScaling":{"enabled":true,"maxScaleUpStep":4294967296}}}`
	const good = `{"apiVersion":"pubsub.jawaracloud.io/v1","kind":"PubSubChannel","metadata":{"namespace":"shop","name":"good","resourceVersion":"2"},"spec":{"channelName":"m","autoScaling":{"enabled":true}}}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Query().Get("watch") != "":
			fmt.Fprintf(w, `{"type":"MODIFIED","object":%s}`+"\n", strings.Replace(good, "4294967296", "5", 1))
			fmt.Fprintf(w, `{"type":"MODIFIED","object":%s}`+"\n", strings.Replace(faulty, "4294967296", "5", 1))
		case path.Base(r.URL.Path) == "faulty":
			fmt.Fprint(w, faulty)
		case path.Base(r.URL.Path) == "pubsubchannels":
			fmt.Fprintf(w, `{"apiVersion":"pubsub.jawaracloud.io/v1","kind":"PubSubChannelList","metadata":{"resourceVersion":"2"},"items":[%s,%s]}`, faulty, good)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","details":{"name":"x","kind":"pubsubchannels"},"code":404}`)
		}
	}))
	t.Cleanup(server.Close)
	cluster, err := connect.NewCluster(&rest.Config{Host: server.URL})
	require.NoError(t, err)

	names, err := Names(t.Context(), cluster, "shop")
	require.NoError(t, err)
	assert.Equal(t, []string{"faulty", "good"}, names)
	key := types.NamespacedName{Namespace: "shop", Name: "faulty"}
	require.NoError(t, Exists(t.Context(), cluster, key))
	err = Check(t.Context(), cluster, key)
	assert.True(t, IsFinding(err))
	require.ErrorContains(t, err, "PubSubChannel shop/faulty can't be read: spec.autoScaling.maxScaleUpStep is 4294967296")
	require.ErrorContains(t, err, "kubectl edit psc faulty -n shop")
	assert.ErrorContains(t, Check(t.Context(), cluster, types.NamespacedName{Namespace: "shop", Name: "goo"}), "did you mean good?")

	events, _ := listen(t, cluster, Selection{Namespace: "shop"})
	first := next(t, events)
	assert.Equal(t, key, first.Channel)
	assert.Contains(t, first.State.Unreadable, "can't be read: spec.autoScaling.maxScaleUpStep is 4294967296")
	assert.Equal(t, &State{Autoscaled: true}, next(t, events).State)
	assert.True(t, next(t, events).Listed)
	assert.Equal(t, Event{Channel: key, State: &State{Autoscaled: true}}, next(t, events), "it was corrected")
}
