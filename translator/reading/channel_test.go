package reading

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// raw is a channel as the API server tells of it, with a part of its spec.
func raw(name, spec string) string {
	return fmt.Sprintf(`{"apiVersion":"pubsub.jawaracloud.io/v1","kind":"PubSubChannel","metadata":{"namespace":"shop","name":%q,"uid":"1e12345","resourceVersion":"7","generation":3,"annotations":{"a":"1e99999999999","pubsub.jawaracloud.io/unreadable":"a lie"}},"spec":{"channelName":"m",%s},"status":{"phase":"Running","replicas":2,"readyReplicas":2,"desiredReplicas":2}}`, name, spec)
}

func divisor(quantity string) string {
	return `"env":[{"name":"A","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":` + quantity + `}}}]`
}

func TestChannel(t *testing.T) {
	for name, test := range map[string]struct {
		spec string
		want []string // parts of the words; nil: it can be read
	}{
		"whole":                      {`"messageTimeout":30,"resources":{"limits":{"cpu":"1e3","memory":128}}`, nil},
		"a text as long as it likes": {`"env":[{"name":"A","value":"` + strings.Repeat("9", 1000) + `"},{"name":"B","value":"1e99999999999"}]`, nil},
		"an exponent of 3 digits":    {`"resources":{"limits":{"cpu":"1e-999"}}`, nil},
		"a step too great":           {`"autoScaling":{"enabled":true,"maxScaleUpStep":4294967296}`, []string{"spec.autoScaling.maxScaleUpStep is 4294967296"}},
		"a number too great":         {`"messageTimeout":2147483648`, []string{"spec.messageTimeout is 2147483648"}},
		"a fraction":                 {`"messageTimeout":1.5`, []string{"spec.messageTimeout is 1.5"}},
		"no quantity":                {`"resources":{"limits":{"cpu":"1e1.5"}}`, []string{`spec.resources.limits[cpu] is "1e1.5"`, "quantities must match"}},
		"two faults":                 {`"messageTimeout":"x","resources":{"requests":{"memory":"1e.5"}}`, []string{"spec.messageTimeout", "spec.resources.requests[memory]"}},
		"a huge exponent":            {`"resources":{"limits":{"cpu":"1e99999999999"}}`, []string{"spec.resources.limits[cpu]", "3 digits in its exponent"}},
		"a huge negative exponent":   {`"resources":{"limits":{"cpu":"-1.5E-999999999"}}`, []string{"spec.resources.limits[cpu]"}},
		"a huge divisor":             {divisor(`"1e99999999999"`), []string{"spec.env[0].valueFrom.resourceFieldRef.divisor"}},
		"a quantity of a megabyte":   {`"resources":{"limits":{"cpu":"` + strings.Repeat("9", 1<<20) + `Ki"}}`, []string{"spec.resources.limits[cpu]", "at most 64 characters"}},
		"more than can be told":      {`"env":[` + strings.Repeat(`{"name":1},`, 999) + `{"name":2}]`, []string{"spec.env[0].name is 1", "spec.env[4].name is 1", "and 995 more"}},
		"an object for a text":       {`"image":{}`, []string{"spec.image is {}"}},
	} {
		t.Run(name, func(t *testing.T) {
			channel, err := Channel([]byte(raw("orders", test.spec)))
			require.NoError(t, err)
			assert.Equal(t, "orders", channel.Name)
			assert.Equal(t, int64(3), channel.Generation)
			assert.Equal(t, v1.PhaseRunning, channel.Status.Phase)
			words := Unreadable(channel)
			if test.want == nil {
				assert.Empty(t, words)
				assert.Equal(t, "m", channel.Spec.ChannelName)
				return
			}
			require.NotEmpty(t, words)
			assert.Less(t, len(words), 1000)
			for _, want := range test.want {
				assert.Contains(t, words, want)
			}
			assert.Zero(t, channel.Spec)
		})
	}

	channel, err := Channel([]byte(strings.Replace(raw("orders", `"image":1`), `"replicas":2`, `"replicas":99999999999`, 1)))
	require.NoError(t, err)
	assert.Zero(t, channel.Status, "a status that can't be read is none")
	assert.Contains(t, Unreadable(channel), "status.replicas is 99999999999")
	_, err = Channel([]byte(`{"metadata":{"name":5}}`))
	assert.ErrorContains(t, err, "reading the metadata of a PubSubChannel")
	_, err = Channel([]byte(`[`))
	assert.Error(t, err)
}

