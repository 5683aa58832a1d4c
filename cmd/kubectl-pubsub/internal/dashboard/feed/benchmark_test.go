package feed

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/record"
	"github.com/jawaracloud/pubsub-operator/translator/reading"
)

// usual is a channel as an API server sends it: with conditions, managedFields and a decision.
func usual(name string, depth int64) *v1.PubSubChannel {
	at := metav1.Unix(1_769_860_800, 0)
	condition := func(kind, reason, message string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: message, LastTransitionTime: at, ObservedGeneration: 2}
	}
	inFlight, rate := int64(20), int64(40)
	message := fmt.Sprintf("queue depth %d is between 150 = 100 × 3 × 50 %% and 450 = 100 × 3 × 150 %%: 3 replicas stay", depth)
	return &v1.PubSubChannel{
		TypeMeta: metav1.TypeMeta{APIVersion: v1.GroupVersion.String(), Kind: "PubSubChannel"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: name, UID: types.UID("9a2b7c1e-" + name), Generation: 2, ResourceVersion: fmt.Sprint(1000 + depth), CreationTimestamp: at,
			Labels: map[string]string{"team": "shop", "app": name},
			ManagedFields: []metav1.ManagedFieldsEntry{{
				Manager: "kubectl", Operation: "Apply", APIVersion: "pubsub.jawaracloud.io/v1", Time: &at, FieldsType: "FieldsV1",
				FieldsV1: metav1.NewFieldsV1(`{"f:spec":{` + strings.TrimSuffix(strings.Repeat(`"f:aFieldOfIt":{},`, 60), ",") + `}}`),
			}, {
				Manager: "controller", Operation: "Apply", APIVersion: "pubsub.jawaracloud.io/v1", Time: &at, FieldsType: "FieldsV1", Subresource: "status",
				FieldsV1: metav1.NewFieldsV1(`{"f:status":{` + strings.TrimSuffix(strings.Repeat(`"f:aFieldOfIt":{},`, 60), ",") + `}}`),
			}},
		},
		Spec: v1.PubSubChannelSpec{ChannelName: name, Image: "registry.example.com/team/worker:1.2.3", AutoScaling: &v1.AutoScalingSpec{Enabled: true, MaxReplicas: 10, TargetQueueDepth: 100}},
		Status: v1.PubSubChannelStatus{
			Phase: v1.PhaseRunning, Replicas: 3, ReadyReplicas: 3, DesiredReplicas: 3, QueueDepth: &depth, MessageRate: &rate, PolicyInUse: "Threshold",
			ObservedGeneration: 2, ObservedTime: &at, LastScaleTime: &at, Selector: "app=pubsub-subscriber,pubsubchannel=" + name,
			Decision: &v1.ScalingDecision{
				ObservedTime: at, Action: v1.ScalingHold, Reason: "WithinBand", Message: message, Arithmetic: "", Replicas: 3, DesiredReplicas: 3,
				QueueDepth: depth, Ready: depth - 20, InFlight: &inFlight, QueueType: "list", LowerBound: 150, UpperBound: 450, Active: true, LastScaleTime: &at,
			},
			Conditions: []metav1.Condition{
				condition(v1.ConditionReady, v1.ReasonAvailable, "3 of 3 workers are ready"), condition(v1.ConditionConnected, v1.ReasonQueueRead, "the scaler reads the queue"),
				condition(v1.ConditionScaled, "WithinBand", message), {Type: v1.ConditionPaused, Status: metav1.ConditionFalse, Reason: v1.ReasonNotPaused, Message: "nothing asks for a pause", LastTransitionTime: at},
			},
		},
	}
}

