package feed

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/record"
)

func feedOf(t *testing.T, functions interceptor.Funcs, objects ...client.Object) *Feed {
	t.Helper()
	cluster, err := connect.NewCluster(&rest.Config{Host: "http://127.0.0.1:1"})
	require.NoError(t, err)
	cluster.Client = fake.NewClientBuilder().WithScheme(cluster.Client.Scheme()).WithObjects(objects...).
		WithIndex(&corev1.Event{}, "involvedObject.kind", func(o client.Object) []string { return []string{o.(*corev1.Event).InvolvedObject.Kind} }).
		WithIndex(&corev1.Event{}, "involvedObject.name", func(o client.Object) []string { return []string{o.(*corev1.Event).InvolvedObject.Name} }).
		WithInterceptorFuncs(functions).Build()
	f, err := New(cluster, record.New(time.Now()), time.Now)
	require.NoError(t, err)
	return f
}

var noon = metav1.NewTime(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC))

func TestWorkersStates(t *testing.T) {
	scheduled := corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}
	waiting := func(reason string) []corev1.ContainerStatus {
		return []corev1.ContainerStatus{{RestartCount: 4, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "words"}}}}
	}
	for name, test := range map[string]struct {
		change         func(*corev1.Pod)
		state, message string
		restarts       int32
	}{
		"just made":     {func(*corev1.Pod) {}, "Starting", "", 0},
		"being created": {func(p *corev1.Pod) { p.Status.ContainerStatuses = waiting("ContainerCreating") }, "Starting", "", 4},
		"a crash loop":  {func(p *corev1.Pod) { p.Status.ContainerStatuses = waiting("CrashLoopBackOff") }, "CrashLoopBackOff", "words", 4},
		"an init image": {func(p *corev1.Pod) { p.Status.InitContainerStatuses = waiting("ErrImagePull") }, "ErrImagePull", "words", 4},
		"ready": {func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{scheduled, {Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		}, "Ready", "", 0},
		"no node": {func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/3 nodes"}}
		}, "Waiting", "0/3 nodes", 0},
		"evicted": {func(p *corev1.Pod) {
			p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, "Evicted", "low on memory"
		}, "Evicted", "low on memory", 0},
		"going, if ready": {func(p *corev1.Pod) {
			p.DeletionTimestamp = &noon
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		}, "Terminating", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "orders-1", CreationTimestamp: noon}, Spec: corev1.PodSpec{NodeName: "node"}}
			test.change(pod)
			w := workerOf(pod)
			assert.Equal(t, test.state, w.State)
			assert.Equal(t, test.message, w.Message)
			assert.Equal(t, test.restarts, w.Restarts)
			assert.Equal(t, "node", w.Node)
		})
	}
}

func TestSurroundings(t *testing.T) {
	channel := example()
	channel.Status.Selector = "pubsubchannel=orders"
	about := corev1.ObjectReference{Kind: "PubSubChannel", Namespace: "shop", Name: "orders", UID: channel.UID}
	event := func(name string, ref corev1.ObjectReference, change func(*corev1.Event)) *corev1.Event {
		e := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, CreationTimestamp: noon}, InvolvedObject: ref, Reason: name, Type: "Normal"}
		change(e)
		return e
	}
	earlier := about
	earlier.UID = "of an earlier channel"
	scaled := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"namespace": "shop", "name": "orders"},
		"status": map[string]any{"conditions": []any{
			map[string]any{"type": "Ready", "status": "False", "reason": "ScaledObjectCheckFailed", "message": "no such target"},
			map[string]any{"type": "Active", "status": "False"}, map[string]any{"type": "Fallback", "status": "True"},
		}},
	}}
	scaled.SetGroupVersionKind(scaledObjectKind)
	f := feedOf(t, interceptor.Funcs{}, scaled,
		event("Older", about, func(e *corev1.Event) { e.LastTimestamp, e.Count = noon, 3 }),
		event("Newer", about, func(e *corev1.Event) { e.EventTime = metav1.NewMicroTime(noon.Add(time.Minute)) }),
		event("Series", about, func(e *corev1.Event) {
			e.Series = &corev1.EventSeries{Count: 9, LastObservedTime: metav1.NewMicroTime(noon.Add(time.Hour))}
		}),
		event("Earlier", earlier, func(*corev1.Event) {}),
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders-b", Labels: map[string]string{"pubsubchannel": "orders"}}},
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders-a", Labels: map[string]string{"pubsubchannel": "orders"}}},
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "other"}},
	)
	s := f.Surroundings(t.Context(), channel, Surroundings{})
	assert.Empty(t, s.Forbidden)
	require.Len(t, s.Events, 3)
	assert.Equal(t, protocol.Event{Time: noon.Add(time.Hour), Type: "Normal", Reason: "Series", Message: "Series", Count: 9}, s.Events[0])
	assert.Equal(t, "Newer", s.Events[1].Reason)
	assert.EqualValues(t, 1, s.Events[1].Count)
	assert.EqualValues(t, 3, s.Events[2].Count)
	require.Len(t, s.Workers, 2)
	assert.Equal(t, "orders-a", s.Workers[0].Name)
	require.Len(t, s.ScaledObject, 3)
	assert.Equal(t, []bool{false, true, false}, []bool{s.ScaledObject[0].Good, s.ScaledObject[1].Good, s.ScaledObject[2].Good})

	without := example()
	without.Name, without.Status.Selector = "new", ""
	s = f.Surroundings(t.Context(), without, Surroundings{})
	assert.Equal(t, []protocol.Worker{}, s.Workers, "there are none, which is known")
	assert.Equal(t, []protocol.Condition{}, s.ScaledObject)
	assert.Empty(t, s.Forbidden)
}

