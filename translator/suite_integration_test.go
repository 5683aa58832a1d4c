//go:build integration

package translator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/limits"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

const (
	// soon is how long anything that is to happen may take on a busy machine.
	soon = 2 * time.Minute
	// tick is how often it is looked for.
	tick = 50 * time.Millisecond
	// startTimeout is how long an API server may take to start.
	startTimeout = 3 * time.Minute
	// statusInterval is the controller's in these tests.
	statusInterval = 250 * time.Millisecond
)

// installing has more patience than envtest's 10 s.
var installing = envtest.CRDInstallOptions{MaxTime: soon}

var channelCRDs = filepath.Join("..", "charts", "pubsub-operator", "files", "crds")

// kedaCRDs is the folder of KEDA's CRDs in the module cache.
func kedaCRDs() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/kedacore/keda/v2").Output()
	if err != nil {
		return "", fmt.Errorf("finding KEDA's module: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "config", "crd", "bases"), nil
}

// server is an API server with a controller on it.
type server struct {
	client.WithWatch
	config    *rest.Config
	explainer *fakeExplainer
	log       *lines
	stop      func() error
}

// startAPI starts an API server on loopback with the CRDs of these folders.
func startAPI(crds ...string) (*envtest.Environment, *rest.Config, error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return nil, nil, fmt.Errorf("KUBEBUILDER_ASSETS is not set: it must name the folder of etcd, kube-apiserver and kubectl; run `make test`, which sets it")
	}
	env := &envtest.Environment{CRDDirectoryPaths: crds, ErrorIfCRDPathMissing: true, ControlPlaneStartTimeout: startTimeout, ControlPlaneStopTimeout: time.Minute, CRDInstallOptions: installing}
	config, err := env.Start()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("starting the API server: %w", err), env.Stop())
	}
	config.QPS, config.Burst = 1000, 1000
	return env, config, nil
}

// testScaler is the scaler that the controllers of these tests tell KEDA of.
var testScaler = build.ScalerRef{Address: "scaler.test:9090"}

// testWorkers is what channels get that name no image.
var testWorkers = plan.WorkerDefaults{Image: "mirror.test/jawaracloud/subscriber:1.2.3"}

// startServer starts an API server and a controller on it.
func startServer(crds ...string) (*server, error) {
	env, config, err := startAPI(crds...)
	if err != nil {
		return nil, err
	}
	s := &server{config: config, explainer: &fakeExplainer{}, log: &lines{}}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{AddToScheme, corev1.AddToScheme, autoscalingv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	if s.WithWatch, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	stopController, err := s.startController()
	s.stop = func() error {
		if stopController != nil {
			stopController()
		}
		return env.Stop()
	}
	return s, err
}

// startController runs a controller until the returned function is called.
func (s *server) startController() (func(), error) {
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		return nil, err
	}
	caches := NewCaches(s.config, nil)
	cacheOptions, err := caches.Options()
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(s.config, manager.Options{
		Scheme:                 scheme,
		Cache:                  cacheOptions,
		Logger:                 s.log.logger(),
		Metrics:                metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress: "0",
	})
	if err != nil {
		return nil, err
	}
	err = Setup(mgr, Options{
		Caches:                  caches,
		Scaler:                  testScaler,
		Limits:                  limits.Limits{ServiceAccounts: []string{"worker"}}, // of testdata/everything.yaml
		Explainer:               s.explainer,
		Workers:                 testWorkers,
		StatusInterval:          statusInterval,
		KEDAInterval:            200 * time.Millisecond,
		MaxConcurrentReconciles: 4,
		Instance:                "test",
		Clock:                   clock.RealClock{},
		SkipNameValidation:      true,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			panic(fmt.Errorf("the manager failed: %w", err))
		}
	}, nil
}

var shared = sync.OnceValues(func() (*server, error) {
	keda, err := kedaCRDs()
	if err != nil {
		return nil, err
	}
	s, err := startServer(channelCRDs, keda)
	if s != nil {
		stopShared = s.stop
	}
	return s, err
})

// stopShared is set once there is a shared server.
var stopShared func() error

// sharedServer is the one that most tests use, each in a namespace of its own.
func sharedServer(t *testing.T) *server {
	t.Helper()
	s, err := shared()
	require.NoError(t, err)
	return s
}

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	code := m.Run()
	if stopShared != nil {
		if err := stopShared(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the API server:", err)
		}
	}
	os.Exit(code)
}

// namespace makes a namespace for one test.
func (s *server) namespace(t *testing.T) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	require.NoError(t, s.Create(t.Context(), ns))
	return ns.Name
}

// channel creates a channel.
func (s *server) channel(t *testing.T, change ...func(*v1.PubSubChannel)) *v1.PubSubChannel {
	t.Helper()
	channel := &v1.PubSubChannel{
		ObjectMeta: metav1.ObjectMeta{Name: "orders", Namespace: s.namespace(t)},
		Spec:       v1.PubSubChannelSpec{ChannelName: "messages"},
	}
	for _, c := range change {
		c(channel)
	}
	require.NoError(t, s.Create(t.Context(), channel))
	return channel
}

// edit changes a channel, against whatever else writes it.
func (s *server) edit(t *testing.T, channel *v1.PubSubChannel, change func(*v1.PubSubChannel)) {
	t.Helper()
	s.get(t, channel)
	before := channel.DeepCopy()
	change(channel)
	require.NoError(t, s.Patch(t.Context(), channel, client.MergeFrom(before)))
}