// processorTime is what this process has used.
func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var used syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkFeed is what a change of a channel costs from the watch's bytes to the message for each
// of two pages, at 1,000 channels that change each second. A change that takes 100 µs of processor
// time is 10 % of a core. It goes as fast as it can; a page takes what changed after each 250, as
// it does at 4 messages a second.
func BenchmarkFeed(b *testing.B) {
	const channels = 1_000
	frames := make([][]byte, 2*channels)
	for i := range frames {
		object, err := json.Marshal(usual(fmt.Sprintf("channel-%d", i%channels), int64(300+i/channels)))
		require.NoError(b, err)
		frames[i] = fmt.Appendf(nil, `{"type":"MODIFIED","object":%s}`, object)
	}
	b.SetBytes(int64(len(frames[0])))
	f, known := record.New(time.Now()), newDecoder()
	pages := make([]record.Cursor, 2)
	b.ReportAllocs()
	before := processorTime(b)
	i := 0
	for b.Loop() {
		_, object, err := frame(frames[i%len(frames)])
		require.NoError(b, err)
		f.See(known.channel(object, ""), time.Now())
		if i++; i%(channels/4) == 0 {
			for p := range pages {
				_, err := f.Since(&pages[p], time.Now())
				require.NoError(b, err)
			}
		}
	}
	b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(i), "cpu-µs/change")
}

// BenchmarkDecode is what the decoding of a change costs, of what changed alone and of all.
func BenchmarkDecode(b *testing.B) {
	var objects [2][]byte
	for i := range objects {
		var err error
		objects[i], err = json.Marshal(usual("channel", int64(300+i)))
		require.NoError(b, err)
	}
	known := newDecoder()
	partly := func(data []byte) (*v1.PubSubChannel, error) { return known.channel(data, ""), nil }
	for name, decode := range map[string]func([]byte) (*v1.PubSubChannel, error){"the status": partly, "all": reading.Channel} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before, i := processorTime(b), 0
			for ; b.Loop(); i++ {
				_, err := decode(objects[i%len(objects)])
				require.NoError(b, err)
			}
			b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/1000/float64(i), "cpu-µs/change")
		})
	}
}

// A burst of 1,000 channels, each of which changes, comes through the watch whole.
func TestABurst(t *testing.T) {
	const channels, rounds = 1_000, 3
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		out := bufio.NewWriter(w)
		defer out.Flush()
		if r.URL.Query().Get("watch") == "" {
			first := 0
			if r.URL.Query().Get("continue") != "" {
				first = channels / 2
			}
			next := `"continue":"more",`
			if first > 0 {
				next = ""
			}
			fmt.Fprintf(out, `{"kind":"PubSubChannelList","apiVersion":"pubsub.jawaracloud.io/v1","metadata":{%s"resourceVersion":"1"},"items":[`, next)
			for i := range channels / 2 {
				if i > 0 {
					fmt.Fprint(out, ",")
				}
				fmt.Fprintf(out, "%s", encoded(t, usual(fmt.Sprint("c-", first+i), 300)))
			}
			fmt.Fprint(out, "]}")
			return
		}
		for round := range rounds {
			for i := range channels {
				fmt.Fprintf(out, `{"type":"MODIFIED","object":%s}`+"\n", encoded(t, usual(fmt.Sprint("c-", i), int64(301+round))))
			}
		}
		fmt.Fprintln(out, `{"type":"DELETED","object":{"metadata":{"namespace":"shop","name":"c-7"}}}`)
		fmt.Fprintln(out, `{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}`)
		out.Flush()
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	cluster, err := connect.NewCluster(&rest.Config{Host: server.URL})
	require.NoError(t, err)
	fleet := record.New(time.Now())
	f, err := New(cluster, fleet, time.Now)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); f.Run(ctx, Options{}) }()
	t.Cleanup(func() { stop(); <-ended })
	require.Eventually(t, func() bool { // a list that is not at its end has as many
		_, _, found := fleet.Past("shop/c-7")
		return !found && len(fleet.Keys("shop")) == channels-1
	}, time.Minute, 10*time.Millisecond)
	for i := range channels {
		if i == 7 {
			continue
		}
		past, _, found := fleet.Past(fmt.Sprint("shop/c-", i))
		require.True(t, found)
		require.Len(t, past.Points, 1+rounds)
		require.EqualValues(t, 300+rounds, *past.Points[rounds].Depth)
	}
}