// What is not permitted is told with the right, and is not asked for each time; what failed is.
func TestWhatIsDeniedIsNotAskedAgain(t *testing.T) {
	asked := map[string]int{}
	f := feedOf(t, interceptor.Funcs{
		List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, _ ...client.ListOption) error {
			if _, pods := list.(*corev1.PodList); pods {
				asked["pods"]++
				return errors.New("away")
			}
			asked["events"]++
			return apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "", errors.New("no rule allows it"))
		},
	})
	channel := example()
	channel.Status.Selector = "a=b"
	var s Surroundings
	for range 3 {
		s = f.Surroundings(t.Context(), channel, s)
		assert.Contains(t, s.Forbidden["events"], `you need the right to list events in namespace "shop"`)
		assert.Contains(t, s.Forbidden["workers"], "away")
		assert.Nil(t, s.Events)
	}
	assert.Equal(t, map[string]int{"pods": 3, "events": 1}, asked)
}

// paged answers lists page by page, as the API server does.
func paged[T any](t *testing.T, all []T, options []client.ListOption) (items []T, next string) {
	t.Helper()
	asked := (&client.ListOptions{}).ApplyOptions(options)
	require.Positive(t, asked.Limit)
	from := 0
	if asked.Continue != "" {
		var err error
		from, err = strconv.Atoi(asked.Continue)
		require.NoError(t, err)
	}
	to := min(len(all), from+int(asked.Limit))
	if to < len(all) {
		next = strconv.Itoa(to)
	}
	return all[from:to], next
}

// Of more events and workers than are shown, those that matter are, and how many there are is told.
func TestMoreThanIsShown(t *testing.T) {
	channel := example()
	channel.Status.Selector = "pubsubchannel=orders"
	for name, test := range map[string]struct {
		events, pods int
		notes        map[string]string
	}{
		"as many as are shown": {mostEvents, mostWorkers, map[string]string{}},
		"more": {1200, 1300, map[string]string{
			"events":  "The newest 100 of 1200 events are shown: kubectl get events -n shop --field-selector involvedObject.kind=PubSubChannel,involvedObject.name=orders lists all.",
			"workers": "500 of 1300 workers are shown, those with something in their way first: kubectl get pods -n shop -l 'pubsubchannel=orders' lists all.",
		}},
		"far more": {mostDetailPages*detailPageSize + 1, 1, map[string]string{
			"events": "The newest 100 of more than 10000 events are shown: kubectl get events -n shop --field-selector involvedObject.kind=PubSubChannel,involvedObject.name=orders lists all.",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			events, pods := make([]corev1.Event, test.events), make([]corev1.Pod, test.pods)
			for i := range events { // the API server sorts them by name, which tells nothing of the time
				events[i].InvolvedObject.UID, events[i].LastTimestamp = channel.UID, metav1.NewTime(noon.Add(time.Duration(i)*time.Second))
			}
			for i := range pods {
				pods[i].Name = fmt.Sprintf("orders-%04d", i)
				pods[i].Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
			}
			last := &pods[test.pods-1]
			last.Status = corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}}
			f := feedOf(t, interceptor.Funcs{List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
				switch list := list.(type) {
				case *corev1.EventList:
					list.Items, list.Continue = paged(t, events, options)
				case *corev1.PodList:
					list.Items, list.Continue = paged(t, pods, options)
				}
				return nil
			}})
			s := f.Surroundings(t.Context(), channel, Surroundings{})
			assert.Equal(t, test.notes, s.Notes)
			assert.Len(t, s.Events, min(mostEvents, test.events))
			if test.events <= mostDetailPages*detailPageSize {
				assert.Equal(t, noon.Add(time.Duration(test.events-1)*time.Second), s.Events[0].Time, "the newest one, which came last")
			}
			assert.Len(t, s.Workers, min(mostWorkers, test.pods))
			assert.Equal(t, "CrashLoopBackOff", s.Workers[0].State, "what is wrong is shown, however many are well")
		})
	}
}
