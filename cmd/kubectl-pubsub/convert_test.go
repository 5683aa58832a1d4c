package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// docs/migrating.md shows what the command makes of its first example.
func TestTheDocumentedConversion(t *testing.T) {
	document, err := os.ReadFile("../../docs/migrating.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(document, -1)
	require.GreaterOrEqual(t, len(blocks), 2)
	list := "apiVersion: v1\nkind: List\nitems:\n" // what kubectl get prints of one or more
	for object := range strings.SplitSeq(string(blocks[0][1]), "---\n") {
		list += "- " + strings.ReplaceAll(strings.TrimSpace(object), "\n", "\n  ") + "\n"
	}
	for name, given := range map[string]string{"as written": string(blocks[0][1]), "as a list": list} {
		t.Run(name, func(t *testing.T) {
			root := newRootCommand()
			var out, notes bytes.Buffer
			root.SetOut(&out)
			root.SetErr(&notes)
			root.SetIn(strings.NewReader(given))
			root.SetArgs([]string{"convert", "-f", "-"})
			require.NoError(t, root.ExecuteContext(t.Context()))
			assert.Empty(t, notes.String())
			assert.YAMLEq(t, string(blocks[1][1]), out.String())
		})
	}
}

func TestConvertNeedsAFile(t *testing.T) {
	for want, args := range map[string][]string{
		"--filename is missing": {"convert"},
		"no such file":          {"convert", "-f", "nowhere.yaml"},
		"has no ScaledObject":   {"convert", "-f", "../../deploy/samples/list.yaml"},
	} {
		_, _, err := kubectl(t, args...)
		assert.ErrorContains(t, err, want)
	}
}

// A list of all namespaces is converted, each object by its own namespace's authentication. What can't be converted does
// not hold up the rest, and is told with its namespace.
func TestConvertAListOfAllNamespaces(t *testing.T) {
	const scaledObject = `
- apiVersion: keda.sh/v1alpha1
  kind: ScaledObject
  metadata: {name: mailer, namespace: NAMESPACE}
  spec:
    scaleTargetRef: {name: mailer}
    triggers:
    - type: TYPE
      metadata: {address: "a:1", listName: mail}
      authenticationRef: {name: redis}
`
	const authentication = `
- apiVersion: keda.sh/v1alpha1
  kind: TriggerAuthentication
  metadata: {name: redis, namespace: NAMESPACE}
  spec: {secretTargetRef: [{parameter: password, name: of-NAMESPACE, key: pw}]}
`
	list := "apiVersion: v1\nkind: List\nitems:"
	for _, each := range []struct{ namespace, kind string }{{"shop", "redis"}, {"bank", "redis"}, {"press", "kafka"}, {"broken", "redis"}} {
		list += strings.NewReplacer("NAMESPACE", each.namespace, "TYPE", each.kind).Replace(scaledObject + authentication)
	}
	at := strings.LastIndex(list, `listName: mail`)
	list = list[:at] + `fancy: "1", ` + list[at:]
	root := newRootCommand()
	var out, notes bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&notes)
	root.SetIn(strings.NewReader(list))
	root.SetArgs([]string{"convert", "-f", "-"})
	err := root.ExecuteContext(t.Context())
	require.ErrorContains(t, err, `ScaledObject broken/mailer: spec.triggers[0]: metadata.fancy is "1"`)
	documents := strings.Split(out.String(), "---\n")
	require.Len(t, documents, 2)
	for i, namespace := range []string{"shop", "bank"} {
		assert.Contains(t, documents[i], "namespace: "+namespace+"\n")
		assert.Contains(t, documents[i], "passwordFromSecret: of-"+namespace+"/pw\n")
		assert.Contains(t, notes.String(), namespace+"/mailer: let the scaler read")
	}
	assert.Contains(t, notes.String(), "left out: ScaledObject press/mailer: spec.triggers has none of type redis")
}
