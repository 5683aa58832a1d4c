//go:build e2e

package suite

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/e2e/sharing"
)

const (
	release         = "pubsub-operator"
	systemNamespace = "pubsub-system"
	// installTimeout bounds helm, pulling of images included.
	installTimeout = 4 * time.Minute
	// parallelTests is how many tests run at once unless -parallel says so: they wait far
	// more than they work.
	parallelTests = 10
	// waitingTests is how many may wait for their turns: all, so that each can be beside those that are not in its way.
	waitingTests = "1000"
)

// environment is what all tests share; TestMain fills it in.
type environment struct {
	client        client.WithWatch
	imageTag      string
	redisImage    string
	handlerImage  string
	hpaSync       time.Duration
	kedaNamespace string
	cluster       *sharing.Cluster
	installation  *installation
}

var env environment

func TestMain(m *testing.M) {
	flag.Parse()
	ctrllog.SetLogger(logr.Discard()) // or it complains in the middle of a test
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := prepare(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := errors.Join(env.installation.restore(ctx), namespacesGone(ctx)); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

// prepare checks what the tests need and installs the chart.
func prepare(ctx context.Context) error {
	if err := shareCluster(); err != nil {
		return err
	}
	if err := errors.Join(readVariables(), checkPrograms()); err != nil {
		return err
	}
	if err := connect(ctx); err != nil {
		return err
	}
	if err := checkKEDA(ctx); err != nil {
		return err
	}
	return install(ctx)
}

// shareCluster has turns decide how many tests run at once, and not Go.
func shareCluster() (err error) {
	places := parallelTests
	flag.Visit(func(f *flag.Flag) {
		if f.Name == "test.parallel" {
			places, err = strconv.Atoi(f.Value.String())
		}
	})
	if err == nil && places < 1 {
		err = fmt.Errorf("-parallel is %d: with less than 1 no test would ever have its turn", places)
	}
	env.cluster, env.installation = sharing.NewCluster(places), &installation{}
	return errors.Join(err, flag.Set("test.parallel", waitingTests))
}

func readVariables() error {
	env.imageTag = os.Getenv("E2E_IMAGE_TAG")
	env.redisImage = orDefault("E2E_REDIS_IMAGE", "pubsub-operator-e2e/redis:debian")
	env.handlerImage = orDefault("E2E_HANDLER_IMAGE", "pubsub-operator-e2e/handler:e2e")
	env.kedaNamespace = orDefault("E2E_KEDA_NAMESPACE", "keda")
	var err error
	if env.hpaSync, err = time.ParseDuration(orDefault("E2E_HPA_SYNC", "15s")); err != nil || env.hpaSync < time.Second {
		return fmt.Errorf("E2E_HPA_SYNC is %q: set it to the HPA's sync period, for example 15s", os.Getenv("E2E_HPA_SYNC"))
	}
	if env.imageTag == "" {
		return errors.New("E2E_IMAGE_TAG is not set: set it to the tag of the images under test, and load them into the cluster")
	}
	return nil
}

func orDefault(variable, value string) string {
	if set := os.Getenv(variable); set != "" {
		return set
	}
	return value
}

func checkPrograms() error {
	var errs []error
	for _, program := range []string{"kubectl", "helm", "grpcurl"} {
		if _, err := exec.LookPath(program); err != nil {
			errs = append(errs, fmt.Errorf("%s is not in PATH: install it, or build it with e2e/binaries.mk and put its tools-dir in PATH", program))
		}
	}
	return errors.Join(errs...)
}

// connect makes the client and asks the API server for an answer.
func connect(ctx context.Context) error {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return fmt.Errorf("no cluster: set KUBECONFIG to the kubeconfig of the test cluster: %w", err)
	}
	// The tests that poll share it.
	config.QPS, config.Burst = 100, 200
	if err := pubsubv1.AddToScheme(scheme.Scheme); err != nil {
		return err
	}
	if env.client, err = client.NewWithWatch(config, client.Options{Scheme: scheme.Scheme}); err != nil {
		return fmt.Errorf("the API server %s of KUBECONFIG does not answer: is the cluster up? %w", config.Host, err)
	}
	if _, err := run(ctx, "kubectl", "version"); err != nil {
		return fmt.Errorf("kubectl can't reach the cluster of KUBECONFIG: %w", err)
	}
	return nil
}

func checkKEDA(ctx context.Context) error {
	if _, err := run(ctx, "kubectl", "get", "crd", "scaledobjects.keda.sh"); err != nil {
		return fmt.Errorf("KEDA is not installed: install KEDA 2.21 in namespace %s first: %w", env.kedaNamespace, err)
	}
	_, err := run(ctx, "kubectl", "wait", "--for=condition=Available", "--timeout=60s", "apiservice/v1beta1.external.metrics.k8s.io")
	if err != nil {
		return fmt.Errorf("KEDA's metrics API is not available: look at the pods in namespace %s: %w", env.kedaNamespace, err)
	}
	return nil
}

// install installs or upgrades the chart with its defaults, TLS among them, but for the
// image's tag, how long a rotation of certificates takes, and the values that are given.
func install(ctx context.Context, set ...string) error {
	chart, err := filepath.Abs("../../charts/pubsub-operator")
	if err != nil {
		return err
	}
	return installChart(ctx, chart, append([]string{"tls.managed.settle=" + rotationSettle.String()}, set...)...)
}

// installChart is install of another folder's chart, which may be older than any value but those that it sets itself.
func installChart(ctx context.Context, chart string, set ...string) error {
	ctx, cancel := context.WithTimeout(ctx, installTimeout+30*time.Second)
	defer cancel()
	start := time.Now()
	args := append(upgradeOf(chart, set...), "--install", "--create-namespace", "--wait", "--timeout", installTimeout.String())
	helm := func() (string, error) { return run(ctx, "helm", args...) }
	out, err := helm()
	for upgradedByOthers(err) && ctx.Err() == nil {
		fmt.Println("e2e: somebody else upgrades the release just now; trying again")
		out, err = helm()
	}
	if err != nil {
		pods, _ := run(ctx, "kubectl", "-n", systemNamespace, "get", "pods,events") // the helm error counts
		return fmt.Errorf("installing the chart with image tag %s: %w\n%s", env.imageTag, err, pods)
	}
	fmt.Printf("e2e: installed in %.1f s: %s\n", time.Since(start).Seconds(), firstLine(out))
	return nil
}

// upgradeOf is helm's command line for a chart, the images under test, and values.
func upgradeOf(chart string, set ...string) []string {
	args := []string{
		"upgrade", release, chart, "--namespace", systemNamespace,
		// As text: a commit's short hash may have digits only.
		"--set-string", "image.tag=" + env.imageTag, "--set", "keda.namespace=" + env.kedaNamespace,
	}
	for _, value := range set {
		args = append(args, "--set", value)
	}
	return args
}

// upgradedByOthers tells helm's words for a release that changes under its hands.
func upgradedByOthers(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "another operation") || strings.Contains(err.Error(), "release: already exists"))
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
