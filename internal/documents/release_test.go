package documents

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

func file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(text)
}

// A tag of an action may be moved by whoever owns it; a commit can't.
func TestActionsArePinned(t *testing.T) {
	workflows, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.yaml"))
	require.NoError(t, err)
	seen, versions := 0, map[string]string{}
	for _, name := range workflows {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, match := range regexp.MustCompile(`(?m)uses: (\S+)@(.*)$`).FindAllStringSubmatch(string(text), -1) {
			seen++
			assert.Regexp(t, `^[0-9a-f]{40} # v\d+\.\d+\.\d+$`, match[2], "%s: %s", name, match[1])
			if known, ok := versions[match[1]]; ok {
				assert.Equal(t, known, match[2], "%s: two versions of %s", name, match[1])
			}
			versions[match[1]] = match[2]
		}
		assert.Contains(t, string(text), "\npermissions:\n  contents: read\n", "%s: rights are given job by job", name)
	}
	assert.Greater(t, seen, 8, "the actions were not found")
}

// GitHub runs all that .ci/run does, but what only makes it faster or takes its cluster down.
func TestWorkflowsRunWhatCIRuns(t *testing.T) {
	targets := func(text, before string) (all []string) {
		for _, line := range regexp.MustCompile(before+`make ([a-z][a-z0-9 -]*)`).FindAllStringSubmatch(text, -1) {
			all = append(all, strings.Fields(line[1])...)
		}
		return all
	}
	wanted := targets(file(t, ".ci/run"), `(?m)^(?:(?:aside|idly) '.*' )?`)
	require.Contains(t, wanted, "hpa-test", "the commands were not found")
	ran := targets(file(t, ".github/workflows/ci.yaml"), `run: `)
	for _, target := range wanted {
		if !strings.HasSuffix(target, "-ahead") && target != "cluster-down" {
			assert.Contains(t, ran, target, "no job of ci.yaml runs it")
		}
	}
}

// The end-to-end tests run on three node images, the newest of which is the one that
// e2e/cluster takes by itself.
func TestWorkflowsNodeImages(t *testing.T) {
	image := regexp.MustCompile(`kindest/node:(v[\d.]+)@sha256:[0-9a-f]{64}`)
	own := image.FindString(file(t, "e2e/cluster/kind.go"))
	require.NotEmpty(t, own)
	images := image.FindAllString(file(t, ".github/workflows/ci.yaml"), -1)
	require.Len(t, images, 3)
	assert.Equal(t, own, images[2])
}

// What krew wants of a manifest (krew's docs/NAMING_GUIDE.md and pkg/index/validation).
func TestKrewManifest(t *testing.T) {
	var manifest struct {
		APIVersion, Kind string
		Metadata         struct{ Name string }
		Spec             struct {
			Version, Homepage, ShortDescription, Description, Caveats string
			Platforms                                                 []struct {
				Selector         struct{ MatchLabels struct{ OS, Arch string } }
				URI, SHA256, Bin string
			}
		}
	}
	require.NoError(t, yaml.UnmarshalStrict([]byte(file(t, "deploy/krew/pubsub.yaml")), &manifest))
	assert.Equal(t, "krew.googlecontainertools.github.com/v1alpha2 Plugin pubsub", manifest.APIVersion+" "+manifest.Kind+" "+manifest.Metadata.Name)
	assert.LessOrEqual(t, len(manifest.Spec.ShortDescription), 50)
	built := regexp.MustCompile(`(?m)^PLUGIN_PLATFORMS \?= (.*)$`).FindStringSubmatch(file(t, "Makefile"))
	require.NotNil(t, built)
	var platforms []string
	for _, platform := range manifest.Spec.Platforms {
		labels := platform.Selector.MatchLabels
		platforms = append(platforms, labels.OS+"/"+labels.Arch)
		name := labels.OS + "_" + labels.Arch
		assert.Equal(t, manifest.Spec.Homepage+"/releases/download/VERSION/kubectl-pubsub_"+name+".tar.gz", platform.URI)
		assert.Equal(t, "SHA256_"+name, platform.SHA256)
		assert.Equal(t, labels.OS == "windows", strings.HasSuffix(platform.Bin, ".exe"))
	}
	assert.Equal(t, built[1], strings.Join(platforms, " "), "the Makefile builds the manifest's platforms")
}

// GitHub ignores a form that it can't read, and a path of CODEOWNERS that does not exist.
func TestFormsOwnersAndRenovate(t *testing.T) {
	forms, err := filepath.Glob(filepath.Join(root, ".github/ISSUE_TEMPLATE/*.yml"))
	require.NoError(t, err)
	require.Len(t, forms, 3)
	for _, name := range forms {
		var form struct {
			Name, Description string
			Labels            []string
			Body              []struct {
				Type, ID    string
				Attributes  struct{ Label, Description, Render, Placeholder string }
				Validations struct{ Required bool }
			}
			BlankIssuesEnabled bool                                `json:"blank_issues_enabled"`
			ContactLinks       []struct{ Name, URL, About string } `json:"contact_links"`
		}
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NoError(t, yaml.UnmarshalStrict(text, &form), name)
		for _, field := range form.Body {
			assert.NotEmpty(t, field.ID+field.Attributes.Label, name)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(file(t, ".github/CODEOWNERS")), "\n") {
		fields := strings.Fields(line)
		if fields[0] == "*" || strings.HasPrefix(line, "#") {
			continue
		}
		_, err := os.Stat(filepath.Join(root, fields[0]))
		assert.NoError(t, err, "CODEOWNERS")
	}
	var renovate struct {
		CustomManagers []struct{ MatchStrings []string }
	}
	require.NoError(t, json.Unmarshal([]byte(file(t, ".github/renovate.json")), &renovate))
	versions := file(t, "dev-tools.mk") + file(t, "e2e/binaries.mk")
	require.NotEmpty(t, renovate.CustomManagers)
	for _, manager := range renovate.CustomManagers {
		for _, text := range manager.MatchStrings {
			assert.Regexp(t, strings.ReplaceAll(text, "(?<", "(?P<"), versions)
		}
	}
	pinned := regexp.MustCompile(`(?m)^[A-Z_]+_VERSION +:= v`).FindAllString(versions, -1)
	assert.Len(t, renovate.CustomManagers, len(pinned), "Renovate knows each pinned version: %v", pinned)
}
