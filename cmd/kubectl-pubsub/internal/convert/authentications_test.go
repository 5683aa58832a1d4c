package convert

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// authentication has its password in Secret password-of-<namespace>.
func authentication(t *testing.T, kind, namespace, spec string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	require.NoError(t, yaml.Unmarshal([]byte(`{kind: `+kind+`, metadata: {name: redis}, spec: `+spec+`}`), &object.Object))
	object.SetNamespace(namespace)
	return object
}

func password(secret string) string {
	return `{secretTargetRef: [{parameter: password, name: ` + secret + `, key: pw}]}`
}

// A name is one of a kind and a namespace: another team's Secret, or the cluster's, is not taken for it.
func TestAnAuthenticationIsOfItsKindAndNamespace(t *testing.T) {
	shop := authentication(t, ofNamespace, "shop", password("shops"))
	bank := authentication(t, ofNamespace, "bank", password("banks"))
	none := authentication(t, ofNamespace, "", password("nobodys"))
	cluster := authentication(t, ofCluster, "", password("clusters"))
	for name, test := range map[string]struct {
		known           Authentications
		namespace, kind string
		want            string // the Secret; empty: not taken over
		err             string
	}{
		"its namespace's":                     {Authentications{shop, bank, cluster}, "shop", "", "shops", ""},
		"its namespace's, in another order":   {Authentications{cluster, bank, shop}, "shop", ofNamespace, "shops", ""},
		"the cluster's":                       {Authentications{cluster, shop, bank}, "shop", ofCluster, "clusters", ""},
		"the cluster's, in another order":     {Authentications{shop, cluster, none}, "shop", ofCluster, "clusters", ""},
		"only another namespace's":            {Authentications{bank}, "shop", "", "", ""},
		"only the cluster's":                  {Authentications{cluster}, "shop", "", "", ""},
		"only a namespace's":                  {Authentications{shop}, "shop", ofCluster, "", ""},
		"none has a namespace":                {Authentications{cluster, none}, "", "", "nobodys", ""},
		"the authentication has no namespace": {Authentications{none, bank}, "shop", "", "nobodys", ""},
		"the ScaledObject has no namespace":   {Authentications{shop, cluster}, "", "", "shops", ""},
		"it may be of either namespace":       {Authentications{shop, bank}, "", "", "", `several that differ, in the namespaces ["bank" "shop"]`},
		"twice the same":                      {Authentications{shop, shop}, "shop", "", "shops", ""},
		"twice, and not the same":             {Authentications{shop, authentication(t, ofNamespace, "shop", password("old"))}, "shop", "", "", "several that differ"},
	} {
		t.Run(name, func(t *testing.T) {
			source := scaledObject(t, "redis", `{address: "a:1", listName: mail}`)
			source.SetNamespace(test.namespace)
			if test.kind != "" {
				triggers, _, _ := unstructured.NestedSlice(source.Object, "spec", "triggers")
				triggers[1].(map[string]any)["authenticationRef"].(map[string]any)["kind"] = test.kind
				require.NoError(t, unstructured.SetNestedSlice(source.Object, triggers, "spec", "triggers"))
			}
			if test.err != "" {
				_, err := ScaledObject(source, test.known, options)
				require.ErrorContains(t, err, test.err)
				return
			}
			got, result := converted(t, source, test.known)
			notes := strings.Join(result.Notes, "\n")
			if test.want == "" {
				assert.NotContains(t, got, "passwordFromSecret")
				assert.Contains(t, notes, "which is not in the file")
				return
			}
			assert.Equal(t, test.want+"/pw", got["passwordFromSecret"])
			assert.Equal(t, test.kind == ofCluster, strings.Contains(notes, "KEDA read Secret clusters in its own namespace"), notes)
		})
	}
}

// A password is not lost because it was not in a Secret.
func TestOtherSourcesThanSecrets(t *testing.T) {
	got, result := converted(t, scaledObject(t, "redis", `{listName: mail}`), Authentications{authentication(t, ofNamespace, "", `{
		env: [{parameter: password, name: PW}, {parameter: address, name: ADDR, containerName: sidecar}, {parameter: ca, name: CA}],
		hashiCorpVault: {address: "https://vault"}}`)})
	assert.Equal(t, "PW", got["passwordFromEnv"])
	assert.Equal(t, "ADDR", got["redisAddressFromEnv"])
	notes := strings.Join(result.Notes, "\n")
	assert.Contains(t, notes, `redis takes address from the environment of container "sidecar": set spec.scaleTargetRef.envSourceContainerName`)
	assert.NotContains(t, notes, "takes password")
	assert.Contains(t, notes, "parameter ca of redis is not taken over")
	assert.Contains(t, notes, "spec.hashiCorpVault of TriggerAuthentication redis is not taken over")
	assert.NotContains(t, notes, "let the scaler read the Secrets", "there are none")
}

// The scaler refuses a value that is given twice, so of several sources the one is left that KEDA takes.
func TestAValueHasOneSource(t *testing.T) {
	const both = `{env: [{parameter: password, name: OF_AUTH}], secretTargetRef: [{parameter: password, name: s, key: pw}]}`
	for name, test := range map[string]struct{ metadata, spec, want string }{
		"the trigger's own, not a variable": {`{address: "a:1", listName: mail}`, `{env: [{parameter: address, name: OF_AUTH}]}`, `{redisAddress: "a:1"}`},
		"the trigger's own, not a Secret":   {`{address: "a:1", username: app, listName: mail}`, `{secretTargetRef: [{parameter: username, name: s, key: user}, {parameter: password, name: s, key: pw}]}`, `{redisAddress: "a:1", username: app, passwordFromSecret: s/pw}`},
		"the trigger's password variable":   {`{address: "a:1", passwordFromEnv: OF_TRIGGER, listName: mail}`, both, `{redisAddress: "a:1", passwordFromEnv: OF_TRIGGER}`},
		"the authentication's address":      {`{addressFromEnv: OF_TRIGGER, listName: mail}`, `{env: [{parameter: address, name: OF_AUTH}]}`, `{redisAddressFromEnv: OF_AUTH}`},
		"the authentication's Secret":       {`{address: "a:1", listName: mail}`, both, `{redisAddress: "a:1", passwordFromSecret: s/pw}`},
	} {
		t.Run(name, func(t *testing.T) {
			want := map[string]string{}
			require.NoError(t, yaml.Unmarshal([]byte(test.want), &want))
			got, _ := converted(t, scaledObject(t, "redis", test.metadata), Authentications{authentication(t, ofNamespace, "", test.spec)})
			for _, key := range []string{"channelName", "queueType", "targetQueueDepth", "minReplicas", "maxReplicas"} {
				delete(got, key)
			}
			assert.Equal(t, want, got)
		})
	}
}
