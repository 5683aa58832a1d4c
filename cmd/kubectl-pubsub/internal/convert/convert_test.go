package convert

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
)

// scaledObject has one trigger, of that type and with that metadata (YAML in flow style).
func scaledObject(t *testing.T, kind, metadata string) *unstructured.Unstructured {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(`{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {name: mailer},
		spec: {scaleTargetRef: {name: mailer}, maxReplicaCount: 20, pollingInterval: 5, triggers: [{type: cpu, metadata: {value: "50"}},
		{type: ` + kind + `, metadata: ` + metadata + `, authenticationRef: {name: redis}}]}}`))
	require.NoError(t, err)
	object := &unstructured.Unstructured{}
	require.NoError(t, object.UnmarshalJSON(data))
	return object
}

var options = Options{ScalerAddress: "scaler:9090", AuthenticationRef: "operator"}

func converted(t *testing.T, source *unstructured.Unstructured, authentications Authentications) (map[string]string, Result) {
	t.Helper()
	result, err := ScaledObject(source, authentications, options)
	require.NoError(t, err)
	triggers, _, err := unstructured.NestedSlice(result.Object.Object, "spec", "triggers")
	require.NoError(t, err)
	require.Len(t, triggers, 2, "the other trigger stays")
	metadata, _, err := unstructured.NestedStringMap(triggers[1].(map[string]any), "metadata")
	require.NoError(t, err)
	for _, key := range []string{"scalerAddress", "enableTLS"} { // KEDA's own
		delete(metadata, key)
	}
	return metadata, result
}

// What kubectl get prints is converted to what can be applied over it, and later over what KEDA has changed: without what the API server and
// KEDA wrote. A resourceVersion of before would be a conflict.
func TestWhatOthersWroteIsLeftOut(t *testing.T) {
	source := scaledObject(t, "redis", `{address: "a:1", listName: mail}`)
	metadata := map[string]any{
		"name": "mailer", "namespace": "shop", "labels": map[string]any{"team": "shop"}, "annotations": map[string]any{
			"autoscaling.keda.sh/paused": "true", "kubectl.kubernetes.io/last-applied-configuration": "{}",
		},
		"uid": "ae2d395a", "resourceVersion": "1674", "generation": int64(1), "creationTimestamp": "2026-11-26T16:07:09Z", "selfLink": "/a",
		"finalizers": []any{"finalizer.keda.sh"}, "managedFields": []any{map[string]any{"manager": "keda"}},
		"ownerReferences": []any{map[string]any{"name": "shop"}},
	}
	source.Object["metadata"], source.Object["status"] = metadata, map[string]any{"hpaName": "keda-hpa-mailer"}
	_, result := converted(t, source, nil)
	assert.Equal(t, map[string]any{
		"name": "mailer", "namespace": "shop", "labels": map[string]any{"team": "shop"}, "annotations": map[string]any{"autoscaling.keda.sh/paused": "true"},
	}, result.Object.Object["metadata"])
	assert.NotContains(t, result.Object.Object, "status")
	assert.Equal(t, "1674", source.GetResourceVersion(), "what was given stays as it is")
}

// What comes out is what the scaler reads: with the values of before.
func TestConverted(t *testing.T) {
	for name, test := range map[string]struct{ kind, metadata, want string }{
		"a list": {"redis", `{address: "a:1", listName: mail, listLength: "50", databaseIndex: "3", enableTLS: "true", activationListLength: "7"}`,
			`{channelName: mail, queueType: List, redisAddress: "a:1", targetQueueDepth: "50", database: "3", tls: "true", activationQueueDepth: "7"}`},
		"defaults":   {"redis", `{host: a, port: "1", listName: mail}`, `{channelName: mail, queueType: List, redisAddress: "a:1", targetQueueDepth: "5"}`},
		"a cluster":  {"redis-cluster", `{hosts: "a,b", ports: "1,2", listName: mail, enableTLS: "false"}`, `{channelName: mail, queueType: List, redisMode: Cluster, redisAddress: "a:1,b:2", targetQueueDepth: "5"}`},
		"sentinels":  {"redis-sentinel", `{addresses: "a:1,b:2", sentinelMaster: m, listName: mail}`, `{channelName: mail, queueType: List, redisMode: Sentinel, sentinelMaster: m, redisAddress: "a:1,b:2", targetQueueDepth: "5"}`},
		"a stream":   {"redis-streams", `{address: "a:1", stream: s, consumerGroup: g, lagCount: "9", activationLagCount: "2"}`, `{channelName: s, queueType: Stream, consumerGroup: g, redisAddress: "a:1", targetQueueDepth: "9", activationQueueDepth: "2"}`},
		"by its env": {"redis", `{addressFromEnv: ADDR, passwordFromEnv: PW, listName: mail}`, `{channelName: mail, queueType: List, redisAddressFromEnv: ADDR, passwordFromEnv: PW, targetQueueDepth: "5"}`},
		"a user, and its password by env": {"redis-sentinel", `{addresses: "a:1", sentinelMaster: m, username: app, passwordFromEnv: PW, sentinelUsername: s, sentinelPasswordFromEnv: SPW, listName: mail}`,
			`{channelName: mail, queueType: List, redisMode: Sentinel, sentinelMaster: m, redisAddress: "a:1", username: app, passwordFromEnv: PW, sentinelUsername: s, sentinelPasswordFromEnv: SPW, targetQueueDepth: "5"}`},
	} {
		t.Run(name, func(t *testing.T) {
			want := map[string]string{}
			require.NoError(t, yaml.Unmarshal([]byte(test.want), &want))
			want["minReplicas"], want["maxReplicas"] = "0", "20"
			got, result := converted(t, scaledObject(t, test.kind, test.metadata), nil)
			assert.Equal(t, want, got)
			_, found, _ := unstructured.NestedFieldNoCopy(result.Object.Object, "spec", "pollingInterval")
			assert.False(t, found)
			if len(trigger.FromEnv(got)) == 0 {
				_, err := trigger.Parse(got)
				assert.NoError(t, err)
			}
		})
	}
}

