package trigger

import (
	"maps"
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

// Each key of KEDA's own redis scalers is ours, too, or is told what it is called here; and nothing is told of keys that it has not.
func TestTheKeysOfKEDAsRedisScalers(t *testing.T) {
	folder, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/kedacore/keda/v2").Output()
	require.NoError(t, err)
	theirs := map[string]bool{}
	for _, file := range []string{"redis_scaler.go", "redis_streams_scaler.go"} {
		source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(folder)), "pkg", "scalers", file))
		require.NoError(t, err)
		for _, match := range regexp.MustCompile("`keda:\"name=([^,]+),").FindAllStringSubmatch(string(source), -1) {
			for name := range strings.SplitSeq(match[1], ";") {
				theirs[name] = true
			}
		}
	}
	require.Greater(t, len(theirs), 10)
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		assert.True(t, known[name] || kedaKeys[name] || ofKEDAsRedis[name] != "" || withoutOurs[name], "%s: what is it called here?", name)
	}
	for name, ours := range ofKEDAsRedis {
		assert.True(t, theirs[name], "%s is none of KEDA's", name)
		assert.False(t, known[name], name)
		word, _, _ := strings.Cut(ours, " ")
		assert.True(t, known[word], "%s: %s is none of ours", name, word)
	}
}

// withoutOurs are those of which there is no like here.
var withoutOurs = map[string]bool{"keyPassword": true}
