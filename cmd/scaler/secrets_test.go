package main

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
)

// The broker tells a right that is missing from a Secret that is.
func TestSecretsThatCannotBeRead(t *testing.T) {
	objects := fake.NewClientBuilder().WithObjects(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "auth"}, Data: map[string][]byte{"password": []byte("x")},
	}).WithInterceptorFuncs(interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
		if key.Namespace == "locked" {
			return apierrors.NewForbidden(corev1.Resource("secrets"), key.Name, errors.New("no rule"))
		}
		return c.Get(ctx, key, object, options...)
	}}).Build()
	reader := &secretReader{client: objects}
	data, err := reader.Secret(t.Context(), "shop", "auth")
	require.NoError(t, err)
	assert.Equal(t, "x", string(data["password"]))
	_, err = reader.Secret(t.Context(), "shop", "other")
	assert.True(t, apierrors.IsNotFound(err), "%v", err)
	assert.NotErrorIs(t, err, broker.ErrForbidden)
	_, err = reader.Secret(t.Context(), "locked", "auth")
	assert.ErrorIs(t, err, broker.ErrForbidden)
	assert.True(t, apierrors.IsForbidden(err), "%v", err)
}
