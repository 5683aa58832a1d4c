package documents

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/jawaracloud/pubsub-operator/internal/metricsdoc"
)

// What the documents name exists: targets of make, values of the chart, metrics, files and flags. The commands of the plugin are parsed in
// cmd/kubectl-pubsub, the manifests are given to an API server in translator, and the words for conditions in reasons_test.go.

// inCode are the parts of each document that are code: blocks, and what stands between backquotes.
func inCode(t *testing.T) map[string][]string {
	t.Helper()
	parts, seen := map[string][]string{}, 0
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/decisions/*.md", "charts/*/README.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			name := strings.TrimPrefix(filepath.ToSlash(file), root+"/")
			parts[name] = fence.FindAllString(string(text), -1)
			for _, span := range code.FindAllString(fence.ReplaceAllString(string(text), ""), -1) {
				parts[name] = append(parts[name], strings.Trim(span, "`"))
			}
			seen += len(parts[name])
		}
	}
	require.Greater(t, seen, 1000, "the code was not found")
	return parts
}

// eachNamed calls check with what the expression's first group finds in code, and fails if that is less than least times.
func eachNamed(t *testing.T, expression *regexp.Regexp, least int, check func(file, name string)) {
	t.Helper()
	seen := 0
	for file, parts := range inCode(t) {
		for _, part := range parts {
			for _, match := range expression.FindAllStringSubmatch(part, -1) {
				seen++
				check(file, match[1])
			}
		}
	}
	assert.GreaterOrEqual(t, seen, least, "they were not found")
}

func TestTargetsOfMakeExist(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	targets := map[string]bool{}
	for _, rule := range regexp.MustCompile(`(?m)^([a-z][a-z0-9 -]*):(?:[^=]|$)`).FindAllStringSubmatch(string(makefile), -1) {
		for target := range strings.FieldsSeq(rule[1]) {
			targets[target] = true
		}
	}
	require.True(t, targets["test"], "the targets were not found")
	eachNamed(t, regexp.MustCompile(`(?m)(?:^|[|&;(] *|\b[A-Z_]+=\S+ |\$ )make((?: +-[a-z]| +[A-Z_]+=\S+| +[a-z][a-z0-9-]*)+)`), 40, func(file, arguments string) {
		for word := range strings.FieldsSeq(arguments) {
			if !strings.HasPrefix(word, "-") && !strings.Contains(word, "=") {
				assert.True(t, targets[word], "%s: there is no target %q in the Makefile", file, word)
			}
		}
	})
}

func TestValuesOfTheChartExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "charts/pubsub-operator/values.yaml"))
	require.NoError(t, err)
	var values map[string]any
	require.NoError(t, yaml.Unmarshal(text, &values))
	eachNamed(t, regexp.MustCompile(`--set(?:-string|-json|-file)?[ =]['"]?([\w.\[\]]+)=`), 5, func(file, name string) {
		if file == "docs/kubectl-pubsub.md" || name == "targetQueueDepth" {
			return // --set of explain, whose settings are not the chart's
		}
		at, ok := any(values), true
		for step := range strings.SplitSeq(name, ".") {
			step, _, _ = strings.Cut(step, "[")
			var here map[string]any
			if here, ok = at.(map[string]any); ok {
				at, ok = here[step]
			}
			if !ok {
				break
			}
		}
		assert.True(t, ok, "%s: the chart has no value %q", file, name)
	})
}

func TestMetricsExist(t *testing.T) {
	known := map[string]bool{}
	for name := range metricsdoc.Documented(t, root, "all", "scaler", "controller", "subscriber", "publisher") {
		known[name] = true
	}
	eachNamed(t, regexp.MustCompile(`\b(pubsub_(?:scaler|scaled_object|channel|controller|subscriber|publisher|build|tls)_[a-z_]*\*?)`), 60, func(file, name string) {
		if prefix, any := strings.CutSuffix(name, "*"); any || strings.HasSuffix(name, "_") {
			assert.True(t, startsOne(known, prefix), "%s: no metric begins with %q", file, prefix)
			return
		}
		for _, ending := range []string{"_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(name, ending); ok && known[base] {
				return
			}
		}
		assert.True(t, known[name], "%s: there is no metric %q", file, name)
	})
}

func startsOne(known map[string]bool, prefix string) bool {
	for name := range known {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func TestFilesExist(t *testing.T) {
	folders := map[string]bool{}
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	for _, entry := range entries {
		if entry.IsDir() && entry.Name() != ".git" {
			folders[entry.Name()] = true
		}
	}
	path := regexp.MustCompile(`^(?:[.]/)?([a-z.][\w.-]*)((?:/[\w.*…-]+)+/?)$`)
	seen := 0
	for file, parts := range inCode(t) {
		for _, part := range parts {
			match := path.FindStringSubmatch(part)
			if match == nil || !folders[match[1]] || made(part) {
				continue
			}
			seen++
			pattern := strings.NewReplacer("…", "*").Replace(strings.TrimSuffix(match[1]+match[2], "/"))
			found, err := filepath.Glob(filepath.Join(root, pattern))
			assert.NoError(t, err)
			// A package may be named with its type or function: simulation/report.Table.
			if base, name, ok := strings.Cut(filepath.Base(pattern), "."); ok && len(found) == 0 && name != "" && name[0] >= 'A' && name[0] <= 'Z' {
				found, _ = filepath.Glob(filepath.Join(root, filepath.Dir(pattern), base))
			}
			assert.NotEmpty(t, found, "%s: there is no %s", file, part)
		}
	}
	assert.Greater(t, seen, 100, "the files were not found")
}

// made tells whether a path is of what make builds, which need not be there.
func made(path string) bool {
	return slices.ContainsFunc([]string{"bin/", "dist/", ".cluster/"}, func(folder string) bool { return strings.HasPrefix(strings.TrimPrefix(path, "./"), folder) })
}

// othersFlags are flags of other programs that the documents show.
var othersFlags = map[string]bool{
	"certificate-identity-regexp": true, "certificate-oidc-issuer": true, // cosign
	"create-namespace": true, "reset-then-reuse-values": true, "reuse-values": true, // helm
	"as": true, "cascade": true, "field-selector": true, "for": true, "from-file": true, "from-literal": true, // kubectl
	"overwrite": true, "recursive": true, "server-side": true, "serviceaccount": true, "tail": true,
	"attach":         true, // kubectl run
	"fail":           true, // curl
	"scan":           true, // redis-cli
	"with-scheduler": true, // rq
}

func TestFlagsExist(t *testing.T) {
	quoted, word := map[string]bool{}, regexp.MustCompile("[\"`]([a-z][a-z0-9-]+)[\"`]")
	for _, folder := range []string{"cmd", "e2e", "translator/limits"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") && folder == "cmd" {
				return err
			}
			text, err := os.ReadFile(name)
			for _, match := range word.FindAllStringSubmatch(string(text), -1) {
				quoted[match[1]] = true
			}
			return err
		})
		require.NoError(t, err)
	}
	used := map[string]bool{}
	eachNamed(t, regexp.MustCompile(`(?:^|[\s(])--([a-z][a-z0-9-]*)\b`), 150, func(file, name string) {
		used[name] = true
		assert.True(t, quoted[name] || othersFlags[name], "%s: none of our programs has a flag --%s", file, name)
	})
	for name := range othersFlags {
		assert.True(t, used[name], "othersFlags: no document shows --%s", name)
		assert.False(t, quoted[name], "othersFlags: --%s is one of ours", name)
	}
}
