package program_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/program"
)

func TestNamespaces(t *testing.T) {
	for value, want := range map[string][]string{
		"": nil, " ": nil, "shop": {"shop"}, "shop, billing": {"billing", "shop"}, "a,b,a": {"a", "b"},
		strings.Repeat("a", 63): {strings.Repeat("a", 63)},
	} {
		got, err := program.Namespaces("watch-namespaces", value)
		require.NoError(t, err, value)
		assert.Equal(t, want, got, value)
	}
	for value, wrong := range map[string]string{
		"shop,": `""`, "Shop": `"Shop"`, "a b": `"a b"`, "*": `"*"`, "-a": `"-a"`, strings.Repeat("a", 64): `"aaa`,
	} {
		_, err := program.Namespaces("watch-namespaces", value)
		require.ErrorContains(t, err, "--watch-namespaces is ", value)
		require.ErrorContains(t, err, wrong+"", value)
		require.ErrorContains(t, err, "separate names by commas", value)
	}
}
