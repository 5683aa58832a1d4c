package documents

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The image builds from a copy of some folders only. Here nothing builds with Docker, so the folders are compared with
// what the programs import and embed: one that is missing breaks the build, and one too many makes it anew without need.
func TestTheDockerfileCopiesWhatTheProgramsNeed(t *testing.T) {
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		return string(data)
	}
	dockerfile := read("Dockerfile")
	var programs []string
	for _, line := range regexp.MustCompile(`go build .*`).FindAllString(dockerfile, -1) {
		programs = append(programs, regexp.MustCompile(`\./cmd/\w+`).FindAllString(line, -1)...)
	}
	require.Len(t, programs, 4)

	const format = `{{if and .Module .Module.Main}}{{$d := .ImportPath}}{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{end}}`
	list := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps", "-f", format}, programs...)...)
	list.Dir = root
	out, err := list.Output()
	require.NoError(t, err)
	var needed []string
	for _, file := range strings.Fields(string(out)) {
		file = strings.TrimPrefix(file, "github.com/jawaracloud/pubsub-operator/")
		assert.NotContains(t, file, "/testdata/", "the .dockerignore leaves it out")
		folder, _, _ := strings.Cut(file, "/")
		needed = append(needed, folder)
	}
	slices.Sort(needed)
	needed = slices.Compact(needed)

	var copied []string
	for _, parts := range regexp.MustCompile(`(?m)^COPY (\w+) (\w+)$`).FindAllStringSubmatch(dockerfile, -1) {
		require.Equal(t, parts[1], parts[2])
		copied = append(copied, parts[1])
	}
	var let []string
	for line := range strings.Lines(read(".dockerignore")) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "!"); ok && !strings.HasPrefix(name, "go.") {
			let = append(let, name)
		}
	}
	slices.Sort(copied)
	slices.Sort(let)
	assert.Equal(t, needed, copied, "COPY in the Dockerfile")
	assert.Equal(t, needed, let, ".dockerignore")
}
