package trigger

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/address"
)

// marker stands for a secret that somebody put into a trigger, wherever it does not belong.
const marker = "hunter2S3cret"

// What an environment gives may come from a Secret: no error shows it, of whatever key.
func TestNoValueOfAnEnvironmentIsShown(t *testing.T) {
	wrong := []string{marker, "redis://:" + marker + "@host", "me:" + marker + "@host:6379", "[" + marker, marker + "\n", marker + "/a/b", "9" + marker}
	keys := slices.Sorted(maps.Keys(known))
	keys = append(keys, "redisPassword", "pasword", "channelNameFromEnv", "hunter", "")
	for _, key := range keys {
		for _, value := range wrong {
			for _, base := range []map[string]string{{}, {"channelName": "q"}, complete(), {"channelName": "q", "redisMode": "Cluster", "preset": "BullMQ"}} {
				delete(base, key)
				base[key+"FromEnv"] = value
				_, err := Parse(base)
				if err != nil {
					assert.NotContains(t, err.Error(), marker, "%s", key)
				}
				base[key] = "plain" // given twice
				_, err = Parse(base)
				require.Error(t, err, "%s", key)
				assert.NotContains(t, err.Error(), marker, "%s", key)
			}
		}
	}
}

// A misspelt key's value may be a password, and so may what stands in an address.
func TestNoValueOfAnUnknownKeyIsShown(t *testing.T) {
	for _, key := range []string{"redisPasswordFromEnv", "redisPassword", "Password", "passwordFromenv", "password", "sentinelPassword"} {
		_, err := Parse(map[string]string{"channelName": "q", key: marker})
		require.ErrorContains(t, err, key+` is "…": `)
		assert.NotContains(t, err.Error(), marker)
	}
	for address, shown := range map[string]string{
		"redis://:" + marker + "@host":      `redisAddress is "…@host": it must be host:port without a scheme`,
		"me:" + marker + "@host:6379":       `redisAddress is "…@host:6379": it must be host:port without a scheme`,
		"host:6379,password=" + marker:      `redisAddress is "host:6379,…": "…": it must be host:port`,
		"redis://host:6379?pass=" + marker:  `redisAddress is "…": it must be host:port`,
		"a:1,redis://me:" + marker + "@b:2": `redisAddress is "…@b:2": "…@b:2": it must be host:port`,
	} {
		_, err := Parse(map[string]string{"channelName": "q", "redisAddress": address, "redisMode": "Cluster"})
		require.ErrorContains(t, err, shown)
		assert.NotContains(t, err.Error(), marker)
	}
}

// The policy's own words have numbers in them.
func TestNoNumberOfAnEnvironmentIsShown(t *testing.T) {
	tests := map[string]struct {
		metadata map[string]string
		want     string
	}{
		"one":             {map[string]string{"minReplicasFromEnv": "4711", "maxReplicas": "10"}, "minReplicas is …, greater than maxReplicas 10"},
		"the other":       {map[string]string{"minReplicas": "4711", "maxReplicasFromEnv": "10"}, "minReplicas is 4711, greater than maxReplicas …"},
		"written at will": {map[string]string{"minReplicasFromEnv": "+04711", "maxReplicas": "10"}, "minReplicas is …, greater"},
		"a duration":      {map[string]string{"maxAgeFromEnv": "4711h"}, "maxAge is …: it must be from 1s to 720h0m0s"},
		"out of range":    {map[string]string{"targetQueueDepthFromEnv": "0"}, "targetQueueDepth is …: it must be from 1"},
		"none":            {map[string]string{"minReplicas": "4711"}, "minReplicas is 4711, greater than maxReplicas 10"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.metadata["channelName"] = "q"
			_, err := Parse(test.metadata)
			assert.ErrorContains(t, err, test.want)
		})
	}
}

