package feed

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// Surroundings are what else there is of a channel. A part that can't be read is nil, and
// Forbidden has the words for it.
type Surroundings struct {
	Events       []protocol.Event // the newest first
	Workers      []protocol.Worker
	ScaledObject []protocol.Condition // as KEDA has them
	Forbidden    map[string]string    // events, workers, scaledObject
	Notes        map[string]string    // events, workers: what of them is not shown
	denied       map[string]bool      // those of Forbidden that the user has no right to
}

const (
	// mostEvents and mostWorkers are how many are shown.
	mostEvents, mostWorkers = 100, 500
	// detailPageSize is how many objects one answer of the API server has, and mostDetailPages how many
	// answers are asked for.
	detailPageSize, mostDetailPages = 500, 20
)

// Surroundings reads what else there is of a channel: its events, its workers' pods, and its
// ScaledObject, each as far as it is permitted. What was denied before is not asked for again.
func (f *Feed) Surroundings(ctx context.Context, channel *v1.PubSubChannel, before Surroundings) Surroundings {
	s := Surroundings{Forbidden: map[string]string{}, Notes: map[string]string{}, denied: map[string]bool{}}
	for _, part := range []struct {
		name, verb, resource string
		read                 func(context.Context, *v1.PubSubChannel, *Surroundings) error
	}{
		{"events", "list", "events", f.events},
		{"workers", "list", "pods", f.workers},
		{"scaledObject", "get", "scaledobjects.keda.sh", f.scaledObject},
	} {
		if before.denied[part.name] {
			s.Forbidden[part.name], s.denied[part.name] = before.Forbidden[part.name], true
			continue
		}
		bounded, cancel := f.cluster.Bounded(ctx)
		if err := part.read(bounded, channel, &s); err != nil {
			access := connect.Access{Verb: part.verb, Resource: part.resource, Namespace: channel.Namespace}
			s.Forbidden[part.name] = connect.RequestError(bounded, err, access, "").Error()
			s.denied[part.name] = apierrors.IsForbidden(err)
		}
		cancel()
	}
	return s
}

// pages lists all objects, page by page, as far as mostDetailPages go; more is whether there are more.
func pages[T any, List interface {
	*T
	client.ObjectList
}](ctx context.Context, reader client.Reader, each func(List), options ...client.ListOption) (more bool, err error) {
	next := ""
	for range mostDetailPages {
		list := List(new(T)) // a new one: decoding leaves what an answer does not have as it was
		if err := reader.List(ctx, list, slices.Concat(options, []client.ListOption{client.Limit(detailPageSize), client.Continue(next)})...); err != nil {
			return false, err
		}
		each(list)
		if next = list.GetContinue(); next == "" {
			return false, nil
		}
	}
	return true, nil
}

// counted is a number of objects, of which there may be more.
func counted(number int, more bool) string {
	if more {
		return fmt.Sprintf("more than %d", number)
	}
	return strconv.Itoa(number)
}

func (f *Feed) events(ctx context.Context, channel *v1.PubSubChannel, s *Surroundings) error {
	events := []protocol.Event{}
	about := fields.Set{"involvedObject.kind": "PubSubChannel", "involvedObject.name": channel.Name}
	more, err := pages(ctx, f.cluster.Client, func(list *corev1.EventList) {
		for i := range list.Items {
			e := &list.Items[i]
			if e.InvolvedObject.UID != "" && e.InvolvedObject.UID != channel.UID {
				continue // of an earlier channel of that name
			}
			events = append(events, eventOf(e))
		}
	}, client.InNamespace(channel.Namespace), client.MatchingFieldsSelector{Selector: about.AsSelector()})
	if err != nil {
		return err
	}
	slices.SortStableFunc(events, func(a, b protocol.Event) int { return b.Time.Compare(a.Time) })
	if len(events) > mostEvents || more {
		s.Notes["events"] = fmt.Sprintf("The newest %d of %s events are shown: kubectl get events -n %s --field-selector involvedObject.kind=PubSubChannel,involvedObject.name=%s lists all.",
			min(len(events), mostEvents), counted(len(events), more), channel.Namespace, channel.Name)
	}
	s.Events = events[:min(len(events), mostEvents)]
	return nil
}

// eventOf reads an event of either API: the older one counts in count, the newer one in series.
func eventOf(e *corev1.Event) protocol.Event {
	at, count := e.LastTimestamp.UnixMilli(), e.Count
	if e.LastTimestamp.IsZero() {
		at = e.EventTime.UnixMilli()
		if e.EventTime.IsZero() {
			at = e.CreationTimestamp.UnixMilli()
		}
	}
	if e.Series != nil {
		at, count = e.Series.LastObservedTime.UnixMilli(), e.Series.Count
	}
	return protocol.Event{Time: time.UnixMilli(at).UTC(), Type: e.Type, Reason: e.Reason, Message: cmp.Or(e.Message, e.Reason), Count: max(1, count)}
}

