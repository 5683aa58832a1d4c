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
		"far too many":  {strings.Repeat("a:1,", 32) + "a:1", "it names 33 servers: name 32 at most"},
		"space in host": {"a b:1", "without a scheme, user or path"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := address.ParseList(test.list)
			assert.ErrorContains(t, err, test.words)
		})
	}
}
