package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
)

// Only the Secrets that ScaledObjects name are read, one by one: no list and no watch, so
// that the scaler can be given those of some namespaces alone.
//
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get

// secretReader reads Secrets from the API server, uncached.
type secretReader struct{ client client.Reader }

// newSecretReader has a client of its own: its requests wait for each other alone.
func newSecretReader(config *rest.Config) (*secretReader, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("building the scheme of Secrets: %w", err)
	}
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = 50, 100
	reader, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("building the client for Secrets: %w", err)
	}
	return &secretReader{client: reader}, nil
}

// Secret returns a Secret's data.
func (r *secretReader) Secret(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	secret := &corev1.Secret{}
	if err := r.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret); err != nil {
		if apierrors.IsForbidden(err) {
			return nil, fmt.Errorf("%w: %w", broker.ErrForbidden, err)
		}
		return nil, err // it names the Secret, and what is wrong
	}
	return secret.Data, nil
}