// Every costly quantity is found before it is read, also in a pod's spec, and what merely
// looks like one does no harm.
func TestProblems(t *testing.T) {
	pod := `{"volumes":[{"name":"a","emptyDir":{"sizeLimit":"1e99999999999"}}],"containers":[{"name":"1e99999","resources":{"limits":{"cpu":2}}}],"priority":4294967296}`
	found := Problems[corev1.PodSpec]([]byte(pod), "spec.template.spec")
	require.Len(t, found, 2)
	assert.ErrorContains(t, found[0], "spec.template.spec.volumes[0].emptyDir.sizeLimit is")
	assert.ErrorContains(t, found[1], "spec.template.spec.priority is 4294967296")
	for text, want := range map[string]bool{
		`{"a":"1e9999"}`: true, `{"a":"1E+9999"}`: true, `{"a":".5e-9999"}`: true, `{"a":"1e999"}`: false, `{"a":"1Ei"}`: false,
		`{"a":"e9999"}`: false, `{"uid":"1e123456-7890"}`: false, `{"2026-01-31T12:00:00Z":1}`: false, `{"a":"` + strings.Repeat("0", 65) + `"}`: true, `"`: false, ``: false, `"1`: false, `"1e`: false,
	} {
		assert.Equal(t, want, costly([]byte(text)), text)
	}
}

// A client with Config gets every channel of a list and of a watch.
func TestConfig(t *testing.T) {
	faulty := raw("faulty", `"autoScaling":{"maxScaleUpStep":4294967296}`)
	slow := raw("slow", `"resources":{"limits":{"cpu":"1e99999999999"}}`)
	good := raw("good", `"image":"i"`)
	answers := map[string]string{
		"some": fmt.Sprintf(`{"apiVersion":"pubsub.jawaracloud.io/v1","kind":"PubSubChannelList","metadata":{"resourceVersion":"9","continue":"c"},"items":[%s,%s,%s]}`, good, faulty, slow),
		"all":  fmt.Sprintf(`{"apiVersion":"pubsub.jawaracloud.io/v1","kind":"PubSubChannelList","metadata":{"resourceVersion":"9","continue":"c"},"items":[%s]}`, good),
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch query := r.URL.Query(); {
		case query.Get("watch") != "":
			for _, object := range []string{faulty, good, slow} {
				fmt.Fprintf(w, `{"type":"ADDED","object":%s}`+"\n", object)
			}
			fmt.Fprintln(w, `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","code":410}}`)
		case answers[query.Get("want")] != "":
			_, _ = io.WriteString(w, answers[query.Get("want")])
		default:
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","message":"you may not","code":403}`)
		}
	}))
	t.Cleanup(server.Close)
	config, err := Config(&rest.Config{Host: server.URL})
	require.NoError(t, err)
	client, err := rest.RESTClientFor(config)
	require.NoError(t, err)

	var got v1.PubSubChannelList
	require.NoError(t, client.Get().Resource("pubsubchannels").Param("want", "some").Do(t.Context()).Into(&got))
	assert.Equal(t, "9 c", got.ResourceVersion+" "+got.Continue)
	require.Len(t, got.Items, 3)
	assert.Empty(t, Unreadable(&got.Items[0]))
	assert.Contains(t, Unreadable(&got.Items[1]), "maxScaleUpStep")
	assert.Contains(t, Unreadable(&got.Items[2]), "limits[cpu]")
	got = v1.PubSubChannelList{}
	require.NoError(t, client.Get().Resource("pubsubchannels").Param("want", "all").Do(t.Context()).Into(&got))
	require.Len(t, got.Items, 1)
	assert.Equal(t, map[string]string{"a": "1e99999999999"}, got.Items[0].Annotations, "nobody's lie is believed")
	assert.ErrorContains(t, client.Get().Resource("pubsubchannels").Do(t.Context()).Into(&got), "you may not")

	watcher, err := client.Get().Resource("pubsubchannels").Param("watch", "true").Watch(t.Context())
	require.NoError(t, err)
	defer watcher.Stop()
	var seen []string
	for event := range watcher.ResultChan() {
		if channel, ok := event.Object.(*v1.PubSubChannel); ok {
			seen = append(seen, fmt.Sprintf("%s %s %t", event.Type, channel.Name, Unreadable(channel) != ""))
		} else {
			seen = append(seen, string(event.Type))
		}
	}
	assert.Equal(t, []string{"ADDED faulty true", "ADDED good false", "ADDED slow true", "ERROR"}, seen)
}

// The look for costly quantities is a small part of what decoding costs.
func BenchmarkChannel(b *testing.B) {
	data := []byte(raw("orders", `"messageTimeout":30,"image":"registry.example.com/worker:1.4.2","redisAddress":"dragonfly:6379","autoScaling":{"enabled":true,"minReplicas":1,"maxReplicas":10,"targetQueueDepth":100}`))
	data = []byte(strings.NewReplacer(`"1e99999999999"`, `"x"`, `"1e12345"`, `"1e123456-7890"`).Replace(string(data)))
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			var channel v1.PubSubChannel
			if err := json.Unmarshal(data, &channel); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("look", func(b *testing.B) {
		for b.Loop() {
			if costly(data) {
				b.Fatal("not costly")
			}
		}
	})
}