func TestHideFromEnv(t *testing.T) {
	tests := map[string]struct {
		metadata    map[string]string
		words, want string
	}{
		"nothing":            {map[string]string{"channelName": "orders"}, "key orders", "key orders"},
		"a key":              {map[string]string{"channelNameFromEnv": "orders"}, `key "orders" of reorders`, `key "…" of reorders`},
		"long ones anywhere": {map[string]string{"channelNameFromEnv": "orders-of-today"}, "xorders-of-todayx", "x…x"},
		"a letter":           {map[string]string{"sentinelMasterFromEnv": "a"}, `no master "a" at a-b, ab`, `no master "…" at …-b, ab`},
		"a host that was completed": {map[string]string{"redisAddressFromEnv": "cache:6379,[::1]:2"},
			"reading redis://cache.shop.svc:6379,[::1]:2: refused", "reading redis://….shop.svc:6379,…: refused"},
		"one of several keys": {map[string]string{"keysFromEnv": "a-queue,b-queue"}, "stream b-queue has 2 groups", "stream … has 2 groups"},
		"an unknown key's":    {map[string]string{"pasFromEnv": "hunter2"}, "hunter2", "…"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, HideFromEnv(test.metadata, test.words))
		})
	}
	many := map[string]string{}
	for i := range 20 {
		many["k"+strconv.Itoa(i)+"FromEnv"] = strings.Repeat("x", i)
	}
	assert.NotContains(t, HideFromEnv(many, fmt.Sprint("y ", strings.Repeat("x", 19), " z")), "x", "a part of another is no matter")
}

// A line break that a YAML block or an environment's file left at the end would name another key, which is empty.
func TestWhiteSpaceAtTheEndsIsRefused(t *testing.T) {
	for _, row := range table {
		for _, metadata := range everything() {
			value, ok := metadata[row.key]
			if !ok {
				continue
			}
			for _, wrong := range []string{value + "\n", value + " ", " " + value, "\t" + value, value + "\r\n", value + "\u00a0"} {
				metadata[row.key] = wrong
				_, err := Parse(metadata)
				require.EqualError(t, err, "trigger metadata: "+fmt.Sprintf("%s is %q: %s", row.key, shownAs(row.key, wrong), firstRemedy(row.key)), "%s", row.key)
			}
			metadata[row.key] = value
			_, err := Parse(metadata)
			require.NoError(t, err)
		}
	}
	_, err := Parse(map[string]string{KeyChannelName: "q", KeyPassword + FromEnvSuffix: "ends in a blank "})
	require.NoError(t, err, "a password is what it is")
	_, err = Parse(map[string]string{KeyChannelName + FromEnvSuffix: "orders\n"})
	require.ErrorContains(t, err, `channelName is "…": it begins or ends in white space`)
	_, err = Parse(map[string]string{KeyChannelName: " \n"})
	require.ErrorContains(t, err, `channelName is " \n": it begins or ends in white space`)
}

func shownAs(key, value string) string {
	if key == KeyRedisAddress {
		return address.Shown(value)
	}
	return value
}

func firstRemedy(key string) string {
	remedy := "it begins or ends in white space: take it out (a block of YAML ends in a line break unless it begins with |- or >-, and so does what echo made)"
	if key == KeyChannelName || key == KeyKeys {
		remedy += `; a key that does have it is named by keys, as a JSON array: ["orders\n"]`
	}
	return remedy
}

// Redis takes any bytes as a key, so each can be named: one that has white space at an end, or a comma, by keys.
func TestOddKeysAreRead(t *testing.T) {
	odd := []string{
		"a b", "a\tb", "a\r\nb", "a\x00b", "a\u00a0b", "ключ", "🚚", "{a}", "{", "}{", "a{b}c", "a,b", "[a]", `"a"`, `a\b`, "<prefix>",
		strings.Repeat("k", 3000),
	}
	atTheEnds := []string{" a", "a ", "a\n", "a\r\n", "\t", " ", "\na"}
	for _, key := range odd {
		got, err := Parse(map[string]string{KeyChannelName: key})
		require.NoError(t, err, "%q", key)
		assert.Equal(t, []string{key}, got.QueueKeys())
		assert.Equal(t, key, got.Metadata()[KeyChannelName])
	}
	for _, key := range append(odd, atTheEnds...) {
		array := renderKeys([]string{key, "another"})
		got, err := Parse(map[string]string{KeyChannelName: "q", KeyKeys: array})
		require.NoError(t, err, "%q", key)
		assert.Equal(t, []string{key, "another"}, got.QueueKeys())
		again, err := Parse(got.Metadata())
		require.NoError(t, err)
		assert.Equal(t, got, again)
	}
	got, err := Parse(map[string]string{KeyChannelName: "q", KeyKeys: "a , b,\n  c"})
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b", "c"}, got.QueueKeys(), "around a comma white space is none of a key's")
}
