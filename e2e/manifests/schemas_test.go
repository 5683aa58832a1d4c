package manifests

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// schemaLocation is how kubeconform finds a kind's schema in the folder that schemas fills.
const schemaLocation = "{{ .ResourceKind }}{{ .KindSuffix }}.json"

// startServer starts an API server that knows the CRDs in these files and folders, and returns what it says of itself.
func startServer(t *testing.T, crds ...string) discovery.DiscoveryInterface {
	t.Helper()
	require.NotEmpty(t, os.Getenv("KUBEBUILDER_ASSETS"), "it must name the folder of etcd, kube-apiserver and kubectl; run `make manifests-test`, which sets it")
	log.SetLogger(logr.Discard()) // or it complains in the middle of a test
	env := &envtest.Environment{
		CRDInstallOptions:        envtest.CRDInstallOptions{Paths: crds, ErrorIfPathMissing: true, MaxTime: 3 * time.Minute},
		ControlPlaneStartTimeout: 3 * time.Minute, ControlPlaneStopTimeout: time.Minute,
	}
	t.Cleanup(func() { require.NoError(t, env.Stop()) })
	config, err := env.Start()
	require.NoError(t, err)
	client, err := discovery.NewDiscoveryClientForConfig(config)
	require.NoError(t, err)
	return client
}

// schemas writes a JSON schema of each kind that the API server knows into a folder, and returns the folder. They are
// strict: a field that the API server does not know is refused. It waits for the files that are named: the API server
// tells of a CRD a while after it has taken it.
func schemas(t *testing.T, server discovery.DiscoveryInterface, files ...string) string {
	t.Helper()
	folder := t.TempDir()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, readSchemas(server, folder))
		for _, file := range files {
			require.FileExists(c, filepath.Join(folder, file))
		}
	}, time.Minute, 200*time.Millisecond)
	return folder
}

func readSchemas(server discovery.DiscoveryInterface, folder string) error {
	paths, err := server.OpenAPIV3().Paths()
	if err != nil {
		return err
	}
	for path, group := range paths {
		if path != "api/v1" && !strings.HasPrefix(path, "apis/") {
			continue
		}
		text, err := group.Schema("application/json")
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		var document struct {
			Components struct {
				Schemas map[string]map[string]any `json:"schemas"`
			} `json:"components"`
		}
		if err := json.Unmarshal(text, &document); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := writeSchemas(folder, document.Components.Schemas); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// writeSchemas writes one file for each of the schemas that is of a kind.
func writeSchemas(folder string, all map[string]map[string]any) error {
	definitions := map[string]any{}
	for name, schema := range all {
		definitions[name] = strict(schema)
	}
	var errs []error
	for name, schema := range all {
		kinds, ok := schema["x-kubernetes-group-version-kind"].([]any)
		if !ok || len(kinds) != 1 { // of several groups: DeleteOptions and its like
			continue
		}
		kind := kinds[0].(map[string]any)
		group, version := fmt.Sprint(kind["group"]), fmt.Sprint(kind["version"])
		if group, _, _ = strings.Cut(group, "."); group != "" { // as kubeconform names it: without the group's domain
			version = group + "-" + version
		}
		text, err := json.Marshal(map[string]any{
			"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/" + name, "definitions": definitions,
		})
		if err != nil {
			return err
		}
		file := strings.ToLower(fmt.Sprintf("%s-%s.json", kind["kind"], version))
		errs = append(errs, os.WriteFile(filepath.Join(folder, file), text, 0o600))
	}
	return errors.Join(errs...)
}

// strict is an OpenAPI schema as a JSON schema, in which an object has no fields but those that are named.
func strict(value any) any {
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = strict(value[i])
		}
	case map[string]any:
		return strictSchema(value)
	}
	return value
}

func strictSchema(schema map[string]any) any {
	if schema["x-kubernetes-int-or-string"] == true || schema["format"] == "int-or-string" {
		return map[string]any{"type": []any{"string", "integer"}}
	}
	delete(schema, "format") // of Kubernetes' own making: int32, date-time with fractions
	delete(schema, "default")
	for key, inner := range schema {
		properties, ok := inner.(map[string]any)
		if key != "properties" || !ok {
			schema[key] = strict(inner)
			continue
		}
		for name := range properties { // a field may be called format
			properties[name] = strict(properties[name])
		}
	}
	if ref, ok := schema["$ref"].(string); ok {
		schema["$ref"] = strings.Replace(ref, "#/components/schemas/", "#/definitions/", 1)
	}
	closeObject(schema)
	return schema
}

func closeObject(schema map[string]any) {
	properties, ok := schema["properties"].(map[string]any)
	_, open := schema["additionalProperties"]
	if !ok || open || schema["x-kubernetes-preserve-unknown-fields"] == true || schema["type"] != "object" || len(properties) == 0 {
		return
	}
	schema["additionalProperties"] = false
}
