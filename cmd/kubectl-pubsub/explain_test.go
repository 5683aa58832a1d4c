package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"sigs.k8s.io/yaml"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/program"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connecttest"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// soon is how long anything that is to happen may take on a busy machine.
const soon = 2 * time.Minute

// scaledUp is an answer of the scaler's.
func scaledUp() *inspectv1.ExplainResponse {
	return &inspectv1.ExplainResponse{
		QueueDepth: 500, Ready: 500, QueueType: "list", SampleAge: durationpb.New(time.Second),
		Replicas: 3, DesiredReplicas: 4,
		Action: inspectv1.Action_ACTION_SCALE_UP, Reason: inspectv1.Reason_REASON_ABOVE_UPPER_BOUND,
		Explanation:        "queue depth 500 is above 450 = 100 × 3 × 150 %: 3 → 4 replicas",
		LastingExplanation: "queue depth 500 is above 450 = 100 × 3 × 150 %: 3 → 4 replicas",
		LowerBound:         150, UpperBound: 450, Active: true, MetricValue: 400, TargetQueueDepth: 100, ToleranceHonoured: true,
	}
}

// kubectl runs the plugin to its end and returns what it printed.
func kubectl(t testing.TB, args ...string) (out, problems string, err error) {
	root := newRootCommand()
	var stdout, stderr bytes.Buffer
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	root.SetArgs(args)
	root.SetIn(strings.NewReader("")) // nobody answers
	err = root.ExecuteContext(t.Context())
	return stdout.String(), stderr.String(), err
}

// withoutCluster is an environment without any kubeconfig.
func withoutCluster(t *testing.T) {
	t.Helper()
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
}

// A scaler that is reached directly needs no cluster.
func TestExplainDirectly(t *testing.T) {
	withoutCluster(t)
	service := &connecttest.Inspector{}
	service.Set("shop", "orders", scaledUp())
	_, address := connecttest.Serve(t, service, nil)
	direct := func(args ...string) (string, error) {
		out, problems, err := kubectl(t, append([]string{"explain", "--live", "--address", address, "--plaintext"}, args...)...)
		assert.Empty(t, problems)
		return out, err
	}
	out, err := direct("orders", "-n", "shop")
	require.NoError(t, err)
	assert.Contains(t, out, "shop/orders: scale up, 3 → 4 replicas\nqueue depth 500 is above 450 = 100 × 3 × 150 %: 3 → 4 replicas\n")
	assert.NotContains(t, out, "what if")

	for _, format := range []string{"json", "yaml"} {
		out, err = direct("orders", "-n", "shop", "-o", format)
		require.NoError(t, err)
		asJSON, err := yaml.YAMLToJSON([]byte(out)) // JSON is YAML as well
		require.NoError(t, err)
		var answer struct {
			QueueDepth      string
			DesiredReplicas int
			Reason          string
			InFlight        string
		}
		require.NoError(t, json.Unmarshal(asJSON, &answer))
		assert.Equal(t, "500 4 REASON_ABOVE_UPPER_BOUND 0", answer.QueueDepth+" 4 "+answer.Reason+" "+answer.InFlight)
		assert.Equal(t, 4, answer.DesiredReplicas)
	}

	_, err = direct("--scaled-object", "mailer")
	require.EqualError(t, err, "the ScaledObject or its target does not exist (TargetNotFound): not found: there is no ScaledObject default/mailer: kubectl get scaledobjects -n default lists the existing ones")
	_, err = direct("mails")
	require.EqualError(t, err, "the ScaledObject or its target does not exist (TargetNotFound): not found: there is no ScaledObject default/mails: the controller creates it; kubectl describe psc mails -n default shows why it has not")
}