func (s *server) get(t *testing.T, object client.Object) {
	t.Helper()
	require.NoError(t, s.Get(t.Context(), client.ObjectKeyFromObject(object), object))
}

func deploymentOf(channel *v1.PubSubChannel) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: channel.Name + "-subscriber", Namespace: channel.Namespace}}
}

func scaledObjectOf(channel *v1.PubSubChannel) *kedav1alpha1.ScaledObject {
	return &kedav1alpha1.ScaledObject{ObjectMeta: metav1.ObjectMeta{Name: channel.Name, Namespace: channel.Namespace}}
}

// eventually waits until the object is as wanted, and leaves it in that state.
func eventually[T client.Object](t *testing.T, s *server, object T, want func(T) bool, words string) {
	t.Helper()
	require.Eventually(t, func() bool {
		return s.Get(t.Context(), client.ObjectKeyFromObject(object), object) == nil && want(object)
	}, soon, tick, "%s: %s", words, lazily(func() string { return fmt.Sprintf("%+v", object) }))
}

// lazily is formatted only when a test fails.
type lazily func() string

func (l lazily) String() string { return l() }

// deploymentReady waits for a Deployment whose replicas are not the main owner's, or not
// any more.
func (s *server) deploymentReady(t *testing.T, channel *v1.PubSubChannel) *appsv1.Deployment {
	t.Helper()
	deployment := deploymentOf(channel)
	eventually(t, s, deployment, func(d *appsv1.Deployment) bool {
		return !ownerHas(d, ownership.Main) && (*d.Spec.Replicas == plan.DefaultReplicas || ownerHas(d, ownership.Replicas))
	}, "the Deployment is made, and its replicas are handed over")
	return deployment
}

// ownerHas reports whether a manager owns spec.replicas.
func ownerHas(deployment *appsv1.Deployment, manager string) bool {
	for _, entry := range deployment.ManagedFields {
		if entry.Manager == manager && strings.Contains(entry.FieldsV1.String(), `"f:replicas"`) && entry.Subresource != "status" {
			return true
		}
	}
	return false
}

// scale sets replicas as the HPA does: through the scale subresource.
func (s *server) scale(t *testing.T, deployment *appsv1.Deployment, replicas int32) {
	t.Helper()
	scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	require.NoError(t, s.SubResource("scale").Update(t.Context(), deployment, client.WithSubResourceBody(scale), client.FieldOwner("kube-controller-manager")))
}

// scaleChannel is kubectl scale psc.
func (s *server) scaleChannel(t *testing.T, channel *v1.PubSubChannel, replicas int32) {
	t.Helper()
	scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	require.NoError(t, s.SubResource("scale").Update(t.Context(), channel, client.WithSubResourceBody(scale), client.FieldOwner("kubectl")))
	s.get(t, channel)
}

// events are the notes of all Scaled events of a channel, oldest first.
func (s *server) events(t *testing.T, channel *v1.PubSubChannel) []string {
	t.Helper()
	var list eventsv1.EventList
	require.NoError(t, s.List(t.Context(), &list, client.InNamespace(channel.Namespace)))
	var notes []string
	for _, event := range list.Items {
		if event.Reason == v1.EventScaled && event.Regarding.UID == channel.UID {
			notes = append(notes, event.Note)
		}
	}
	return notes
}

// fakeExplainer answers for the scaler.
type fakeExplainer struct {
	mu      sync.Mutex
	answers map[string]func(*inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error)
	asked   map[string]*inspectv1.ExplainRequest
}

func (f *fakeExplainer) Explain(_ context.Context, request *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
	key := request.GetNamespace() + "/" + request.GetName()
	f.mu.Lock()
	if f.asked == nil {
		f.asked = map[string]*inspectv1.ExplainRequest{}
	}
	f.asked[key] = request
	answer := f.answers[key]
	f.mu.Unlock()
	if answer == nil {
		return &inspectv1.ExplainResponse{Action: inspectv1.Action_ACTION_HOLD, Reason: inspectv1.Reason_REASON_WITHIN_BAND, LastingExplanation: "holding"}, nil
	}
	return answer(request)
}

// set makes the answer about a channel.
func (f *fakeExplainer) set(channel *v1.PubSubChannel, answer func(*inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.answers == nil {
		f.answers = map[string]func(*inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error){}
	}
	f.answers[channel.Namespace+"/"+channel.Name] = answer
}

// last is the last question about a channel.
func (f *fakeExplainer) last(channel *v1.PubSubChannel) *inspectv1.ExplainRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[channel.Namespace+"/"+channel.Name]
}

// lines keeps what is logged.
type lines struct {
	mu   sync.Mutex
	kept []string
}

func (l *lines) logger() logr.Logger {
	return funcr.New(func(_, args string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.kept = append(l.kept, args)
	}, funcr.Options{})
}

// Write keeps one line of a slog.TextHandler.
func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, string(line))
	return len(line), nil
}

// count is how many lines hold all of these texts.
func (l *lines) count(texts ...string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, line := range l.kept {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			n++
		}
	}
	return n
}

// tellIfFailed prints the last lines, and where each goroutine is, if the test fails: what
// stands still says so only then. It is to be deferred after the controller's end.
func (l *lines) tellIfFailed(t *testing.T) {
	t.Helper()
	if !t.Failed() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Log(strings.Join(l.kept[max(0, len(l.kept)-200):], "\n"))
	stacks := make([]byte, 4<<20)
	t.Log(string(stacks[:goruntime.Stack(stacks, true)]))
}
