package trigger

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestBelief(t *testing.T) {
	standing := map[string]string{"channelName": "q", "redisAddressFromEnv": "REDIS_ADDR", "passwordFromSecret": "redis-auth", "minReplicas": "0", "scalerAddress": "scaler:9090"}
	own := map[string]string{"channelName": "q", "redisAddressFromEnv": "redis:6379", "passwordFromSecret": "redis-auth", "minReplicas": "0", "enableTLS": "true"}
	tests := map[string]struct {
		change    func(map[string]string)
		agrees    bool
		elsewhere []string
	}{
		"KEDA's own":               {func(map[string]string) {}, true, nil},
		"an older policy":          {func(m map[string]string) { m["minReplicas"] = "1" }, false, nil},
		"another queue":            {func(m map[string]string) { m["channelName"] = "other" }, false, nil},
		"not in the environment":   {func(m map[string]string) { delete(m, "redisAddressFromEnv") }, true, nil},
		"a key too few":            {func(m map[string]string) { delete(m, "passwordFromSecret") }, false, nil},
		"another server":           {func(m map[string]string) { m["redisAddress"] = "evil:6379" }, false, []string{"redisAddress"}},
		"another Secret":           {func(m map[string]string) { m["passwordFromSecret"] = "stripe/api-key" }, false, []string{"passwordFromSecret"}},
		"another Secret's CA":      {func(m map[string]string) { m["caFromSecret"] = "other" }, false, []string{"caFromSecret"}},
		"TLS off, another user":    {func(m map[string]string) { m["tls"], m["usernameFromEnv"] = "false", "admin" }, false, []string{"tls", "usernameFromEnv"}},
		"a password of the caller": {func(m map[string]string) { m["passwordFromEnv"] = "guess" }, false, []string{"passwordFromEnv"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sent := map[string]string{}
			for key, value := range own {
				sent[key] = value
			}
			test.change(sent)
			assert.Equal(t, test.agrees, Agrees(standing, sent))
			assert.Equal(t, test.elsewhere, Elsewhere(standing, sent))
		})
	}
	assert.Equal(t, "redis:6379", Resolve(standing, own)["redisAddressFromEnv"])
	assert.Equal(t, "REDIS_ADDR", standing["redisAddressFromEnv"], "the cache's own is not changed")
	assert.NotContains(t, Resolve(standing, map[string]string{"channelName": "q"}), "redisAddressFromEnv", "the environment has no such variable: the default counts")
}

// Each key that says where to connect, and with what, is one that a caller may not choose.
func TestEveryConnectingKeyIsGuarded(t *testing.T) {
	elsewhere := map[string]bool{
		KeyChannelName: true, KeyKeys: true, KeyQueueType: true, KeyPreset: true, KeyKeyPrefix: true, KeyConsumerGroup: true,
		KeyPrioritySteps: true, KeyPrioritySeparator: true, KeyInFlight: true, KeyScheduled: true,
		KeyScore: true, KeyMaxAge: true, KeyMinReplicas: true, KeyMaxReplicas: true, KeyTargetQueueDepth: true,
		KeyScaleUpThreshold: true, KeyScaleDownThreshold: true, KeyCooldownPeriod: true, KeyActivationQueueDepth: true,
		KeyPolicy: true, KeyWorkerConcurrency: true, KeyUtilizationTarget: true, KeyUtilizationScaleUp: true, KeyUtilizationScaleDown: true, KeyUtilizationWindow: true,
		KeyMaxScaleUpStep: true, KeyMaxScaleDownStep: true, KeyCurrentReplicas: true, KeyLastScaleTime: true,
	}
	for key := range known {
		assert.NotEqual(t, elsewhere[key], connecting[key], "%s belongs to exactly one of the two: does it say where to connect, or what to do with the depth?", key)
	}
}
