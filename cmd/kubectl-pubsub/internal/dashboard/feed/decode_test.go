package feed

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/reading"
)

func encoded(t testing.TB, channel *v1.PubSubChannel) []byte {
	t.Helper()
	data, err := json.Marshal(channel)
	require.NoError(t, err)
	return data
}

func example() *v1.PubSubChannel {
	depth := int64(5)
	return &v1.PubSubChannel{
		TypeMeta: metav1.TypeMeta{APIVersion: v1.GroupVersion.String(), Kind: "PubSubChannel"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "orders", UID: "1", Generation: 2, ResourceVersion: "7",
			Annotations: map[string]string{"a": "b"}, CreationTimestamp: metav1.NewTime(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC).Local()),
		},
		Spec:   v1.PubSubChannelSpec{ChannelName: "orders", AutoScaling: &v1.AutoScalingSpec{Enabled: true, MaxReplicas: 9}},
		Status: v1.PubSubChannelStatus{Phase: v1.PhaseRunning, QueueDepth: &depth, Replicas: 2},
	}
}

// However little of a channel is decoded, it is the same as if all were.
func TestAnotherStatusIsDecodedAlone(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*v1.PubSubChannel)
		shared bool // the spec is the one that was decoded before
	}{
		"the status":               {func(c *v1.PubSubChannel) { c.Status.Replicas, c.Status.QueueDepth = 3, nil }, true},
		"the status went":          {func(c *v1.PubSubChannel) { c.Status = v1.PubSubChannelStatus{} }, true},
		"the spec":                 {func(c *v1.PubSubChannel) { c.Generation, c.Spec.AutoScaling.MaxReplicas = 3, 12 }, false},
		"an annotation":            {func(c *v1.PubSubChannel) { c.Annotations["a"] = "c" }, false},
		"a label":                  {func(c *v1.PubSubChannel) { c.Labels = map[string]string{"x": "y"} }, false},
		"it is being deleted":      {func(c *v1.PubSubChannel) { now := metav1.Unix(1_700_000_000, 0); c.DeletionTimestamp = &now }, false},
		"another one of that name": {func(c *v1.PubSubChannel) { c.UID = "2" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDecoder()
			first := d.channel(encoded(t, example()), "")
			changed := example()
			changed.ResourceVersion = "8"
			test.change(changed)
			data := encoded(t, changed)
			got := d.channel(data, "")
			want, err := reading.Channel(data)
			require.NoError(t, err)
			assert.Equal(t, want, got)
			assert.Equal(t, test.shared, first.Spec.AutoScaling == got.Spec.AutoScaling)
			assert.EqualValues(t, 2, first.Status.Replicas, "who has the first one keeps it")
		})
	}
}

// A channel that can't be decoded says why, and is well again once it is corrected; a status that
// would take for ever to decode is not tried.
func TestAFaultyChannelIsARow(t *testing.T) {
	d := newDecoder()
	faulty := []byte(`{"metadata":{"namespace":"shop","name":"orders","uid":"1","generation":2,"resourceVersion":"7"},"spec":{"channelName":"o","messageTimeout":"x"},"status":{"phase":"Failed"}}`)
	channel := d.channel(faulty, "shop")
	assert.Contains(t, reading.Unreadable(channel), "spec.messageTimeout")
	assert.Equal(t, v1.PhaseFailed, channel.Status.Phase)
	channel = d.channel(encoded(t, example()), "shop")
	assert.Empty(t, reading.Unreadable(channel))

	costly := []byte(`{"metadata":{"namespace":"shop","name":"orders","uid":"1","generation":2,"resourceVersion":"9","annotations":{"a":"b"}},"spec":{"channelName":"o"},"status":{"decision":{"busy":"1e9999999999"}}}`)
	channel = d.channel(costly, "shop")
	assert.Contains(t, reading.Unreadable(channel), "status.decision.busy")
}

// What can't be decoded at all is a row, too, under its name as far as it tells one: it holds up no other channel, and it
// is no API server that is away.
func TestWhatCannotBeDecodedIsARow(t *testing.T) {
	for name, test := range map[string]struct {
		data, key, words string
	}{
		"another version": {`{"apiVersion":"pubsub.jawaracloud.io/v2","metadata":{"namespace":"shop","name":"orders","uid":"1"},"spec":{}}`,
			"shop/orders", "it is of pubsub.jawaracloud.io/v2, and this plugin reads pubsub.jawaracloud.io/v1: upgrade the plugin"},
		"labels that are none": {`{"metadata":{"namespace":"shop","name":"orders","labels":["a"]}}`, "shop/orders", "reading the metadata of a PubSubChannel"},
		"a name that is none":  {`{"metadata":{"namespace":"shop","name":5}}`, "shop/(no name)", "reading the metadata of a PubSubChannel"},
		"no name":              {`{}`, "shop/(no name)", "it has no namespace, or no name"},
		"a list":               {`[]`, "shop/(no name)", "reading the metadata of a PubSubChannel"},
		"half of one":          {`{"metadata":`, "shop/(no name)", "reading the metadata of a PubSubChannel"},
		"nothing":              {``, "shop/(no name)", "reading the metadata of a PubSubChannel"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDecoder()
			channel := d.channel([]byte(test.data), "shop")
			assert.Equal(t, test.key, channel.Namespace+"/"+channel.Name)
			assert.Contains(t, reading.Unreadable(channel), test.words)
			assert.Contains(t, d.known, test.key, "so that it goes with the object")
			well := example()
			well.ResourceVersion = "8"
			assert.Empty(t, reading.Unreadable(d.channel(encoded(t, well), "shop")), "it was corrected")
		})
	}
	channel := newDecoder().channel([]byte(`{}`), "")
	assert.Equal(t, "(no namespace)/(no name)", channel.Namespace+"/"+channel.Name)
}

func TestFrame(t *testing.T) {
	kind, object, err := frame([]byte(`{"type":"MODIFIED","object":{"a":1}}`))
	require.NoError(t, err)
	assert.Equal(t, "MODIFIED", kind)
	assert.JSONEq(t, `{"a":1}`, string(object))
	for _, wrong := range []string{``, `{"type":"ADDED"}`, `{"object":{}}`, `x`} {
		_, _, err := frame([]byte(wrong))
		assert.Error(t, err, wrong)
	}
}
