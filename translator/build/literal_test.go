package build

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

// kubelet is what a container gets for a value of its environment: the rules of Kubernetes
// 1.36, third_party/forked/golang/expansion/expand.go, said once more. variables are those
// before it; a name that is none of them stays as it stands.
func kubelet(value string, variables map[string]string) string {
	var out strings.Builder
	for value != "" {
		before, after, found := strings.Cut(value, "$")
		out.WriteString(before)
		value = after
		switch name, rest, closed := strings.Cut(after, ")"); {
		case !found:
		case strings.HasPrefix(after, "$"):
			out.WriteString("$")
			value = after[1:]
		case strings.HasPrefix(after, "(") && closed:
			text, known := variables[name[1:]]
			if !known {
				text = "$" + name + ")"
			}
			out.WriteString(text)
			value = rest
		default:
			out.WriteString("$")
		}
	}
	return out.String()
}

// The oracle agrees with the cases of Kubernetes' own test (expand_test.go).
func TestKubeletOracle(t *testing.T) {
	variables := map[string]string{"VAR_A": "A", "VAR_EMPTY": ""}
	for value, want := range map[string]string{
		"$(VAR_A)":           "A",
		"___$(VAR_A)___":     "___A___",
		"$(VAR_EMPTY)":       "",
		"$(VAR_X)":           "$(VAR_X)",
		"$$(VAR_A)":          "$(VAR_A)",
		"$$$(VAR_A)":         "$A",
		"$$$$(VAR_A)":        "$$(VAR_A)",
		"f000-$(foo-$(VAR_A": "f000-$(foo-$(VAR_A",
		"$(VAR_A":            "$(VAR_A",
		"$VAR_A":             "$VAR_A",
		"a$":                 "a$",
		"$$":                 "$",
		"$$$":                "$$",
		"$)$":                "$)$",
		"$(":                 "$(",
		"$()":                "$()",
	} {
		assert.Equal(t, want, kubelet(value, variables), value)
	}
}

// What the operator writes into the environment is what the container reads, whatever it is.
func TestValuesReachTheWorker(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	parts := []string{"$", "$", "$", "(", ")", "POD_NAME", "A", "é", " ", "{", `"`}
	variables := map[string]string{"POD_NAME": "orders-1", "A": "$(POD_NAME)$$", "": "nameless"}
	changed := 0
	for range 20000 {
		var text strings.Builder
		for range random.IntN(12) {
			text.WriteString(parts[random.IntN(len(parts))])
		}
		value := text.String()
		require.Equal(t, value, kubelet(literal(value), variables), "written as %q", literal(value))
		if kubelet(value, variables) != value {
			changed++
		}
		if !strings.Contains(value, "$$") && !strings.Contains(value, "$(") {
			require.Equal(t, value, literal(value), "what needs no change has none")
		}
	}
	assert.Greater(t, changed, 1000, "much of it would have been changed")
}

// All of the operator's values that come from a channel are written so, and the user's own
// references stay references.
func TestEnvironmentIsLiteral(t *testing.T) {
	const odd = "a$(POD_NAME)$$b"
	channel := channeltest.Channel(func(c *v1.PubSubChannel) {
		c.Spec.ChannelName = odd
		c.Spec.RedisAddress = "$(A)$$:1"
		c.Spec.Queue = &v1.QueueSpec{Type: v1.QueueTypeStream, ConsumerGroup: odd, Keys: []string{odd, "plain"}}
		c.Spec.Redis = &v1.RedisSpec{Mode: v1.RedisModeSentinel, SentinelMaster: odd, TLS: &v1.RedisTLS{ServerName: odd}}
		c.Spec.Env = []corev1.EnvVar{{Name: "MINE", Value: "$(CHANNEL)$$"}}
	})
	got := map[string]string{}
	for _, e := range envOf(t, channel) {
		name, value, _ := strings.Cut(e, "=")
		got[name] = value
	}
	variables := map[string]string{"POD_NAME": "orders-1", "A": "x"}
	for name, want := range map[string]string{
		v1.EnvChannel: odd, v1.EnvConsumerGroup: odd, v1.EnvRedisAddr: "$(A)$$:1", v1.EnvRedisSentinelMaster: odd, v1.EnvRedisTLSServerName: odd,
	} {
		assert.Equal(t, want, kubelet(got[name], variables), name)
	}
	var keys []string
	require.NoError(t, json.Unmarshal([]byte(kubelet(got[v1.EnvQueueKeys], variables)), &keys))
	assert.Equal(t, []string{odd, "plain"}, keys)
	assert.Equal(t, "$(CHANNEL)$$", got["MINE"])
}
