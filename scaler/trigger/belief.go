package trigger

import (
	"maps"
	"slices"
	"strings"
)

// Agrees tells whether what a caller sent is what stands in the ScaledObject, but for
// KEDA's own keys, and for keys that stand there with FromEnv: KEDA sends those with the value
// of the environment, and leaves out what the environment has not (KEDA 2.21,
// pkg/scalers/external_scaler.go, parseExternalScalerMetadata).
func Agrees(standing, sent map[string]string) bool {
	for key, value := range standing {
		if got, ok := sent[key]; !kedaKeys[key] && !isFromEnv(key) && (!ok || got != value) {
			return false
		}
	}
	for key := range sent {
		if _, ok := standing[key]; !ok && !kedaKeys[key] {
			return false
		}
	}
	return true
}

// Elsewhere returns the sorted keys by which a caller names another server, or other
// credentials, than stand in the ScaledObject.
func Elsewhere(standing, sent map[string]string) []string {
	var keys []string
	for key, value := range sent {
		own := strings.TrimSuffix(key, FromEnvSuffix)
		if stands, ok := standing[key]; connecting[own] && (!ok || stands != value && own == key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// Resolve is the metadata that stands in a ScaledObject, with the values that KEDA sent of
// the keys that stand there with FromEnv. What it did not send, the environment has not.
func Resolve(standing, sent map[string]string) map[string]string {
	keys := FromEnv(standing)
	if len(keys) == 0 {
		return standing
	}
	metadata := maps.Clone(standing)
	for _, key := range keys {
		if value, ok := sent[key]; ok {
			metadata[key] = value
		} else {
			delete(metadata, key)
		}
	}
	return metadata
}