func (f *Feed) workers(ctx context.Context, channel *v1.PubSubChannel, s *Surroundings) error {
	if channel.Status.Selector == "" { // there is no Deployment yet
		s.Workers = []protocol.Worker{}
		return nil
	}
	selector, err := labels.Parse(channel.Status.Selector)
	if err != nil {
		return err
	}
	workers := []protocol.Worker{}
	more, err := pages(ctx, f.cluster.Client, func(pods *corev1.PodList) {
		for i := range pods.Items {
			workers = append(workers, workerOf(&pods.Items[i]))
		}
	}, client.InNamespace(channel.Namespace), client.MatchingLabelsSelector{Selector: selector})
	if err != nil {
		return err
	}
	slices.SortFunc(workers, func(a, b protocol.Worker) int {
		return cmp.Or(cmp.Compare(concern(a), concern(b)), cmp.Compare(a.Name, b.Name))
	})
	if len(workers) > mostWorkers || more {
		s.Notes["workers"] = fmt.Sprintf("%d of %s workers are shown, those with something in their way first: kubectl get pods -n %s -l '%s' lists all.",
			min(len(workers), mostWorkers), counted(len(workers), more), channel.Namespace, channel.Status.Selector)
	}
	s.Workers = workers[:min(len(workers), mostWorkers)]
	return nil
}

// concern sorts workers: first those with something in their way, last those that are ready.
func concern(w protocol.Worker) int {
	switch w.State {
	case stateReady:
		return 2
	case stateStarting, stateTerminating:
		return 1
	default:
		return 0
	}
}

// The states of workers in whose way nothing is.
const (
	stateReady       = "Ready"
	stateStarting    = "Starting"
	stateTerminating = "Terminating"
)

// workerOf says in what state a pod is: what is in its way comes before what it is.
func workerOf(pod *corev1.Pod) protocol.Worker {
	w := protocol.Worker{Name: pod.Name, Node: pod.Spec.NodeName, State: stateStarting, Since: pod.CreationTimestamp.UTC()}
	statuses := slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
	for _, c := range statuses {
		w.Restarts += c.RestartCount
	}
	switch {
	case pod.DeletionTimestamp != nil:
		w.State, w.Since = stateTerminating, pod.DeletionTimestamp.UTC()
		return w
	case pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded:
		w.State, w.Message = cmp.Or(pod.Status.Reason, string(pod.Status.Phase)), pod.Status.Message
		return w
	}
	for _, c := range pod.Status.Conditions {
		switch {
		case c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue:
			w.State, w.Since = stateReady, c.LastTransitionTime.UTC()
			return w
		case c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse:
			w.State, w.Message, w.Since = "Waiting", c.Message, c.LastTransitionTime.UTC()
			return w
		}
	}
	for _, c := range statuses {
		if waiting := c.State.Waiting; waiting != nil && waiting.Reason != "ContainerCreating" && waiting.Reason != "PodInitializing" {
			w.State, w.Message = waiting.Reason, waiting.Message
			return w
		}
	}
	return w
}

var scaledObjectKind = schema.GroupVersionKind{Group: "keda.sh", Version: "v1alpha1", Kind: "ScaledObject"}

func (f *Feed) scaledObject(ctx context.Context, channel *v1.PubSubChannel, s *Surroundings) error {
	s.ScaledObject = []protocol.Condition{}
	if channel.Spec.AutoScaling == nil || !channel.Spec.AutoScaling.Enabled {
		return nil // there is none, and there shall be none
	}
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(scaledObjectKind)
	err := f.cluster.Client.Get(ctx, client.ObjectKeyFromObject(channel), object)
	if apierrors.IsNotFound(err) {
		return nil // the channel's own conditions say why
	}
	if err != nil {
		s.ScaledObject = nil
		return err
	}
	read := struct {
		Status struct {
			Conditions []metav1.Condition `json:"conditions"` // KEDA's have no time
		} `json:"status"`
	}{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &read); err != nil {
		s.ScaledObject = nil
		return err
	}
	for _, c := range read.Status.Conditions {
		s.ScaledObject = append(s.ScaledObject, protocol.Condition{
			Type: c.Type, Status: string(c.Status), Good: kedaIsGood(c), Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime.UTC(),
		})
	}
	return nil
}

// kedaIsGood is whether a condition of a ScaledObject is as it should be: of Active and Paused
// neither status is wrong.
func kedaIsGood(c metav1.Condition) bool {
	switch c.Type {
	case "Ready":
		return c.Status == metav1.ConditionTrue
	case "Fallback":
		return c.Status != metav1.ConditionTrue
	default:
		return true
	}
}
