package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
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
	list := "apiVersion: v1\nkind: List\nitems:\n" // what kubectl get prints of one or more
	for object := range strings.SplitSeq(string(blocks[0][1]), "---\n") {
		list += "- " + strings.ReplaceAll(strings.TrimSpace(object), "\n", "\n  ") + "\n"
	}
	for name, given := range map[string]string{"as written": string(blocks[0][1]), "as a list": list} {
		t.Run(name, func(t *testing.T) {
			root := newRootCommand()
			var out, notes bytes.Buffer
			root.SetOut(&out)
			root.SetErr(&notes)
			root.SetIn(strings.NewReader(given))
			root.SetArgs([]string{"convert", "-f", "-"})
			require.NoError(t, root.ExecuteContext(t.Context()))
			assert.Empty(t, notes.String())
			assert.YAMLEq(t, string(blocks[1][1]), out.String())
		})
	}
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
