package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// fakeServer is an API server that has channels, and a clock of its own.
type fakeServer struct {
	*httptest.Server
	ahead time.Duration // of this machine's clock

	mu       sync.Mutex
	channels map[types.NamespacedName]*v1.PubSubChannel
	raw      map[types.NamespacedName]string // of a channel that can't be decoded: its spec
	refuse   map[string]metav1.Status        // by the method and the name, as in PATCH orders
	asked    []string                        // the methods and names
	patches  []string
}

// newFakeServer starts one, to which the kubeconfig's context leads, with the namespace shop.
func newFakeServer(t *testing.T, ahead time.Duration, channels ...*v1.PubSubChannel) *fakeServer {
	t.Helper()
	s := &fakeServer{ahead: ahead, channels: map[types.NamespacedName]*v1.PubSubChannel{}, raw: map[types.NamespacedName]string{}, refuse: map[string]metav1.Status{}}
	for _, channel := range channels {
		s.channels[types.NamespacedName{Namespace: channel.Namespace, Name: channel.Name}] = channel
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"gitVersion":"v1.36.0"}`)) })
	mux.HandleFunc("GET /apis/pubsub.jawaracloud.io/v1/pubsubchannels", func(w http.ResponseWriter, r *http.Request) { s.list(w, r, "") })
	mux.HandleFunc("GET /apis/pubsub.jawaracloud.io/v1/namespaces/{namespace}/pubsubchannels", func(w http.ResponseWriter, r *http.Request) { s.list(w, r, r.PathValue("namespace")) })
	mux.HandleFunc("/apis/pubsub.jawaracloud.io/v1/namespaces/{namespace}/pubsubchannels/{name}", func(w http.ResponseWriter, r *http.Request) {
		data, err := s.one(r, types.NamespacedName{Namespace: r.PathValue("namespace"), Name: r.PathValue("name")})
		assert.NoError(t, err)
		s.write(w, data)
	})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, namespace: shop, user: a}}]\nclusters: [{name: a, cluster: {server: %q}}]\nusers: [{name: a, user: {}}]\n", s.URL), 0o600))
	t.Setenv("KUBECONFIG", file)
	return s
}

// now is the cluster's time.
func (s *fakeServer) now() time.Time { return time.Now().Add(s.ahead) }

// fails has a request refused.
func (s *fakeServer) fails(request string, code int32, reason metav1.StatusReason, message string) {
	s.refuse[request] = metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message, Details: &metav1.StatusDetails{Kind: "pubsubchannels"}}
}

func (s *fakeServer) write(w http.ResponseWriter, data []byte) {
	w.Header().Set("Content-Type", "application/json")
	status := metav1.Status{}
	if json.Unmarshal(data, &status) == nil && status.Kind == "Status" {
		w.WriteHeader(int(status.Code))
	}
	_, _ = w.Write(data)
}

// object is a channel as it is sent.
func (s *fakeServer) object(key types.NamespacedName) (json.RawMessage, error) {
	data, err := json.Marshal(s.channels[key])
	if spec := s.raw[key]; spec != "" && err == nil {
		var members map[string]json.RawMessage
		if err = json.Unmarshal(data, &members); err == nil {
			members["spec"] = json.RawMessage(spec)
			data, err = json.Marshal(members)
		}
	}
	return data, err
}

func (s *fakeServer) list(w http.ResponseWriter, r *http.Request, namespace string) {
	if r.URL.Query().Get("watch") != "" { // nothing changes
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	}
	labelled, _ := labels.Parse(r.URL.Query().Get("labelSelector"))
	named, _ := fields.ParseSelector(r.URL.Query().Get("fieldSelector"))
	s.mu.Lock()
	defer s.mu.Unlock()
	items := []json.RawMessage{}
	var keys []types.NamespacedName
	for key, channel := range s.channels {
		if (namespace == "" || namespace == key.Namespace) && labelled.Matches(labels.Set(channel.Labels)) && named.Matches(fields.Set{"metadata.name": key.Name}) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) })
	for _, key := range keys {
		item, _ := s.object(key)
		items = append(items, item)
	}
	data, _ := json.Marshal(map[string]any{"apiVersion": v1.GroupVersion.String(), "kind": "PubSubChannelList", "metadata": map[string]string{"resourceVersion": "7"}, "items": items})
	s.write(w, data)
}

func (s *fakeServer) one(r *http.Request, key types.NamespacedName) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	request := r.Method + " " + key.Name
	s.asked = append(s.asked, request)
	if status, refused := s.refuse[request]; refused {
		return json.Marshal(status)
	}
	channel := s.channels[key]
	if channel == nil {
		return json.Marshal(metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: 404, Reason: metav1.StatusReasonNotFound,
			Message: fmt.Sprintf("pubsubchannels.pubsub.jawaracloud.io %q not found", key.Name), Details: &metav1.StatusDetails{Name: key.Name, Kind: "pubsubchannels"}})
	}
	if r.Method == http.MethodPatch {
		var patch struct{ Spec struct{ Paused *bool } }
		var text json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&text); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &patch); err != nil {
			return nil, err
		}
		s.patches = append(s.patches, key.Name+" "+string(text))
		paused := patch.Spec.Paused != nil && *patch.Spec.Paused
		if channel.Spec.Paused != paused {
			channel.Spec.Paused = paused
			channel.Generation++
		}
	}
	return s.object(key)
}

// fakeChannel is one that autoscales.
func fakeChannel(namespace, name string, changes ...func(*v1.PubSubChannel)) *v1.PubSubChannel {
	channel := &v1.PubSubChannel{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1.GroupVersion.String(), Kind: "PubSubChannel"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + name), ResourceVersion: "7", Generation: 1},
		Spec:       v1.PubSubChannelSpec{ChannelName: name, AutoScaling: &v1.AutoScalingSpec{Enabled: true}},
	}
	for _, change := range changes {
		change(channel)
	}
	return channel
}

func paused(channel *v1.PubSubChannel) { channel.Spec.Paused = true }
