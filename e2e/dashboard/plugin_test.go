package dashboardtest

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

var plugin = flag.String("plugin", "", "the kubectl-pubsub to drive; make dashboard-test builds it, and sets KUBEBUILDER_ASSETS")

// apiServer is a real one with the CRD. It can be stopped and started again.
type apiServer struct {
	client.Client
	env        *envtest.Environment
	kubeconfig string
}

func startAPIServer(t *testing.T) *apiServer {
	t.Helper()
	log.SetLogger(logr.Discard())
	require.NotEmpty(t, os.Getenv("KUBEBUILDER_ASSETS"), "KUBEBUILDER_ASSETS must name the folder of etcd and kube-apiserver: make dashboard-test sets it")
	a := &apiServer{env: &envtest.Environment{
		CRDDirectoryPaths: []string{"../../charts/pubsub-operator/files/crds"}, ErrorIfCRDPathMissing: true,
		ControlPlaneStartTimeout: 3 * time.Minute, ControlPlaneStopTimeout: 3 * time.Minute,
		CRDInstallOptions: envtest.CRDInstallOptions{MaxTime: 3 * time.Minute}, // a busy machine needs more than 10 s
	}}
	// With a folder of its own for certificates it has the same ones after a restart.
	server := &envtest.APIServer{CertDir: t.TempDir()}
	server.Configure().Set("request-timeout", "5s") // for so long its end waits for connections
	a.env.ControlPlane.APIServer = server
	config, err := a.env.Start()
	t.Cleanup(func() { assert.NoError(t, a.env.Stop()) })
	require.NoError(t, err)
	scheme := runtime.NewScheme()
	require.NoError(t, v1.AddToScheme(scheme))
	require.NoError(t, corev1.AddToScheme(scheme))
	a.Client, err = client.New(config, client.Options{Scheme: scheme})
	require.NoError(t, err)
	user, err := a.env.AddUser(envtest.User{Name: "developer", Groups: []string{"system:masters"}}, nil)
	require.NoError(t, err)
	data, err := user.KubeConfig()
	require.NoError(t, err)
	a.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(a.kubeconfig, data, 0o600))
	return a
}

