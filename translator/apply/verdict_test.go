package apply

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

func TestProblemOf(t *testing.T) {
	kind, resource := schema.GroupKind{Group: "apps", Kind: "Deployment"}, schema.GroupResource{Group: "apps", Resource: "deployments"}
	for name, test := range map[string]struct {
		err    error
		reason string // empty: retry
	}{
		"none":               {nil, ""},
		"a known one":        {fmt.Errorf("wrapped: %w", ErrKEDANotInstalled), v1.ReasonKEDANotInstalled},
		"invalid":            {apierrors.NewInvalid(kind, "d", nil), v1.ReasonInvalidSpec},
		"bad request":        {apierrors.NewBadRequest("x"), v1.ReasonInvalidSpec},
		"denied":             {apierrors.NewForbidden(resource, "d", errors.New(`admission webhook "w" denied the request: no`)), v1.ReasonInvalidSpec},
		"a list's key twice": {fmt.Errorf("applying: %w", errors.New("failed to create typed patch object (shop/d; apps/v1, Kind=Deployment): .spec: duplicate entries for key [name=\"a\"]")), v1.ReasonInvalidSpec},
		"lacking permission": {apierrors.NewForbidden(resource, "d", errors.New("no RBAC")), v1.ReasonRefused},
		"a quota":            {fmt.Errorf("creating: %w", apierrors.NewForbidden(resource, "d", errors.New("exceeded quota: q"))), v1.ReasonRefused},
		"a webhook is down":  {apierrors.NewInternalError(errors.New(`failed calling webhook "w"`)), v1.ReasonRefused},
		"too slow":           {apierrors.NewTimeoutError("failed waiting for Informer to sync", 0), v1.ReasonRefused},
		"overloaded":         {apierrors.NewTooManyRequestsError("x"), ""},
		"starting":           {apierrors.NewForbidden(resource, "d", errors.New("not yet ready to handle request")), ""},
		"exists":             {apierrors.NewAlreadyExists(resource, "d"), ""},
		"conflict":           {apierrors.NewConflict(resource, "d", errors.New("x")), ""},
		"unreachable":        {errors.New("connection refused"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := problemOf(test.err)
			if test.reason == "" {
				assert.Nil(t, got)
				return
			}
			require.NotNil(t, got)
			assert.Equal(t, test.reason, got.Reason)
		})
	}
}

// All refusals are told, under the first one's name, and what may pass is kept apart.
func TestAssess(t *testing.T) {
	resource := schema.GroupResource{Group: "apps", Resource: "deployments"}
	refused := apierrors.NewForbidden(resource, "d", errors.New("exceeded quota: q"))
	conflict := apierrors.NewConflict(resource, "d", errors.New("x"))
	told, passing := Assess([]error{conflict, refused, ErrKEDANotInstalled})
	require.NotNil(t, told)
	assert.Equal(t, v1.ReasonRefused, told.Reason)
	assert.Equal(t, v1.PhaseFailed, told.Phase)
	assert.Contains(t, told.Message, "exceeded quota: q")
	assert.Contains(t, told.Message, ErrKEDANotInstalled.Message)
	assert.NotContains(t, ErrKEDANotInstalled.Message, "quota", "which all channels share")
	assert.True(t, Raced(passing))
	told, passing = Assess(nil)
	assert.Nil(t, told)
	assert.NoError(t, passing)
}
