//go:build integration

package translator

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// Every channel that the documents show is one: the API server takes it, with no field that
// it does not know, and so do the builders.
func TestDocumentedChannels(t *testing.T) {
	s := sharedServer(t)
	strict := client.WithFieldValidation(s, "Strict")
	namespace := s.namespace(t)
	for file, least := range map[string]int{"docs/channels.md": 3, "README.md": 1} {
		text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(file)))
		require.NoError(t, err)
		found := 0
		for _, block := range strings.Split(string(text), "```yaml\n")[1:] {
			manifest, _, _ := strings.Cut(block, "```")
			if !strings.Contains(manifest, "kind: PubSubChannel") {
				continue
			}
			found++
			channel := &v1.PubSubChannel{}
			require.NoError(t, yaml.UnmarshalStrict([]byte(manifest), channel), manifest)
			channel.Namespace = namespace
			require.NoError(t, strict.Create(t.Context(), channel, client.DryRunAll), manifest)
			_, err := build.Deployment(plan.Of(channel))
			assert.NoError(t, err, manifest)
			p := plan.Of(channel)
			assert.NoError(t, build.CheckScaledObject(p, build.ScaledObject(p, build.ScalerRef{})), manifest)
		}
		assert.GreaterOrEqual(t, found, least, file)
	}
}
