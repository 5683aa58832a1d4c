package apply

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// The words are those of KEDA 2.21's webhook on a cluster.
func TestAlreadyScaled(t *testing.T) {
	const webhook = `admission webhook "vscaledobject.kb.io" denied the request: `
	for name, test := range map[string]struct {
		words, reason string
		told          []string
	}{
		"by an HPA": {
			"the workload 'orders-subscriber' of type 'apps/v1.Deployment' is already managed by the hpa 'mine'", v1.ReasonHPAConflict,
			[]string{"managed by the hpa 'mine'", "spec.autoScaling.hpaName", "scaledobject.keda.sh/transfer-hpa-ownership"},
		},
		"by an HPA of another name": {
			"the existing hpa 'mine' for workload 'orders-subscriber' of type 'apps/v1.Deployment' must be specified by name in advanced settings to enable ownership transfer",
			v1.ReasonHPAConflict, []string{"the existing hpa 'mine'", "spec.autoScaling.hpaName"},
		},
		"by a ScaledObject": {
			"the workload 'orders-subscriber' of type 'apps/v1.Deployment' is already managed by the ScaledObject 'other'", v1.ReasonScaledObjectConflict,
			[]string{"managed by the ScaledObject 'other'", "delete that one"},
		},
		"something else": {"the scaledobject has a cpu trigger but the container subscriber doesn't have the cpu request defined", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			refusal := apierrors.NewForbidden(schema.GroupResource{Group: "keda.sh", Resource: "scaledobjects"}, "orders", errors.New(webhook+test.words))
			err := alreadyScaled(refusal)
			if test.reason == "" {
				assert.NoError(t, err)
				return
			}
			p := problemOf(err)
			require.NotNil(t, p)
			assert.Equal(t, test.reason, p.Reason)
			assert.NotContains(t, p.Message, "denied the request")
			for _, words := range test.told {
				assert.Contains(t, p.Message, words)
			}
		})
	}
}
