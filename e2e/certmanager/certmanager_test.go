package certmanager

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	cmv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"sigs.k8s.io/yaml"
)

var helm = flag.String("helm", "helm", "the program helm")

const chart = "../../charts/pubsub-operator"

// rendered are the chart's documents of cert-manager's group by "kind namespace/name".
func rendered(t *testing.T, values ...string) map[string][]byte {
	t.Helper()
	args := []string{"template", "op", chart, "--namespace", "system", "--kube-version", "1.36.0", "--set", "tls.mode=cert-manager,fullnameOverride=op"}
	for _, value := range values {
		args = append(args, "--set", value)
	}
	out, err := exec.CommandContext(t.Context(), *helm, args...).Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		t.Fatalf("helm %s: %s", strings.Join(args, " "), failed.Stderr)
	}
	require.NoError(t, err)
	found := map[string][]byte{}
	for document := range strings.SplitSeq(string(out), "\n---\n") {
		var object struct {
			APIVersion, Kind string
			Metadata         struct{ Name, Namespace string }
		}
		require.NoError(t, yaml.Unmarshal([]byte(document), &object))
		if object.APIVersion == "cert-manager.io/v1" {
			found[fmt.Sprintf("%s %s/%s", object.Kind, object.Metadata.Namespace, object.Metadata.Name)] = []byte(document)
		}
	}
	return found
}

// schemaOf is what an API server holds objects of a kind against.
func schemaOf(t *testing.T, plural string) validation.SchemaValidator {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager").Output()
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "deploy", "crds", "cert-manager.io_"+plural+".yaml"))
	require.NoError(t, err)
	crd := &apiextensionsv1.CustomResourceDefinition{}
	require.NoError(t, yaml.Unmarshal(text, crd))
	i := slices.IndexFunc(crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool { return v.Name == "v1" })
	require.GreaterOrEqual(t, i, 0)
	internal := &apiextensions.CustomResourceValidation{}
	require.NoError(t, apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(crd.Spec.Versions[i].Schema, internal, nil))
	validator, _, err := validation.NewSchemaValidator(internal.OpenAPIV3Schema)
	require.NoError(t, err)
	return validator
}

func valid(t *testing.T, name string, document []byte, schemas map[string]validation.SchemaValidator) {
	t.Helper()
	kind, _, _ := strings.Cut(name, " ")
	var object map[string]any
	require.NoError(t, yaml.Unmarshal(document, &object))
	require.Contains(t, schemas, kind)
	assert.Empty(t, validation.ValidateCustomResource(nil, object, schemas[kind]), name)
	switch kind {
	case "Certificate":
		assert.NoError(t, yaml.UnmarshalStrict(document, &cmv1.Certificate{}), name)
	case "Issuer":
		assert.NoError(t, yaml.UnmarshalStrict(document, &cmv1.Issuer{}), name)
	}
}

// What the chart renders is what cert-manager knows, every certificate has an issuer in its own
// namespace, and its Secret is the one that the pods and KEDA read.
func TestRendered(t *testing.T) {
	schemas := map[string]validation.SchemaValidator{"Certificate": schemaOf(t, "certificates"), "Issuer": schemaOf(t, "issuers")}
	for name, test := range map[string]struct {
		values []string
		want   []string
	}{
		"an own CA": {nil, []string{
			"Certificate keda/op-keda-tls", "Certificate system/op-ca", "Certificate system/op-controller-tls", "Certificate system/op-people-tls", "Certificate system/op-server-tls",
			"Issuer keda/op-ca", "Issuer system/op-ca", "Issuer system/op-selfsigned",
		}},
		"KEDA in the same namespace": {[]string{"keda.namespace=system"}, []string{
			"Certificate system/op-ca", "Certificate system/op-controller-tls", "Certificate system/op-keda-tls", "Certificate system/op-people-tls", "Certificate system/op-server-tls",
			"Issuer system/op-ca", "Issuer system/op-selfsigned",
		}},
		"an issuer of one's own": {[]string{"tls.certManager.issuerRef.name=company", "tls.certManager.issuerRef.kind=ClusterIssuer"}, []string{
			"Certificate keda/op-keda-tls", "Certificate system/op-controller-tls", "Certificate system/op-people-tls", "Certificate system/op-server-tls",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			found := rendered(t, test.values...)
			names := []string{}
			for name, document := range found {
				names = append(names, name)
				valid(t, name, document, schemas)
				var certificate cmv1.Certificate
				require.NoError(t, yaml.Unmarshal(document, &certificate))
				if certificate.Kind != "Certificate" {
					continue
				}
				assert.Equal(t, certificate.Name, certificate.Spec.SecretName)
				assert.Less(t, certificate.Spec.RenewBefore.Duration, certificate.Spec.Duration.Duration)
				if ref := certificate.Spec.IssuerRef; ref.Kind == "Issuer" {
					assert.Contains(t, found, fmt.Sprintf("Issuer %s/%s", certificate.Namespace, ref.Name), name)
				}
			}
			assert.ElementsMatch(t, test.want, names)
		})
	}
}

// The checks find what they should.
func TestWrongOnesAreFound(t *testing.T) {
	schema := schemaOf(t, "certificates")
	for name, spec := range map[string]any{
		"no Secret":    map[string]any{"issuerRef": map[string]any{"name": "a"}},
		"a wrong type": map[string]any{"secretName": "a", "issuerRef": map[string]any{"name": "a"}, "dnsNames": "a"},
		"a wrong word": map[string]any{"secretName": "a", "issuerRef": map[string]any{"name": "a"}, "privateKey": map[string]any{"rotationPolicy": "Sometimes"}},
	} {
		object := map[string]any{"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": map[string]any{"name": "a"}, "spec": spec}
		assert.NotEmpty(t, validation.ValidateCustomResource(nil, object, schema), name)
	}
}
