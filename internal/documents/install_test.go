package documents

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// instructions are the texts that tell how to install and to try out, by their path from the root.
func instructions(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"README.md", "docs/*.md", "deploy/samples/*", "deploy/try-out/*", "deploy/laptop/*"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			texts[strings.TrimPrefix(filepath.ToSlash(file), root+"/")] = string(text)
		}
	}
	return texts
}

// The images that one builds and loads are those that the chart and the samples run.
func TestImagesHaveTheChartsVersion(t *testing.T) {
	chart, err := os.ReadFile(filepath.Join(root, "charts/pubsub-operator/Chart.yaml"))
	require.NoError(t, err)
	version := regexp.MustCompile(`(?m)^appVersion: "(.*)"$`).FindSubmatch(chart)
	require.NotNil(t, version)
	image := regexp.MustCompile(`\bjawaracloud/(?:pubsub-operator|subscriber|publisher):([\w.-]*\w)|\bVERSION=([\w.-]*\w)`)
	seen := 0
	for name, text := range instructions(t) {
		for _, match := range image.FindAllStringSubmatch(text, -1) {
			if name == "docs/api.md" { // tells the field's default
				continue
			}
			seen++
			assert.Equal(t, string(version[1]), match[1]+match[2], "%s: %s", name, match[0])
		}
	}
	assert.Greater(t, seen, 5, "the images were not found")
}

// Workers take from the right of a list: a message that is pushed there is delivered first.
func TestListsArePushedFromTheLeft(t *testing.T) {
	for name, text := range instructions(t) {
		assert.NotRegexp(t, `redis-cli.* RPUSH`, text, name)
	}
}

// kubectl knows no hooks: it would apply the pod of helm test with the rest, and leave it there.
func TestDeployHasNoHooks(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "deploy/operator.yaml"))
	require.NoError(t, err)
	// Counted, because the file is too long for a message.
	assert.Equal(t, 2, strings.Count(string(text), "\nkind: Deployment\n"))
	assert.Zero(t, strings.Count(string(text), "helm.sh/hook"))
}
