//go:build integration

package translator

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/build"
)

// shownObjects are the objects of a file: all of a YAML file, and of a document those of its
// blocks that are whole objects. What only shows some fields has no apiVersion.
func shownObjects(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	texts := []string{string(text)}
	if strings.HasSuffix(file, ".md") {
		texts = nil
		for _, block := range regexp.MustCompile("(?ms)^( *)```ya?ml\n(.*?)^ *```").FindAllStringSubmatch(string(text), -1) {
			texts = append(texts, regexp.MustCompile("(?m)^"+block[1]).ReplaceAllString(block[2], ""))
		}
	}
	var objects []string
	whole := regexp.MustCompile(`(?m)^apiVersion: `)
	for _, text := range texts {
		for _, object := range regexp.MustCompile(`(?m)^---$`).Split(text, -1) {
			if whole.MatchString(object) {
				objects = append(objects, object)
			}
		}
	}
	return objects
}

// elsewhere are the groups of objects of others, whose CRDs these tests don't have.
var elsewhere = map[string]bool{"cert-manager.io": true, "monitoring.coreos.com": true}

// Every object that the documents, the samples and what is for trying out show is one: the
// API server takes it, with no field that it does not know. Of channels, so do the builders.
func TestDocumentedManifests(t *testing.T) {
	s := sharedServer(t)
	strict := client.WithFieldValidation(s, "Strict")
	namespace := s.namespace(t)
	// How many objects at least: if they are no longer found, that is a fault of this test.
	least := map[string]int{"docs/channels.md": 3, "README.md": 1, "docs/scaledobject.md": 1}
	found := map[string]int{}
	for _, pattern := range []string{"README.md", "docs/*.md", "cmd/*/README.md", "deploy/samples/*.yaml", "deploy/try-out/*.yaml"} {
		files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(pattern)))
		require.NoError(t, err)
		for _, file := range files {
			name := strings.TrimPrefix(filepath.ToSlash(file), "../")
			for _, manifest := range shownObjects(t, file) {
				object := &unstructured.Unstructured{}
				require.NoError(t, yaml.UnmarshalStrict([]byte(manifest), &object.Object), "%s:\n%s", name, manifest)
				if elsewhere[object.GroupVersionKind().Group] {
					continue
				}
				found[name]++
				takes(t, strict, object, namespace, name+":\n"+manifest)
			}
		}
	}
	for name, least := range least {
		assert.GreaterOrEqual(t, found[name], least, name)
	}
}

// takes fails if the API server refuses the object, or if it is a channel that the operator
// can't make workers of.
func takes(t *testing.T, strict client.Client, object *unstructured.Unstructured, namespace, manifest string) {
	t.Helper()
	mapping, err := strict.RESTMapper().RESTMapping(object.GroupVersionKind().GroupKind(), object.GroupVersionKind().Version)
	if !assert.NoError(t, err, manifest) {
		return
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		object.SetNamespace(namespace)
	}
	assert.NoError(t, strict.Create(t.Context(), object.DeepCopy(), client.DryRunAll), manifest)
	if object.GroupVersionKind().GroupKind() != (schema.GroupKind{Group: v1.GroupVersion.Group, Kind: "PubSubChannel"}) {
		return
	}
	channel := &v1.PubSubChannel{}
	require.NoError(t, yaml.UnmarshalStrict([]byte(manifest[strings.Index(manifest, "\n")+1:]), channel), manifest)
	channel.Namespace = namespace
	require.NoError(t, strict.Create(t.Context(), channel, client.DryRunAll), manifest)
	p := testWorkers.Plan(channel)
	_, err = build.Deployment(p)
	assert.NoError(t, err, manifest)
	assert.NoError(t, build.CheckScaledObject(p, build.ScaledObject(p, build.ScalerRef{})), manifest)
}

// The folder deploy is what kubectl apply takes as it is, twice; then what is for trying out,
// and the samples.
func TestDeployAppliesAsAFolder(t *testing.T) {
	env, config, err := startAPI()
	require.NoError(t, err)
	defer func() { assert.NoError(t, env.Stop()) }()
	kubectl := kubectlOf(t, env, config)
	kubectl("apply", "--server-side", "-f", "../deploy")
	again := kubectl("apply", "-f", "../deploy")
	assert.Contains(t, again, "namespace/pubsub-system")
	kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/pubsubchannels.pubsub.jawaracloud.io")
	kubectl("create", "namespace", "shop")
	kubectl("apply", "-n", "shop", "-f", "../deploy/try-out", "-f", "../deploy/samples")
	assert.Equal(t, "basic invoices orders payments reports", strings.Join(strings.Fields(
		strings.ReplaceAll(kubectl("get", "psc", "-n", "shop", "-o", "name"), "pubsubchannel.pubsub.jawaracloud.io/", "")), " "))
	kubectl("delete", "-f", "../deploy", "--wait=false")
}

// kubectlOf runs kubectl as the administrator of an API server, and returns what it prints.
func kubectlOf(t *testing.T, env *envtest.Environment, config *rest.Config) func(args ...string) string {
	t.Helper()
	user, err := env.AddUser(envtest.User{Name: "administrator", Groups: []string{"system:masters"}}, config)
	require.NoError(t, err)
	kubeconfig, err := user.KubeConfig()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(file, kubeconfig, 0o600))
	return func(args ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), args...)
		command.Env = []string{"KUBECONFIG=" + file, "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
		var stdout, stderr bytes.Buffer
		command.Stdout, command.Stderr = &stdout, &stderr
		require.NoError(t, command.Run(), "kubectl %s: %s", strings.Join(args, " "), stderr.String())
		return stdout.String()
	}
}