// What somebody chose for the HPA's pace does not go without a word.
func TestABehaviorThatIsReplacedIsTold(t *testing.T) {
	source := scaledObject(t, "redis", `{address: "a:1", listName: mail}`)
	_, result := converted(t, source, nil)
	assert.NotContains(t, strings.Join(result.Notes, "\n"), "behavior")
	require.NoError(t, unstructured.SetNestedField(source.Object, int64(600), "spec", "advanced", "horizontalPodAutoscalerConfig", "behavior", "scaleDown", "stabilizationWindowSeconds"))
	_, result = converted(t, source, nil)
	assert.Contains(t, strings.Join(result.Notes, "\n"), "behavior is replaced: the scaler sets the pace")
}

func TestSecretsAreTakenOver(t *testing.T) {
	authentication := &unstructured.Unstructured{}
	require.NoError(t, yaml.Unmarshal([]byte(`{kind: TriggerAuthentication, metadata: {name: redis}, spec: {secretTargetRef: [
		{parameter: password, name: redis-user, key: pw}, {parameter: ca, name: redis-ca, key: ca.pem}, {parameter: cert, name: client, key: tls.crt}]}}`), &authentication.Object))
	got, result := converted(t, scaledObject(t, "redis", `{address: "a:1", listName: mail, enableTLS: "true"}`), Authentications{authentication})
	assert.Equal(t, "redis-user/pw", got["passwordFromSecret"])
	assert.Equal(t, "redis-ca/ca.pem", got["caFromSecret"])
	notes := strings.Join(result.Notes, "\n")
	assert.Contains(t, notes, "parameter cert of redis is not taken over")
	assert.Contains(t, notes, "let the scaler read the Secrets")
	_, result = converted(t, scaledObject(t, "redis", `{address: "a:1", listName: mail}`), nil)
	assert.Contains(t, strings.Join(result.Notes, "\n"), "authenticationRef names TriggerAuthentication redis, which is not in the file")
}

func TestWhatCannotBeConvertedSaysWhy(t *testing.T) {
	two := scaledObject(t, "redis", `{address: "a:1", listName: mail}`)
	triggers, _, _ := unstructured.NestedSlice(two.Object, "spec", "triggers")
	require.NoError(t, unstructured.SetNestedSlice(two.Object, append(triggers, triggers[1]), "spec", "triggers"))
	job := scaledObject(t, "redis", `{}`)
	job.SetKind("ScaledJob")
	for want, source := range map[string]*unstructured.Unstructured{
		"spec.triggers[1] and [2] both read Redis":      two,
		"it is a ScaledJob":                             job,
		"spec.triggers has none of type redis":          scaledObject(t, "kafka", `{}`),
		`metadata.fancy is "1": there is nothing like`:  scaledObject(t, "redis", `{address: "a:1", listName: mail, fancy: "1"}`),
		"metadata.unsafeSsl is true":                    scaledObject(t, "redis", `{address: "a:1", listName: mail, unsafeSsl: "true"}`),
		`the hosts "a,b" and the ports "1"`:             scaledObject(t, "redis", `{hosts: "a,b", ports: "1", listName: mail}`),
		"the trigger that it would become is not valid": scaledObject(t, "redis", `{address: "a:1"}`),
		"metadata has no address, nor host and port":    scaledObject(t, "redis", `{listName: mail}`),
	} {
		_, err := ScaledObject(source, nil, options)
		assert.ErrorContains(t, err, want)
	}
}

// Each key that KEDA's scalers read from a trigger is known here.
func TestKEDAsKeysAreKnown(t *testing.T) {
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/kedacore/keda/v2").Output()
	require.NoError(t, err)
	seen := 0
	for _, name := range []string{"redis_scaler.go", "redis_streams_scaler.go"} {
		source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(module)), "pkg", "scalers", name))
		require.NoError(t, err)
		for _, match := range regexp.MustCompile("keda:\"name=([\\w;]+), *order=([\\w;]+)").FindAllStringSubmatch(string(source), -1) {
			if !strings.Contains(match[2], "triggerMetadata") {
				continue
			}
			for key := range strings.SplitSeq(match[1], ";") {
				seen++
				secret := strings.HasSuffix(strings.ToLower(key), "password") // never in metadata: from the environment, or a Secret
				assert.True(t, renamed[key] != "" || slices.Contains(handled, key) || secret && renamed[key+"FromEnv"] != "", "%s: KEDA's key %s", name, key)
			}
		}
	}
	assert.Greater(t, seen, 20, "KEDA's keys were not found")
}
