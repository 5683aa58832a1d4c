//go:build integration

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connecttest"
	"github.com/jawaracloud/pubsub-operator/internal/certtest"
)

const tick = 50 * time.Millisecond

// cluster is an API server with the CRD, a node whose kubelet forwards ports, and nothing
// installed.
type cluster struct {
	client.Client
	env   *envtest.Environment
	admin string // kubeconfig
	stop  func() error

	mu     sync.Mutex
	scaled map[string]string // pod → address of its scaler
}

var shared = sync.OnceValues(startCluster)

func startCluster() (*cluster, error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return nil, errors.New("KUBEBUILDER_ASSETS is not set: it must name the folder of etcd, kube-apiserver and kubectl; run `make test`, which sets it")
	}
	c := &cluster{scaled: map[string]string{}}
	c.env = &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "charts", "pubsub-operator", "files", "crds")},
		ErrorIfCRDPathMissing: true, ControlPlaneStartTimeout: 3 * time.Minute, ControlPlaneStopTimeout: time.Minute,
		CRDInstallOptions: envtest.CRDInstallOptions{MaxTime: 3 * time.Minute}, // a busy machine needs more than 10 s
	}
	config, err := c.env.Start()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the API server: %w", err), c.env.Stop())
	}
	c.stop = c.env.Stop
	config.QPS, config.Burst = 1000, 1000
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1.AddToScheme, corev1.AddToScheme, rbacv1.AddToScheme, appsv1.AddToScheme, coordinationv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return c, err
		}
	}
	if c.Client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return c, err
	}
	if err := c.startNode(); err != nil {
		return c, err
	}
	c.admin, err = c.kubeconfig("administrator", "system:masters")
	return c, err
}

// startNode adds a node at loopback, whose kubelet is played: the API server reaches it as
// any other.
func (c *cluster) startNode() error {
	kubelet := httptest.NewTLSServer(connecttest.PortForward{Dial: func(ctx context.Context, path, port string) (net.Conn, error) {
		c.mu.Lock()
		address := c.scaled[path+":"+port]
		c.mu.Unlock()
		if address == "" {
			return nil, errors.New("nothing listens at " + path + ":" + port)
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}})
	stop := c.stop
	c.stop = func() error { kubelet.Close(); return stop() }
	at, err := url.Parse(kubelet.URL)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(at.Port())
	if err != nil {
		return err
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}}
	if err := c.Create(context.Background(), node); err != nil {
		return err
	}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: at.Hostname()}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(port)
	return c.Status().Update(context.Background(), node)
}

// kubeconfig writes one for a user.
func (c *cluster) kubeconfig(name string, groups ...string) (string, error) {
	user, err := c.env.AddUser(envtest.User{Name: name, Groups: groups}, nil)
	if err != nil {
		return "", err
	}
	data, err := user.KubeConfig()
	if err != nil {
		return "", err
	}
	file, err := os.CreateTemp("", "kubeconfig-")
	if err != nil {
		return "", err
	}
	_, err = file.Write(data)
	return file.Name(), errors.Join(err, file.Close())
}

func TestMain(m *testing.M) {
	silenceLibraries()
	code := m.Run()
	if c, _ := shared(); c != nil {
		if err := c.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the API server:", err)
		}
		_ = os.Remove(c.admin)
	}
	os.Exit(code)
}

func sharedCluster(t *testing.T) *cluster {
	t.Helper()
	c, err := shared()
	require.NoError(t, err)
	t.Setenv("KUBECONFIG", c.admin)
	return c
}

func (c *cluster) namespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	require.NoError(t, c.Create(t.Context(), namespace))
	return namespace.Name
}

func (c *cluster) channel(t *testing.T, namespace, name string, autoscaling bool) *v1.PubSubChannel {
	t.Helper()
	channel := &v1.PubSubChannel{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1.PubSubChannelSpec{ChannelName: name, AutoScaling: &v1.AutoScalingSpec{Enabled: autoscaling}},
	}
	require.NoError(t, c.Create(t.Context(), channel))
	return channel
}

// install adds the operator's pods and Secret, as the chart makes them, and a scaler
// behind them, until the test ends.
func (c *cluster) install(t *testing.T) (namespace string, scaler *connecttest.Inspector) {
	t.Helper()
	namespace, scaler = c.namespace(t), &connecttest.Inspector{}
	ca := certtest.New(t)
	host := "op-scaler." + namespace + ".svc"
	_, address := connecttest.Serve(t, scaler, ca.MutualTLS(ca.Server(host)))
	pod := func(name, component string, args ...string) {
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name,
				Labels:      map[string]string{"app": "pubsub-operator", "app.kubernetes.io/component": component},
				Annotations: map[string]string{"pubsub.jawaracloud.io/people-secret": "op-people-tls"}},
			Spec: corev1.PodSpec{
				NodeName: "node", ServiceAccountName: component,
				Volumes:    []corev1.Volume{{Name: "tls", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "op-" + component + "-tls"}}}},
				Containers: []corev1.Container{{Name: component, Image: "registry.example.com:5000/operator:0.1.0", Args: args, Ports: []corev1.ContainerPort{{Name: "grpc", ContainerPort: 9090}}}},
			},
		}
		require.NoError(t, c.Create(t.Context(), p))
		p.Status.Phase = corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		require.NoError(t, c.Status().Update(t.Context(), p))
		t.Cleanup(func() {
			assert.NoError(t, c.Delete(context.Background(), p, client.GracePeriodSeconds(0)))
		})
	}
	pod("scaler", "scaler", "--tls-cert-dir=/etc/pubsub-operator/tls")
	pod("controller", "controller", "--scaler-address="+host+":9090")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "op-people-tls"}, Type: corev1.SecretTypeTLS, Data: ca.Secret(ca.Client("client"))}
	require.NoError(t, c.Create(t.Context(), secret))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scaled["/portForward/"+namespace+"/scaler:9090"] = address
	return namespace, scaler
}