func TestWhatIf(t *testing.T) {
	withoutCluster(t)
	service := &connecttest.Inspector{}
	service.Set("default", "orders", scaledUp())
	_, address := connecttest.Serve(t, service, nil)
	ago := func(d time.Duration) func(*testing.T, *inspectv1.ExplainRequest) {
		return func(t *testing.T, asked *inspectv1.ExplainRequest) {
			assert.WithinDuration(t, time.Now().Add(-d), asked.GetLastScaleTime().AsTime(), 30*time.Second)
		}
	}
	tests := map[string]struct {
		args  []string
		want  *inspectv1.ExplainRequest
		check func(*testing.T, *inspectv1.ExplainRequest)
		words string
	}{
		"nothing": {want: &inspectv1.ExplainRequest{}},
		"depth and replicas": {args: []string{"--queue-depth", "7", "--replicas", "2"}, words: "what if: queue depth 7, replicas 2; the rest is as it is",
			want: &inspectv1.ExplainRequest{QueueDepth: new(int64(7)), Replicas: new(int32(2))}},
		"zeros count": {args: []string{"--queue-depth", "0", "--replicas=0"}, words: "what if: queue depth 0, replicas 0",
			want: &inspectv1.ExplainRequest{QueueDepth: new(int64), Replicas: new(int32)}},
		"never": {args: []string{"--last-scale-time", "never"}, words: "what if: never scaled",
			want: &inspectv1.ExplainRequest{LastScaleTime: &timestamppb.Timestamp{}}},
		"a time": {args: []string{"--last-scale-time", "2026-11-23T05:00:00+01:00"}, words: "what if: last scaling at 2026-11-23T05:00:00+01:00",
			want: &inspectv1.ExplainRequest{LastScaleTime: timestamppb.New(time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC))}},
		"ago": {args: []string{"--last-scaled", "90m"}, words: "what if: last scaling 1h30m0s ago", check: ago(90 * time.Minute)},
		"now": {args: []string{"--last-scaled", "0s"}, words: "what if: last scaling 0s ago", check: ago(0)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out, _, err := kubectl(t, append([]string{"explain", "orders", "--live", "--address", address, "--plaintext"}, test.args...)...)
			require.NoError(t, err)
			assert.Contains(t, out, test.words)
			asked := service.Asked()
			if test.check != nil {
				test.check(t, asked)
				return
			}
			test.want.Namespace, test.want.Name = "default", "orders"
			assert.Equal(t, test.want.String(), asked.String())
		})
	}
}

