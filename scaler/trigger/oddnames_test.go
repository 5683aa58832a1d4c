package trigger

import (
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/framework/frameworktest"
)

// What a trigger says of a key comes out as it went in, and goes back as it was.
func TestOddNames(t *testing.T) {
	var keys []string
	for name, key := range frameworktest.OddNames {
		if !utf8.ValidString(key) {
			continue // JSON has no way to write it: such a key is named by channelName
		}
		keys = append(keys, key)
		t.Run(name, func(t *testing.T) {
			array, err := json.Marshal([]string{key})
			require.NoError(t, err)
			parsed, err := Parse(map[string]string{"channelName": "q", "keys": string(array)})
			require.NoError(t, err)
			assert.Equal(t, []string{key}, parsed.QueueKeys())
			again, err := Parse(parsed.Metadata())
			require.NoError(t, err)
			assert.Equal(t, []string{key}, again.QueueKeys())
		})
	}
	slices.Sort(keys)
	array, err := json.Marshal(keys)
	require.NoError(t, err)
	parsed, err := Parse(map[string]string{"channelName": "q", "keys": string(array)})
	require.NoError(t, err)
	assert.Equal(t, keys, parsed.QueueKeys(), "all together")

	parsed, err = Parse(map[string]string{"channelName": "a\xff\xfeb"})
	require.NoError(t, err)
	assert.Equal(t, []string{"a\xff\xfeb"}, parsed.QueueKeys())
}
