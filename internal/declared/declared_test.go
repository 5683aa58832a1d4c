package declared_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/internal/declared"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

func TestConstants(t *testing.T) {
	assert.Equal(t, map[string]policy.Action{"Hold": policy.Hold, "ScaleUp": policy.ScaleUp, "ScaleDown": policy.ScaleDown}, declared.Constants[policy.Action](t))
	assert.Equal(t, []v1.RedisMode{v1.RedisModeCluster, v1.RedisModeSentinel, v1.RedisModeStandalone}, declared.Values[v1.RedisMode](t))
}

func TestStrings(t *testing.T) {
	found := declared.Strings(t, "github.com/jawaracloud/pubsub-operator/api/v1", "Label")
	assert.Equal(t, map[string]string{"LabelApp": v1.LabelApp, "LabelChannel": v1.LabelChannel}, found)
}

func TestErrors(t *testing.T) {
	found := declared.Errors(t, "github.com/jawaracloud/pubsub-operator/scaler/queue")
	assert.Contains(t, found, "WrongTypeError")
	assert.NotContains(t, found, "Queue")
}
