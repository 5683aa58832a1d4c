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

// What is not for our scaler is left as it is, which is no error unless it is all that was given. What ought to be converted and can't
// be is one.
func TestConvertLeavesOutWhatIsNotForTheScaler(t *testing.T) {
	object := func(kind, name, trigger string) string {
		return "apiVersion: keda.sh/v1alpha1\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec: {scaleTargetRef: {name: x}, triggers: [{type: " + trigger + ", metadata: {address: 'a:1', listName: mail}}]}\n"
	}
	const deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: mailer}\n"
	const job = "left out: ScaledJob jobs: it is a ScaledJob: only a ScaledObject can be converted"
	const kafka = "left out: ScaledObject events: spec.triggers has none of type redis"
	list := func(objects ...string) string {
		text := "apiVersion: v1\nkind: List\nitems:\n"
		for _, each := range objects {
			text += "- " + strings.ReplaceAll(strings.TrimSpace(each), "\n", "\n  ") + "\n"
		}
		return text
	}
	documents := func(all ...string) string { return strings.Join(all, "---\n") }
	mailer := object("ScaledObject", "mailer", "redis")
	for name, test := range map[string]struct {
		given    string
		printed  int      // ScaledObjects
		problems []string // a part of each line
		err      string
	}{
		"a ScaledJob beside a ScaledObject": {given: list(object("ScaledJob", "jobs", "redis"), mailer), printed: 1, problems: []string{job}},
		"a ScaledJob in a list":             {given: list(object("ScaledJob", "jobs", "redis")), problems: []string{job, "nothing was converted: no ScaledObject of - reads Redis"}},
		"a ScaledJob alone":                 {given: object("ScaledJob", "jobs", "redis"), err: "ScaledJob jobs: it is a ScaledJob: only a ScaledObject can be converted"},
		"one that reads no Redis, alone":    {given: object("ScaledObject", "events", "kafka"), err: "ScaledObject events: spec.triggers has none of type redis"},
		"several that are not for it":       {given: documents(object("ScaledJob", "jobs", "kafka"), object("ScaledObject", "events", "kafka")), problems: []string{job, kafka, "nothing was converted"}},
		"other kinds, and empty documents": {given: documents(deployment, "# only a comment\n", mailer, "", deployment, "apiVersion: v1\nkind: Service\n"), printed: 1,
			problems: []string{"left out: 2 of kind Deployment, 1 of kind Service"}},
		"one that can't be converted": {given: list(object("ScaledJob", "jobs", "redis"), mailer, strings.Replace(object("ScaledObject", "broken", "redis"), "listName", "fancy", 1)), printed: 1,
			problems: []string{job}, err: "ScaledObject broken: "},
		"a list of the API server's":    {given: `{"apiVersion":"keda.sh/v1alpha1","kind":"ScaledObjectList","items":[{"metadata":{"name":"mailer"},"spec":{"scaleTargetRef":{"name":"x"},"triggers":[{"type":"redis","metadata":{"address":"a:1","listName":"mail"}}]}}]}`, printed: 1},
		"nothing of KEDA's":             {given: documents(deployment, deployment), err: "- has no ScaledObject, only 2 of kind Deployment"},
		"a document that is no object":  {given: documents(mailer, "- a\n- b\n"), err: "reading -: document 2 is no object"},
		"a document that can't be read": {given: documents(mailer, "a: [\n"), err: "reading -: document 2: "},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRootCommand()
			var out, notes bytes.Buffer
			root.SetOut(&out)
			root.SetErr(&notes)
			root.SetIn(strings.NewReader(test.given))
			root.SetArgs([]string{"convert", "-f", "-"})
			err := root.ExecuteContext(t.Context())
			if test.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.err)
			}
			assert.Equal(t, test.printed, strings.Count(out.String(), "kind: ScaledObject\n"), out.String())
			lines := strings.FieldsFunc(notes.String(), func(r rune) bool { return r == '\n' })
			require.Len(t, lines, len(test.problems), notes.String())
			for i, want := range test.problems {
				assert.Contains(t, lines[i], want)
			}
		})
	}
}
