package main

import (
	"bytes"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// docs/migrating.md shows what the command makes of its first example.
func TestTheDocumentedConversion(t *testing.T) {
	document, err := os.ReadFile("../../docs/migrating.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(document, -1)
	require.GreaterOrEqual(t, len(blocks), 2)
	root := newRootCommand()
	var out, notes bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&notes)
	root.SetIn(bytes.NewReader(blocks[0][1]))
	root.SetArgs([]string{"convert", "-f", "-"})
	require.NoError(t, root.ExecuteContext(t.Context()))
	assert.Empty(t, notes.String())
	assert.YAMLEq(t, string(blocks[1][1]), out.String())
}

func TestConvertNeedsAFile(t *testing.T) {
	for want, args := range map[string][]string{
		"--filename is missing": {"convert"},
		"no such file":          {"convert", "-f", "nowhere.yaml"},
		"has no ScaledObject":   {"convert", "-f", "../../deploy/samples/list.yaml"},
	} {
		_, _, err := kubectl(t, args...)
		assert.ErrorContains(t, err, want)
	}
}
