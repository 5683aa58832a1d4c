package feed

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/record"
)

const (
	// soon is how long anything that is to happen may take on a busy machine.
	soon = 2 * time.Minute
	tick = 5 * time.Millisecond
)

// apiServer has channels, namespaces and one user, whose rights change. As the real one, it looks at rights when a request
// begins.
type apiServer struct {
	*httptest.Server
	t testing.TB

	mu         sync.Mutex
	permitted  map[string]bool // to list and watch channels, by namespace, "" for all; namespacesRight: to list namespaces
	namespaces []string
	channels   map[string]json.RawMessage
	version    int
	events     []apiEvent
	news       chan struct{}  // closed at the next event
	watches    map[string]int // that are open, by namespace
	lists      map[string]int // that were answered
	endless    bool           // watches don't end by themselves
	ended      chan struct{}  // closed where all watches end well
	broken     map[string]bool
	breaks     map[string]bool // after the next list
}

type apiEvent struct {
	version        int
	namespace, raw string
}

const namespacesRight = "list namespaces"

func newAPIServer(t testing.TB, namespaces ...string) *apiServer {
	t.Helper()
	s := &apiServer{
		t: t, permitted: map[string]bool{namespacesRight: true}, namespaces: namespaces, channels: map[string]json.RawMessage{}, version: 1,
		news: make(chan struct{}), watches: map[string]int{}, lists: map[string]int{},
		ended: make(chan struct{}), broken: map[string]bool{}, breaks: map[string]bool{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/apis/pubsub.jawaracloud.io/v1/pubsubchannels", func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, "") })
	mux.HandleFunc("/apis/pubsub.jawaracloud.io/v1/namespaces/{namespace}/pubsubchannels", func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, r.PathValue("namespace")) })
	mux.HandleFunc("/api/v1/namespaces", s.serveNamespaces)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// feed is one of this server that is quick to ask again.
func (s *apiServer) feed() *Feed {
	s.t.Helper()
	cluster, err := connect.NewCluster(&rest.Config{Host: s.URL})
	require.NoError(s.t, err)
	f, err := New(cluster, record.New(time.Now()), time.Now)
	require.NoError(s.t, err)
	f.rhythm = rhythm{
		pause: tick, longestPause: tick, forbiddenPause: tick, longestForbiddenPause: 4 * tick, watch: time.Second, overdue: soon, namespaces: 4 * tick,
		silence: 4 * soon, tick: tick, asleep: soon,
	}
	return f
}

// permit gives the user a right, or takes it.
func (s *apiServer) permit(right string, yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.permitted[right] = yes
}

// breakDown lets all requests about a namespace fail, or not any more.
func (s *apiServer) breakDown(namespace string, yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken[namespace] = yes
}

// breakAfter lets all requests about a namespace fail after the next list.
func (s *apiServer) breakAfter(namespace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breaks[namespace] = true
}

// endWatches ends those that are open, as an API server that goes away in good order.
func (s *apiServer) endWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.ended)
	s.ended = make(chan struct{})
}

// listed is how many lists of a namespace were answered.
func (s *apiServer) listed(namespace string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists[namespace]
}

func (s *apiServer) setNamespaces(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.namespaces = names
}

// open is how many watches of a namespace are open.
func (s *apiServer) open(namespace string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watches[namespace]
}

// put makes a channel, or changes it.
func (s *apiServer) put(namespace, name string, depth int64) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	channel := example()
	channel.Namespace, channel.Name, channel.Status.QueueDepth = namespace, name, &depth
	channel.ResourceVersion = strconv.Itoa(s.version + 1)
	data, err := json.Marshal(channel)
	assert.NoError(s.t, err)
	s.event("MODIFIED", namespace+"/"+name, data)
	s.channels[namespace+"/"+name] = data
}

// putRaw has an object that is as it is.
func (s *apiServer) putRaw(key, data string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.event("ADDED", key, []byte(data))
	s.channels[key] = json.RawMessage(data)
}

func (s *apiServer) remove(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.event("DELETED", key, s.channels[key])
	delete(s.channels, key)
}

func (s *apiServer) event(kind, key string, data []byte) {
	s.version++
	namespace, _, _ := strings.Cut(key, "/")
	s.events = append(s.events, apiEvent{s.version, namespace, fmt.Sprintf(`{"type":%q,"object":%s}`, kind, data)})
	close(s.news)
	s.news = make(chan struct{})
}

func forbidden(w http.ResponseWriter, what string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusForbidden)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","message":%q,"code":403}`, what+" is forbidden")
}

func (s *apiServer) serve(w http.ResponseWriter, r *http.Request, namespace string) {
	s.mu.Lock()
	permitted, broken := s.permitted[namespace], s.broken[namespace]
	s.mu.Unlock()
	switch {
	case broken:
		http.Error(w, "etcd is away", http.StatusInternalServerError)
	case !permitted:
		forbidden(w, "pubsubchannels")
	case r.URL.Query().Get("watch") != "":
		s.watch(w, r, namespace)
	default:
		s.list(w, namespace)
	}
}

func (s *apiServer) list(w http.ResponseWriter, namespace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists[namespace]++
	s.broken[namespace] = s.broken[namespace] || s.breaks[namespace]
	var items []string
	for key, data := range s.channels {
		if namespace == "" || strings.HasPrefix(key, namespace+"/") {
			items = append(items, string(data))
		}
	}
	slices.Sort(items)
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"apiVersion":"pubsub.jawaracloud.io/v1","kind":"PubSubChannelList","metadata":{"resourceVersion":"%d"},"items":[%s]}`, s.version, strings.Join(items, ","))
}

func (s *apiServer) watch(w http.ResponseWriter, r *http.Request, namespace string) {
	count := func(more int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.watches[namespace] += more
	}
	s.mu.Lock()
	ended := s.ended
	s.mu.Unlock()
	count(1)
	defer count(-1)
	from, err := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	assert.NoError(s.t, err)
	lasts, err := strconv.Atoi(r.URL.Query().Get("timeoutSeconds"))
	assert.NoError(s.t, err, "a watch without an end outlives the right to it")
	end := time.After(time.Duration(lasts) * time.Second)
	if s.endless {
		end = nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	for {
		s.mu.Lock()
		news := s.news
		for _, event := range s.events {
			if event.version > from && (namespace == "" || event.namespace == namespace) {
				fmt.Fprintln(w, event.raw)
			}
		}
		from = s.version
		s.mu.Unlock()
		w.(http.Flusher).Flush()
		select {
		case <-news:
		case <-end:
			return
		case <-ended:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func (s *apiServer) serveNamespaces(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.permitted[namespacesRight] {
		forbidden(w, "namespaces")
		return
	}
	var items []string
	for _, name := range s.namespaces {
		items = append(items, fmt.Sprintf(`{"metadata":{"name":%q}}`, name))
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"apiVersion":"v1","kind":"NamespaceList","metadata":{},"items":[%s]}`, strings.Join(items, ","))
}
