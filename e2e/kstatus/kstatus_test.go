package kstatus

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func read(t *testing.T, path string) *unstructured.Unstructured {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	data, err = yaml.YAMLToJSON(data)
	require.NoError(t, err)
	object := &unstructured.Unstructured{}
	require.NoError(t, object.UnmarshalJSON(data))
	return object
}

func TestStates(t *testing.T) {
	files, err := filepath.Glob("../../translator/status/testdata/kstatus/*.yaml")
	require.NoError(t, err)
	seen := map[string]int{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			want, _, _ := strings.Cut(name, "-")
			got, err := status.Compute(read(t, file))
			require.NoError(t, err)
			assert.Equal(t, want, got.Status.String(), got.Message)
			seen[want]++
			if want == "Failed" {
				assert.NotEmpty(t, got.Message, "the words of Stalled are passed on")
			}
		})
	}
	for _, want := range []status.Status{status.CurrentStatus, status.InProgressStatus, status.FailedStatus, status.TerminatingStatus} {
		assert.Positive(t, seen[want.String()], want)
	}
}

// Without observedGeneration -1 kstatus would take a channel for done that nobody has
// looked at: the default in the CRD is needed.
func TestTheDefaultIsNeeded(t *testing.T) {
	fresh := read(t, "../../translator/status/testdata/kstatus/InProgress-Unobserved.yaml")
	unstructured.RemoveNestedField(fresh.Object, "status")
	got, err := status.Compute(fresh)
	require.NoError(t, err)
	assert.Equal(t, status.CurrentStatus, got.Status)
}
