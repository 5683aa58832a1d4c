package documents

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// compose are the fields of the Compose Specification that our file uses: another one is an error.
type compose struct {
	Name     string
	Services map[string]struct {
		Image       string
		Build       struct{ Context, Target string }
		Command     []string
		Environment map[string]string
		Ports       []string
		Ulimits     map[string]int
		DependsOn   []string `json:"depends_on"`
		Restart     string
	}
}

// The laptop's file asks for images that the Dockerfile builds, variables that the worker knows,
// flags that the publisher has, and ports of this machine alone.
func TestTheLaptopsCompose(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		return string(text)
	}
	var file compose
	require.NoError(t, yaml.UnmarshalStrict([]byte(read("deploy/laptop/compose.yaml")), &file))
	require.Len(t, file.Services, 3)
	dockerfile, variables, flags := read("Dockerfile"), read("docs/subscriber.md"), read("cmd/publisher/options.go")
	for name, service := range file.Services {
		for _, other := range service.DependsOn {
			assert.Contains(t, file.Services, other, name)
		}
		for _, port := range service.Ports {
			assert.True(t, strings.HasPrefix(port, "127.0.0.1:"), "%s: %s is open to the network", name, port)
		}
		if service.Build.Target == "" {
			continue
		}
		assert.Contains(t, dockerfile, " AS "+service.Build.Target+"\n", name)
		assert.FileExists(t, filepath.Join(root, "deploy/laptop", service.Build.Context, "Dockerfile"), name)
		for variable := range service.Environment {
			assert.Contains(t, variables, "`"+variable+"`", name)
		}
		for _, argument := range service.Command {
			if flag, is := strings.CutPrefix(argument, "--"); is {
				assert.Contains(t, flags, `"`+flag+`"`, name)
			}
		}
	}
}