// What is wrong with the command line is said before anybody is asked.
func TestUsage(t *testing.T) {
	withoutCluster(t)
	tests := map[string]struct {
		args []string
		want string
	}{
		"no name":           {[]string{"explain"}, "name a PubSubChannel (kubectl get psc lists them), or a ScaledObject with --scaled-object"},
		"live without":      {[]string{"explain", "a", "--address", "x:1"}, "--address says how the scaler is reached, and without --live it is not asked: add --live, or leave --address out"},
		"watch, not live":   {[]string{"watch", "--cacert", "x"}, "--cacert says how the scaler is reached, and without --live it is not asked"},
		"their own":         {[]string{"explain", "--scaled-object", "b"}, "--scaled-object needs --live: a ScaledObject has no status that tells the decision"},
		"set, live":         {[]string{"explain", "a", "--live", "--set", "maxReplicas=5"}, "--set conflicts with --live, because the scaler decides by the settings that there are"},
		"set nothing":       {[]string{"explain", "a", "--set", "maxReplicas"}, `--set is "maxReplicas": it must be a field of spec.autoScaling and its value, for example targetQueueDepth=50`},
		"set twice":         {[]string{"explain", "a", "--set", "maxReplicas=5", "--set", "maxReplicas=6"}, "--set names maxReplicas twice"},
		"set no YAML":       {[]string{"explain", "a", "--set", "maxReplicas={"}, `--set is "maxReplicas={": its value can't be read`},
		"two kinds":         {[]string{"explain", "a", "--scaled-object", "b"}, `PubSubChannel "a" conflicts with --scaled-object "b"`},
		"negative depth":    {[]string{"explain", "a", "--queue-depth", "-1"}, "--queue-depth is -1: it must not be negative"},
		"negative replicas": {[]string{"explain", "a", "--replicas", "-1"}, "--replicas is -1: it must be from 0 to 1000000"},
		"too many replicas": {[]string{"explain", "a", "--replicas", "1000001"}, "--replicas is 1000001: it must be from 0 to 1000000"},
		"the future":        {[]string{"explain", "a", "--last-scaled", "-1s"}, "--last-scaled is -1s: it says how long ago"},
		"no time":           {[]string{"explain", "a", "--last-scale-time", "noon"}, `--last-scale-time is "noon": it must be a time such as `},
		"the epoch":         {[]string{"explain", "a", "--last-scale-time", "1970-01-01T00:00:00Z"}, "or never"},
		"two times":         {[]string{"explain", "a", "--last-scale-time", "never", "--last-scaled", "1s"}, "[last-scale-time last-scaled]"},
		"an output":         {[]string{"explain", "a", "-o", "xml"}, `--output is "xml": it must be json or yaml, or left out`},
		"watch's output":    {[]string{"watch", "-o", "yaml"}, `--output is "yaml": it must be json, or left out`},
		"names of all":      {[]string{"watch", "a", "-A"}, "names conflict with --all-namespaces, because they are in one namespace"},
		"no cluster":        {[]string{"explain", "a"}, "no kubeconfig names a cluster: set KUBECONFIG or --kubeconfig, or choose a --context"},
		"watch's cluster":   {[]string{"watch", "--live", "--address", "localhost:1", "--plaintext"}, "watch needs the cluster to list the channels: no kubeconfig names a cluster"},
		"watch's other one": {[]string{"watch"}, "watch needs the cluster to list the channels: no kubeconfig names a cluster"},
		"a secret":          {[]string{"explain", "a", "--token", "x"}, "unknown flag: --token"},
		"no letters named":  {[]string{"dead", "requeue", "a"}, "name the letters by their IDs (kubectl pubsub dead list shows them), or use --all"},
		"letters and all":   {[]string{"dead", "purge", "a", "1", "--all"}, "IDs conflict with --all"},
		"letters' limit":    {[]string{"dead", "list", "a", "--limit", "-1"}, "--limit is -1"},
		"letters' output":   {[]string{"dead", "list", "a", "-o", "yaml"}, `--output is "yaml": it must be json, or left out`},
		"a purge unasked":   {[]string{"dead", "purge", "a", "1"}, "nothing was removed: answer y, or use --yes"},
		"letters' cluster":  {[]string{"dead", "list", "a"}, "no kubeconfig names a cluster"},
		"two ways":          {[]string{"watch", "--live", "--address", "x:1", "--operator-namespace", "y"}, "conflicts with --address"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out, _, err := kubectl(t, test.args...)
			require.ErrorContains(t, err, test.want)
			assert.Empty(t, out)
		})
	}
}

func TestVersionAndHelp(t *testing.T) {
	for _, args := range [][]string{{"version", "--client"}, {"--version"}} {
		out, _, err := kubectl(t, args...)
		require.NoError(t, err)
		assert.Equal(t, program.Version(version)+"\n", out)
	}
	withoutCluster(t)
	out, _, err := kubectl(t, "version")
	require.ErrorContains(t, err, "no kubeconfig names a cluster")
	assert.Equal(t, "plugin  "+program.Version(version)+"\n", out)
	for _, command := range []string{"explain", "watch", "status", "pause", "resume", "dead list", "dead requeue", "dead purge"} {
		out, _, err = kubectl(t, append(strings.Fields(command), "--help")...)
		require.NoError(t, err)
		assert.Contains(t, out, "kubectl pubsub "+command)
		assert.Contains(t, out, "Examples:")
		assert.Contains(t, out, "--namespace string")
		assert.NotContains(t, out, "--as-group", "kubectl's rarer flags work, but are not listed")
	}
	_, _, err = kubectl(t, "explain", "--as-group", "x", "--help")
	require.NoError(t, err)
}
