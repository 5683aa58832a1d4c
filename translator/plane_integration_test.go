//go:build integration

package translator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// plane is an API server without a controller, for tests that run controllers of their own
// on it, read its audit log, or kill it.
type plane struct {
	client.WithWatch
	env    *envtest.Environment
	config *rest.Config // an administrator's
	dir    string       // of its process ids, certificates and data, and of the audit log
	// olderStatus is set while a status may lack what the CRD did not have when it was written.
	olderStatus bool
}

// auditPolicy has every request of these users written down when it is answered.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, users: ["` + controllerUser + `"]}
- {level: None}
`

// controllerUser is who the controller is to the API server, where a test cares.
const controllerUser = "system:serviceaccount:pubsub-system:controller"

// startPlane starts an API server with KEDA's CRDs and ours, until the test ends.
func startPlane(tb testing.TB, flags map[string]string, crds ...string) *plane {
	tb.Helper()
	require.NotEmpty(tb, os.Getenv("KUBEBUILDER_ASSETS"), "it must name the folder of etcd, kube-apiserver and kubectl; run `make test`, which sets it")
	p := &plane{dir: tb.TempDir()}
	p.env = &envtest.Environment{CRDDirectoryPaths: crds, ErrorIfCRDPathMissing: true, ControlPlaneStartTimeout: startTimeout, ControlPlaneStopTimeout: time.Minute, CRDInstallOptions: installing}
	api := p.env.ControlPlane.GetAPIServer()
	// Folders of their own outlive a process, so that it can be started anew.
	api.CertDir = p.folder(tb, "apiserver")
	api.Path = p.program(tb, "kube-apiserver")
	p.env.ControlPlane.Etcd = &envtest.Etcd{DataDir: p.folder(tb, "etcd"), Path: p.program(tb, "etcd")}
	require.NoError(tb, os.WriteFile(filepath.Join(p.dir, "policy.yaml"), []byte(auditPolicy), 0o600))
	api.Configure().Set("audit-policy-file", filepath.Join(p.dir, "policy.yaml")).Set("audit-log-path", p.auditLog())
	for flag, value := range flags {
		api.Configure().Set(flag, value)
	}
	tb.Cleanup(func() { require.NoError(tb, p.env.Stop()) })
	config, err := p.env.Start()
	require.NoError(tb, err)
	config.QPS = -1
	p.config = config
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{AddToScheme, corev1.AddToScheme, admissionv1.AddToScheme, autoscalingv1.AddToScheme, rbacv1.AddToScheme, authorizationv1.AddToScheme} {
		require.NoError(tb, add(scheme))
	}
	p.WithWatch, err = client.NewWithWatch(config, client.Options{Scheme: scheme})
	require.NoError(tb, err)
	return p
}

// startPlaneWithKEDA starts one that has everything.
func startPlaneWithKEDA(tb testing.TB) *plane {
	tb.Helper()
	keda, err := kedaCRDs()
	require.NoError(tb, err)
	return startPlane(tb, nil, channelCRDs, keda)
}

func (p *plane) folder(tb testing.TB, name string) string {
	tb.Helper()
	folder := filepath.Join(p.dir, name)
	require.NoError(tb, os.Mkdir(folder, 0o700))
	return folder
}

// program is a script that tells its process id and becomes the program: envtest keeps the
// id to itself.
func (p *plane) program(tb testing.TB, name string) string {
	tb.Helper()
	script := filepath.Join(p.dir, name+".sh")
	text := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = --help ] || echo $$ > %q\nexec %q \"$@\"\n",
		filepath.Join(p.dir, name+".pid"), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), name))
	require.NoError(tb, os.WriteFile(script, []byte(text), 0o700))
	return script
}

// kill ends one of the two programs without a warning, and waits until it is no more: its port is free then.
func (p *plane) kill(tb testing.TB, name string) {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, name+".pid"))
	require.NoError(tb, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(tb, err)
	require.NoError(tb, syscall.Kill(pid, syscall.SIGKILL))
	require.Eventually(tb, func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }, soon, tick, "%s goes on after SIGKILL", name)
}

// userIn is a client's configuration of a user in these groups.
func (p *plane) userIn(tb testing.TB, name string, groups ...string) *rest.Config {
	tb.Helper()
	user, err := p.env.AddUser(envtest.User{Name: name, Groups: groups}, &rest.Config{QPS: -1})
	require.NoError(tb, err)
	return user.Config()
}

// runController runs a controller, as cmd/controller does, until the returned function is
// called, which may be called again.
func runController(tb testing.TB, config *rest.Config, explainer Explainer, change ...func(*manager.Options, *Options)) (stop func()) {
	tb.Helper()
	scheme := runtime.NewScheme()
	require.NoError(tb, AddToScheme(scheme))
	caches := NewCaches(config, nil)
	cacheOptions, err := caches.Options()
	require.NoError(tb, err)
	managerOptions := manager.Options{
		Scheme:                        scheme,
		Cache:                         cacheOptions,
		Logger:                        logr.Discard(),
		Metrics:                       metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress:        "0",
		LeaderElectionReleaseOnCancel: true,
	}
	options := Options{
		Caches:                  caches,
		Scaler:                  testScaler,
		Explainer:               explainer,
		Workers:                 testWorkers,
		StatusInterval:          statusInterval,
		KEDAInterval:            200 * time.Millisecond,
		MaxConcurrentReconciles: 4,
		Instance:                "test",
		Clock:                   clock.RealClock{},
		SkipNameValidation:      true,
	}
	for _, c := range change {
		c(&managerOptions, &options)
	}
	managerOptions.NewCache = options.Caches.NewCache
	mgr, err := ctrl.NewManager(config, managerOptions)
	require.NoError(tb, err)
	require.NoError(tb, Setup(mgr, options))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	var failed error
	go func() {
		defer close(ended)
		failed = mgr.Start(ctx)
	}()
	stop = func() {
		cancel()
		<-ended
		require.NoError(tb, failed, "the manager")
	}
	tb.Cleanup(stop)
	return stop
}

func (p *plane) auditLog() string { return filepath.Join(p.dir, "audit.log") }
