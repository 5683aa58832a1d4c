//go:build e2e

package dashboardtest

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var clusterCommand = flag.String("cluster", "", "the test cluster's command with its flags, which ends and starts the API server; make e2e-dashboard sets it")

// installTimeout bounds helm, pulling of images included.
const installTimeout = 5 * time.Minute

// node is the cluster of KUBECONFIG, with the operator.
type node struct {
	t          *testing.T
	kubeconfig string
	imageTag   string
	redisImage string
	hpaSync    time.Duration
}

// newNode installs the operator, or upgrades it, by its chart.
func newNode(t *testing.T) *node {
	t.Helper()
	sync, err := time.ParseDuration(cmp.Or(os.Getenv("E2E_HPA_SYNC"), "15s"))
	require.NoError(t, err, "E2E_HPA_SYNC must be the HPA's sync period, as 15s")
	n := &node{t: t, kubeconfig: os.Getenv("KUBECONFIG"), imageTag: os.Getenv("E2E_IMAGE_TAG"), redisImage: cmp.Or(os.Getenv("E2E_REDIS_IMAGE"), "pubsub-operator-e2e/redis:debian"), hpaSync: sync}
	require.NotEmpty(t, n.kubeconfig, "KUBECONFIG must name the test cluster's: make e2e-dashboard sets it")
	require.NotEmpty(t, n.imageTag, "E2E_IMAGE_TAG must be the tag of the images under test: make e2e-dashboard sets it")
	require.NotEmpty(t, *plugin, "-plugin must name the kubectl-pubsub to drive: make e2e-dashboard builds it, and sets it")
	chart, err := filepath.Abs("../../charts/pubsub-operator")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), installTimeout)
	defer cancel()
	_, err = n.run(ctx, "", "helm", "upgrade", "--install", "pubsub-operator", chart, "--namespace", "pubsub-system", "--create-namespace",
		"--wait", "--timeout", "4m", "--set-string", "image.tag="+n.imageTag)
	require.NoError(t, err)
	return n
}

// run runs a program to its end. Its error has what it said.
func (n *node) run(ctx context.Context, stdin, program string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, program, args...)
	command.Env = n.environment()
	command.WaitDelay = 5 * time.Second // a child may keep the pipes open
	var out, said bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &out, &said
	if err := command.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s%s", program, strings.Join(args, " "), err, said.String(), out.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// environment is without proxies, which know nothing of the cluster's network.
func (n *node) environment() []string {
	return append(os.Environ(), "KUBECONFIG="+n.kubeconfig, "NO_PROXY=*", "no_proxy=*")
}

func (n *node) kubectl(args ...string) string {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 2*time.Minute)
	defer cancel()
	out, err := n.run(ctx, "", "kubectl", args...)
	require.NoError(n.t, err)
	return out
}

// namespace makes one that is deleted at the end; a test that failed tells before that how everything in it is.
func (n *node) namespace(name string) {
	n.t.Helper()
	n.kubectl("create", "namespace", name)
	n.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(n.t.Context()), 3*time.Minute)
		defer cancel()
		if n.t.Failed() {
			out, err := n.run(ctx, "", "kubectl", "--namespace", name, "get", "psc,deployments,scaledobjects,hpa,pods,events", "-o", "wide")
			n.t.Logf("namespace %s: %v\n%s", name, err, out)
		}
		_, err := n.run(ctx, "", "kubectl", "delete", "namespace", name, "--timeout=150s")
		assert.NoError(n.t, err)
	})
}

func (n *node) apply(namespace, manifest string) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute)
	defer cancel()
	_, err := n.run(ctx, manifest, "kubectl", "--namespace", namespace, "apply", "--filename", "-")
	require.NoError(n.t, err)
}

// publish pushes that many messages to a list at once.
func (n *node) publish(namespace, list string, messages int) {
	n.t.Helper()
	const script = `for i = 1, tonumber(ARGV[1]) do redis.call('LPUSH', KEYS[1], 'message ' .. i) end return redis.call('LLEN', KEYS[1])`
	n.kubectl("--namespace", namespace, "exec", "deployment/dragonfly", "--", "redis-cli", "-e", "EVAL", script, "1", list, strconv.Itoa(messages))
}

// apiServer ends the cluster's API server, or starts it again; false: this cluster's can't be.
func (n *node) apiServer(command string) bool {
	n.t.Helper()
	words := strings.Fields(*clusterCommand)
	require.NotEmpty(n.t, words, "-cluster must be the test cluster's command: make e2e-dashboard builds it, and sets it")
	ctx, cancel := context.WithTimeout(n.t.Context(), 4*time.Minute)
	defer cancel()
	_, err := n.run(ctx, "", words[0], append([]string{command}, words[1:]...)...)
	if err != nil && strings.Contains(err.Error(), "provider node") {
		n.t.Logf("left out: %v", err)
		return false
	}
	require.NoError(n.t, err)
	return true
}

// redisManifest is a Redis that keeps nothing.
const redisManifest = `
apiVersion: v1
kind: Service
metadata: {name: dragonfly}
spec:
  selector: {app: dragonfly}
  ports: [{port: 6379}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: dragonfly}
spec:
  selector: {matchLabels: {app: dragonfly}}
  template:
    metadata: {labels: {app: dragonfly}}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 1
      securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: redis
        image: %s
        command: [redis-server, --port, "6379", --save, "", --appendonly, "no", --protected-mode, "no", --dir, /]
        readinessProbe: {tcpSocket: {port: 6379}, periodSeconds: 1}
        resources: {requests: {cpu: 5m, memory: 16Mi}}
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`

// channelManifest is a channel whose workers take half a second for a message. The arguments are its name twice, the
// Redis' host, the image, and the cooldown in seconds.
const channelManifest = `
apiVersion: pubsub.jawaracloud.io/v1
kind: PubSubChannel
metadata: {name: %s}
spec:
  channelName: %s
  redisAddress: %s:6379
  image: jawaracloud/subscriber:%s
  env: [{name: WORK_TIME, value: 500ms}]
  queue: {type: List}
  resources: {requests: {cpu: 1m, memory: 8Mi}}
  autoScaling: {enabled: true, minReplicas: 1, maxReplicas: 6, targetQueueDepth: 50, maxScaleUpStep: 3, maxScaleDownStep: 2, cooldownPeriod: %d}
`