// dashboard runs the plugin, and is its address.
func dashboard(t *testing.T, kubeconfig string, environment []string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), *plugin, append([]string{"dashboard", "--no-browser", "--kubeconfig", kubeconfig}, args...)...)
	command.Env, command.Stderr = environment, os.Stderr
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() { _ = command.Wait() }) // the test's context has ended it
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+/\?token=\w+`).FindString(line)
	require.NotEmpty(t, address, line)
	return address
}

// decide gives a channel the status that the controller writes for a depth with 3 workers.
func (a *apiServer) decide(t *testing.T, name string, depth int64) {
	t.Helper()
	channel := &v1.PubSubChannel{}
	require.NoError(t, a.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: name}, channel))
	now := metav1.Now()
	decision := &v1.ScalingDecision{
		ObservedTime: now, Action: v1.ScalingHold, Reason: "WithinBand", Message: fmt.Sprintf("queue depth %d is between the bounds 150 and 450", depth), QueueType: "list",
		Replicas: 3, DesiredReplicas: 3, QueueDepth: depth, Ready: depth, LowerBound: 150, UpperBound: 450, Active: true,
	}
	channel.Status = v1.PubSubChannelStatus{
		Phase: v1.PhaseRunning, Replicas: 3, ReadyReplicas: 3, DesiredReplicas: 3, QueueDepth: &depth, Selector: "pubsubchannel=" + name, Decision: decision,
		Conditions: []metav1.Condition{
			{Type: v1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1.ReasonAvailable, Message: "3 of 3 workers are ready", LastTransitionTime: now},
			{Type: v1.ConditionConnected, Status: metav1.ConditionTrue, Reason: v1.ReasonQueueRead, Message: "the queue was read", LastTransitionTime: now},
		},
	}
	require.NoError(t, a.Status().Update(t.Context(), channel))
}

// The plugin itself, on a real API server: open, filter, follow, what if, replay, and the API server's restart.
func TestThePlugin(t *testing.T) {
	if *plugin == "" {
		t.Skip("-plugin names no kubectl-pubsub: make dashboard-test builds it, and sets the flag")
	}
	a := startAPIServer(t)
	require.NoError(t, a.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}))
	for _, name := range []string{"orders", "invoices", "mail"} {
		require.NoError(t, a.Create(t.Context(), &v1.PubSubChannel{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
			Spec:       v1.PubSubChannelSpec{ChannelName: name, AutoScaling: &v1.AutoScalingSpec{Enabled: true}},
		}))
		a.decide(t, name, 300)
	}
	p := open(t, dashboard(t, a.kubeconfig, os.Environ(), "--namespace", "shop"), 1280, 900)
	p.allow(refused) // the cut connection at the end
	p.untilText(".found", "3 channels")
	assert.NotContains(t, value[string](p, "location.href"), "token", "the token doesn't stay in the address")

	p.key("/", "Slash")
	p.press("ord")
	p.untilText(".found", "1 of 3 channels")
	p.press(enter)
	p.until(chosen + ` === "shop/orders"`)
	p.press(enter)
	p.untilText(".p-decision", "queue depth 300 is between 150 and 450")
	p.untilText(".p-settings", "targetQueueDepth100")
	p.untilText(".p-conditions", "3 of 3 workers are ready")
	p.untilText(".p-workers", "There is no worker")

	a.decide(t, "orders", 420)
	p.untilText(".p-decision", "queue depth 420")
	p.untilText(".figure-depth", "420")
	p.until(`document.querySelector(".plots").ariaLabel.includes("depth 420, band 150 to 450")`)

	p.turn("#knob-depth", 5000)
	p.untilText(".answer", "Scale up, 3 → ")

	p.turn("#knob-maxReplicas", 4)
	p.untilText(".answer", "Scale up, 3 → 4 replicas")
	p.click(".whatif header button")

	// Before a minute is recorded, it is said that this is too little.
	p.click(".replay .primary")
	p.untilText(".replayed .problem", "a replay needs at least")
	p.turn("#knob-cooldownPeriod", 10)
	deadline := time.Now().Add(shortestReplay + 2*patience)
	// Nothing counts arrivals: only a steep fall, to a depth that lasts, tells how fast workers are.
	const left = 50
	for depth := int64(410); !value[bool](p, `Boolean(document.querySelector(".replayed .figures"))`); depth = max(left, depth-120) {
		require.True(t, time.Now().Before(deadline), p.text(".replayed"))
		a.decide(t, "orders", depth)
		p.untilText(".figure-depth", fmt.Sprint(depth))
		next := time.Now().Add(3 * time.Second)
		p.until(fmt.Sprintf("Date.now() >= %d", next.UnixMilli()))
		p.click(".replay .primary")
		p.until(`!document.querySelector(".replay .primary").disabled`)
	}
	assert.Contains(t, p.text(".replayed"), "Simulated, with the changes")
	assert.Contains(t, p.text(".assumed"), "assumption")

	require.NoError(t, a.env.ControlPlane.APIServer.Stop())
	p.untilText("#banner", "The Kubernetes API server can't be reached since")
	p.untilText("#banner", "showing what was known")
	assert.Contains(t, p.text(".p-settings"), "targetQueueDepth100")
	require.NoError(t, a.env.ControlPlane.APIServer.Start())
	p.until(`document.querySelector("#banner").hidden`)
	require.Eventually(t, func() bool {
		return a.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "orders"}, &v1.PubSubChannel{}) == nil
	}, 2*patience, 100*time.Millisecond, "the API server is back")
	a.decide(t, "orders", 333)
	p.untilText(".figure-depth", "333")
	p.press(escape)
	p.until(`document.querySelector(".fleet")`)
}

// shortestReplay is what the plugin needs to be recorded.
const shortestReplay = time.Minute
