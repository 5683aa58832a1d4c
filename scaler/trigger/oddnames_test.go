package trigger

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// oddNames are names of keys that a server takes, and that somebody has (scaler/queue reads them). JSON has no way to
// write bytes that are no UTF-8: such a key is named by channelName.
var oddNames = map[string]string{
	"spaces":                  "new orders of today",
	"spaces at both ends":     " orders ",
	"Unicode":                 "заказы-注文-📦",
	"an accent of two points": "cafe\u0301",
	"NUL":                     "a\x00b",
	"CR LF":                   "a\r\nLLEN b\r\n",
	"a tab":                   "a\tb",
	"braces":                  "{orders}",
	"braces within":           "a{b}c",
	"empty braces":            "{}orders",
	"a brace alone":           "or{ders",
	"quotes":                  `"orders" 'x' \`,
	"a comma":                 "orders,refunds",
	"a glob, a parameter":     "*?[a-z]$1%s",
	"an array's beginning":    "[orders",
	"3,000 bytes":             strings.Repeat("orders:", 3000/7) + "1234",
}

// What a trigger says of a key comes out as it went in, and goes back as it was.
func TestOddNames(t *testing.T) {
	require.Len(t, oddNames, 16)
	for name, key := range oddNames {
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
	keys := slices.Sorted(maps.Values(oddNames))
	array, err := json.Marshal(keys)
	require.NoError(t, err)
	parsed, err := Parse(map[string]string{"channelName": "q", "keys": string(array)})
	require.NoError(t, err)
	assert.Equal(t, keys, parsed.QueueKeys(), "all together")

	parsed, err = Parse(map[string]string{"channelName": "a\xff\xfeb"})
	require.NoError(t, err)
	assert.Equal(t, []string{"a\xff\xfeb"}, parsed.QueueKeys())
}
