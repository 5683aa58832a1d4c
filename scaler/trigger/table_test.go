package trigger

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// everything is metadata in which each key has a value that is not its default, in two parts,
// because some keys exclude one another.
func everything() []map[string]string {
	return []map[string]string{
		{
			KeyChannelName: "q", KeyKeys: "a,b", KeyPreset: "BullMQ", KeyKeyPrefix: "p", KeyMaxAge: "1m30s",
			KeyMinReplicas: "2", KeyMaxReplicas: "9", KeyTargetQueueDepth: "7", KeyScaleUpThreshold: "200", KeyScaleDownThreshold: "20",
			KeyCooldownPeriod: "33", KeyActivationQueueDepth: "4", KeyMaxScaleUpStep: "3", KeyMaxScaleDownStep: "none",
			KeyRedisAddress: "s:26379", KeyRedisMode: "Sentinel", KeySentinelMaster: "m", KeyDatabase: "3",
			KeyTLS: "true", KeySentinelTLS: "false", KeyTLSServerName: "n", KeyCAFromSecret: "c/k", KeyClientCertificateFromSecret: "cc",
			KeyUsernameFromSecret: "u/k", KeyPasswordFromSecret: "p/k", KeySentinelUsernameFromSecret: "su/k", KeySentinelPasswordFromSecret: "sp/k",
			KeyCurrentReplicas: "5", KeyLastScaleTime: "2026-01-02T15:04:05.5Z",
		},
		{
			KeyChannelName: "q", KeyQueueType: "Stream", KeyConsumerGroup: "g", KeyRedisMode: "Sentinel", KeySentinelMaster: "m",
			KeyUsername: "u", KeyPassword + FromEnvSuffix: "p", KeySentinelUsername: "su", KeySentinelPassword + FromEnvSuffix: "sp",
		},
		{KeyChannelName: "q", KeyQueueType: "SortedSet", KeyScore: "UnixSeconds"},
		{KeyChannelName: "q", KeyPreset: "Celery", KeyPrioritySteps: "0,1,255", KeyPrioritySeparator: ":", KeyInFlight: "Queue"},
		{KeyChannelName: "q", KeyPreset: "RQ", KeyScheduled: "Ignore"},
		{
			KeyChannelName: "q", KeyPolicy: "Utilization", KeyWorkerConcurrency: "8", KeyUtilizationTarget: "60", KeyUtilizationScaleUp: "75",
			KeyUtilizationScaleDown: "50", KeyUtilizationWindow: "10m0s",
		},
	}
}

// What each key says is read, and written as it was.
func TestEveryRowIsReadAndWritten(t *testing.T) {
	seen := map[string]bool{}
	for _, metadata := range everything() {
		got, err := Parse(metadata)
		require.NoError(t, err)
		rendered := got.Metadata()
		for key, value := range metadata {
			assert.Equal(t, value, rendered[key], key)
			seen[strings.TrimSuffix(key, FromEnvSuffix)] = true
		}
		again, err := Parse(rendered)
		require.NoError(t, err)
		assert.Equal(t, got, again)
		least, err := Parse(map[string]string{KeyChannelName: "q"})
		require.NoError(t, err)
		for key, value := range least.Metadata() {
			if _, ok := metadata[key]; ok && key != KeyChannelName {
				assert.NotEqual(t, value, metadata[key], "%s has its default: nobody would notice that it is not read", key)
			}
		}
	}
	for _, row := range table {
		assert.True(t, seen[row.key], "%s has no value in everything", row.key)
	}
	assert.Len(t, table, len(seen))
}

// What the table says is told of is what happens where a key is left out.
func TestEveryDefaultIsTheDefault(t *testing.T) {
	least, err := Parse(map[string]string{KeyChannelName: "q"})
	require.NoError(t, err)
	for _, row := range table {
		byDefault := strings.Trim(row.byDefault, "`")
		switch value := row.write(least); {
		case row.key == KeyChannelName, row.key == KeyKeys: // what the user must say, and that again
		case value != "":
			assert.Equal(t, byDefault, value, row.key)
		case strings.HasPrefix(row.byDefault, "`") || row.byDefault == "0":
			explicit, err := Parse(map[string]string{KeyChannelName: "q", row.key: byDefault})
			require.NoError(t, err)
			assert.Equal(t, least, explicit, "%s left out is not %s", row.key, byDefault)
		}
	}
	assert.Equal(t, 60*time.Second, least.Policy.Cooldown)
}

// docs/scaledobject.md has each key's row, in the table's order, and no other but the key that
// means something to KEDA alone.
func TestTheDocumentHasTheTable(t *testing.T) {
	text, err := os.ReadFile("../../docs/scaledobject.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "| key | meaning | default |\n|---|---|---|\n")
	require.True(t, found)
	documented, _, _ := strings.Cut(rest, "\n\n")
	var got, want []string
	for line := range strings.SplitSeq(documented, "\n") {
		if !strings.HasPrefix(line, "| `"+KeyCertificatesHash+"` |") {
			got = append(got, line)
		}
	}
	for _, row := range table {
		if row.meaning != "" {
			want = append(want, strings.Join([]string{"|", code(row.key), "|", row.meaning, "|", row.byDefault, "|"}, " "))
		}
	}
	assert.Equal(t, strings.Join(want, "\n"), strings.Join(got, "\n"), "docs/scaledobject.md must have:\n\n%s\n", strings.Join(want, "\n"))
	for _, row := range table {
		if row.meaning == "" {
			assert.Contains(t, string(text), "`"+row.key, "what is %s for?", row.key)
		}
	}
}
