package address_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/address"
)

func TestParseList(t *testing.T) {
	tests := map[string][]string{
		"dragonfly:6379":          {"dragonfly:6379"},
		"a:1,b:2":                 {"a:1", "b:2"},
		" a.shop.svc:1 , [::1]:2": {"a.shop.svc:1", "[::1]:2"},
	}
	for list, want := range tests {
		t.Run(list, func(t *testing.T) {
			got, err := address.ParseList(list)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
}

func TestWrongAddresses(t *testing.T) {
	tests := map[string]struct{ list, words string }{
		"nothing":       {"", "it must be host:port without a scheme, for example dragonfly:6379"},
		"no port":       {"dragonfly", "it must be host:port without a scheme"},
		"no host":       {":6379", "it must be host:port without a scheme"},
		"a scheme":      {"redis://dragonfly:6379", "it must be host:port without a scheme"},
		"scheme alone":  {"redis://dragonfly", "it must be host:port without a scheme"},
		"a user":        {"me@dragonfly:6379", "without a scheme, user or path"},
		"port 0":        {"dragonfly:0", `the port "0" must be a number from 1 to 65535`},
		"port too big":  {"dragonfly:65536", `the port "65536" must be a number`},
		"one of two":    {"a:1,b", `"b": it must be host:port`},
		"a comma only":  {",", `"": it must be host:port`},
		"far too many":  {strings.Repeat("a:1,", 32) + "a:1", "it names 33 servers: name at most 32"},
		"space in host": {"a b:1", "without a scheme, user or path"},
		"a line break":  {"a\nb:1", "without a scheme, user or path"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := address.ParseList(test.list)
			assert.ErrorContains(t, err, test.words)
		})
	}
}

// However an address is given wrongly, no text has the password that stands in it.
func TestNoPasswordOfAnAddressIsShown(t *testing.T) {
	const secret = "hunter2S3cret"
	tests := map[string]string{ // and what is shown
		"redis://:" + secret + "@host":               "…@host",
		"rediss://me:" + secret + "@host:6379/0":     "…@host:6379/0",
		"me:" + secret + "@host:6379":                "…@host:6379",
		"me:" + secret + "@host":                     "…@host",
		":" + secret + "@host:6379":                  "…@host:6379",
		"redis://:a@" + secret + "@host:1":           "…@host:1",
		"redis://:" + secret + "/x@host:1":           "…@host:1",
		"a:1,me:" + secret + "@b:2":                  "…@b:2",
		"a:1,b:" + secret:                            "a:1,…",
		"redis://:" + secret:                         "…",
		"redis://me:" + secret:                       "…",
		"host:" + secret:                             "…",
		"redis://host:6379?password=" + secret:       "…",
		"redis://host:6379/0#" + secret:              "…",
		"host:6379,password=" + secret + ",ssl=True": "host:6379,…,…",
		"host:6379 " + secret:                        "…",
		"redis://x@host?p=" + secret:                 "…@…",
	}
	for list, want := range tests {
		t.Run(list, func(t *testing.T) {
			assert.Equal(t, want, address.Shown(list))
			_, err := address.ParseList(list)
			require.Error(t, err)
			assert.NotContains(t, err.Error(), secret)
			_, _, err = address.Parse(list)
			require.Error(t, err)
			assert.NotContains(t, err.Error(), secret)
		})
	}
	for _, list := range []string{"", "dragonfly:6379", "a:1,b:2", " a.shop.svc:1 , [::1]:2", "redis://dragonfly:6379", "dragonfly:70000", "dragonfly"} {
		assert.Equal(t, list, address.Shown(list), "what can hold none is shown as it is")
	}
}
