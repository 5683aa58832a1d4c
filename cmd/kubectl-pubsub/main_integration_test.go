//go:build integration

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// A real API server forwards the port, by WebSocket to the plugin and by SPDY to the
// kubelet.
func TestExplainThroughTheCluster(t *testing.T) {
	c := sharedCluster(t)
	operator, scaler := c.install(t)
	namespace := c.namespace(t)
	c.channel(t, namespace, "orders", true)
	c.channel(t, namespace, "mails", false)
	scaler.Set(namespace, "orders", scaledUp())

	out, problems, err := kubectl(t, "explain", "--live", "orders", "-n", namespace)
	require.NoError(t, err)
	assert.Empty(t, problems)
	assert.Contains(t, out, namespace+"/orders: scale up, 3 → 4 replicas\n")
	_, _, err = kubectl(t, "explain", "--live", "orders", "-n", namespace, "--operator-namespace", operator, "--server-name", "op-scaler."+operator+".svc")
	require.NoError(t, err)
	scaler.Set(namespace, "mailer", scaledUp())
	out, _, err = kubectl(t, "explain", "--live", "--scaled-object", "mailer", "-n", namespace)
	require.NoError(t, err)
	assert.Contains(t, out, namespace+"/mailer: scale up")

	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a slip":             {[]string{"explain", "--live", "ordres"}, "did you mean orders?"},
		"watching a slip":    {[]string{"watch", "--live", "ordres"}, "did you mean orders?"},
		"autoscaling is off": {[]string{"explain", "--live", "mails"}, "autoscaling of PubSubChannel " + namespace + "/mails is off"},
		"the wrong place":    {[]string{"explain", "--live", "orders", "--operator-namespace", "default"}, `namespace "default" has no pod of the scaler`},
		"another name":       {[]string{"explain", "--live", "orders", "--server-name", "x"}, `the scaler's certificate is not for "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := kubectl(t, append(test.args, "-n", namespace)...)
			require.ErrorContains(t, err, test.want)
		})
	}
	t.Run("the ScaledObject is missing", func(t *testing.T) {
		c.channel(t, namespace, "bills", true)
		_, _, err := kubectl(t, "explain", "--live", "bills", "-n", namespace)
		require.ErrorContains(t, err, "there is no ScaledObject "+namespace+"/bills: the controller creates it; kubectl describe psc bills -n "+namespace)
	})
	t.Run("completion", func(t *testing.T) {
		out, _, err := kubectl(t, "__complete", "explain", "-n", namespace, "")
		require.NoError(t, err)
		assert.Contains(t, out, "bills\nmails\norders\n")
	})
}

func TestNothingInstalled(t *testing.T) {
	c := sharedCluster(t)
	namespace := c.namespace(t)
	c.channel(t, namespace, "orders", true)
	_, _, err := kubectl(t, "explain", "--live", "orders", "-n", namespace)
	require.ErrorContains(t, err, "no namespace has a pod of the scaler (labels app=pubsub-operator, app.kubernetes.io/component=scaler): install the operator with its Helm chart")
}

// sampleRoles are those of docs/kubectl-pubsub.md.
func (c *cluster) sampleRoles(t *testing.T) []rbacv1.PolicyRule {
	t.Helper()
	document, err := os.ReadFile(filepath.Join("..", "..", "docs", "kubectl-pubsub.md"))
	require.NoError(t, err)
	match := regexp.MustCompile("(?s)```yaml\n(apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n.*?)```").FindSubmatch(document)
	require.NotNil(t, match, "docs/kubectl-pubsub.md has no ClusterRole")
	role := &rbacv1.ClusterRole{}
	require.NoError(t, yaml.UnmarshalStrict(match[1], role))
	require.NotEmpty(t, role.Rules)
	return role.Rules
}

// Each right that the documentation names is needed, and the error names the one that is
// missing; with all of them everything works.
func TestRights(t *testing.T) {
	c := sharedCluster(t)
	operator, scaler := c.install(t)
	namespace := c.namespace(t)
	c.channel(t, namespace, "orders", true)
	scaler.Set(namespace, "orders", scaledUp())
	file, err := c.kubeconfig("somebody")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.Remove(file) })
	t.Setenv("KUBECONFIG", file)
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "pubsub-plugin-" + namespace}}
	require.NoError(t, c.Create(t.Context(), role))
	require.NoError(t, c.Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "somebody"}},
	}))

	rules := c.sampleRoles(t)
	for _, rule := range rules { // the sample names the chart's default release
		for i := range rule.ResourceNames {
			rule.ResourceNames[i] = strings.Replace(rule.ResourceNames[i], "pubsub-operator-people-cert", "op-people-tls", 1)
		}
	}
	require.Equal(t, []string{"create", "get"}, rules[2].Verbs)
	rules[2].Verbs = []string{"create"} // get is for WebSocket alone: SPDY will do
	wants := []string{
		"you need the right to get pubsubchannels.pubsub.jawaracloud.io in namespace \"" + namespace + "\"",
		"you need the right to list pods in all namespaces (check it with kubectl auth can-i list pods --all-namespaces): ask an administrator for it, or name the operator's namespace with --operator-namespace",
		"you need the right to create pods/portforward in namespace \"" + operator + "\"",
		"you need the right to get secrets in namespace \"" + operator + "\" (check it with kubectl auth can-i get secrets/op-people-tls -n " + operator + "): ask an administrator for it, or give the files with --cacert, --cert and --key",
		"", // all of them
	}
	require.Len(t, rules, len(wants)-1)
	for granted, want := range wants {
		role.Rules = rules[:granted]
		require.NoError(t, c.Update(t.Context(), role))
		require.Eventually(t, func() bool { // the authorizer follows a little later
			_, _, err := kubectl(t, "explain", "--live", "orders", "-n", namespace)
			if want == "" {
				return err == nil
			}
			return err != nil && strings.Contains(err.Error(), want)
		}, soon, tick, "with %d of the rules: %s", granted, want)
	}
	watching := c.watch(t, "--live", "-n", namespace)
	watching.until("orders ", "ScaleUp", "3 → 4 replicas")
	require.NoError(t, watching.end())
}

// running is a watch under way.
type running struct {
	t             *testing.T
	out, problems *transcript
	interrupt     context.CancelFunc
	ended         chan error
}

// transcript is what a program printed so far.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *transcript) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(data)
}

func (b *transcript) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (c *cluster) watch(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	r := &running{t: t, out: &transcript{}, problems: &transcript{}, interrupt: interrupt, ended: make(chan error, 1)}
	root := newRootCommand()
	root.SetOut(r.out)
	root.SetErr(r.problems)
	root.SetArgs(append([]string{"watch"}, args...))
	go func() { r.ended <- root.ExecuteContext(ctx) }()
	t.Cleanup(interrupt)
	return r
}

// until waits for a line that holds all of these.
func (r *running) until(texts ...string) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		for line := range strings.Lines(r.out.String()) {
			all := true
			for _, text := range texts {
				all = all && strings.Contains(line, text)
			}
			if all {
				return true
			}
		}
		return false
	}, soon, tick, "no line with %q in:\n%s", texts, r.out)
}

// end interrupts it, as Ctrl-C does.
func (r *running) end() error {
	r.interrupt()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(soon):
		return errors.New("it does not end")
	}
}

func TestWatchThroughTheCluster(t *testing.T) {
	c := sharedCluster(t)
	_, scaler := c.install(t)
	namespace := c.namespace(t)
	orders := c.channel(t, namespace, "orders", true)
	c.channel(t, namespace, "mails", false)
	scaler.Set(namespace, "orders", scaledUp())

	r := c.watch(t, "--live", "-n", namespace)
	r.until("orders ", "ScaleUp", "3 → 4 replicas")
	held := scaledUp()
	held.QueueDepth, held.Action, held.Reason, held.LastingExplanation = 400, inspectv1.Action_ACTION_HOLD, inspectv1.Reason_REASON_WITHIN_BAND, "holding"
	scaler.Set(namespace, "orders", held)
	r.until("orders ", "400", "WithinBand", "holding")

	bills := c.channel(t, namespace, "bills", true)
	r.until("bills ", "TargetNotFound", "there is no ScaledObject "+namespace+"/bills")
	scaler.Set(namespace, "bills", scaledUp()) // now the controller has made it
	r.until("bills ", "ScaleUp")
	opened := scaler.Opened()
	bills.Status.ObservedGeneration = 7 // another spec, another trigger
	require.NoError(t, c.Status().Update(t.Context(), bills))
	require.Eventually(t, func() bool { return scaler.Opened() == opened+1 }, soon, tick)

	orders.Spec.AutoScaling.Enabled = false
	require.NoError(t, c.Update(t.Context(), orders))
	r.until("orders ", "AutoscalingOff")
	require.NoError(t, c.Delete(t.Context(), bills))
	r.until("bills ", "Deleted", "the channel was deleted")
	assert.NotContains(t, r.out.String(), "mails")
	assert.Empty(t, r.problems.String())
	require.NoError(t, r.end(), "Ctrl-C is the end that one wants")
}

func TestWatchEverything(t *testing.T) {
	c := sharedCluster(t)
	_, scaler := c.install(t)
	first, second := c.namespace(t), c.namespace(t)
	for _, namespace := range []string{first, second} {
		c.channel(t, namespace, "orders", true)
		scaler.Set(namespace, "orders", scaledUp())
	}
	r := c.watch(t, "--live", "--all-namespaces", "-o", "json")
	r.until(`"namespace":"` + first + `","name":"orders","explanation":{"queueDepth":"500"`)
	r.until(`"namespace":"` + second + `"`)
	require.NoError(t, r.end())
	r = c.watch(t, "--live", "-A")
	r.until("NAMESPACE", "NAME", "DEPTH")
	r.until(second, "orders", "ScaleUp")
	require.NoError(t, r.end())
}
