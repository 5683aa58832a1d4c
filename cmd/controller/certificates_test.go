package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The client that reads the Secrets knows by the same answers how far the controller's clock is from the API server's.
func TestTheAPIServersClockIsKnownByItsAnswers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(-3*time.Hour).UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"apiVersion":"v1","kind":"Secret","metadata":{"namespace":"system","name":"op-authority"}}`))
	}))
	t.Cleanup(server.Close)
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	direct, clock, err := datedClient(&rest.Config{Host: server.URL}, http.Client{}, client.Options{Scheme: clientgoscheme.Scheme, Mapper: mapper})
	require.NoError(t, err)
	_, known := clock.Skew()
	assert.False(t, known)
	require.NoError(t, direct.Get(t.Context(), client.ObjectKey{Namespace: "system", Name: "op-authority"}, &corev1.Secret{}))
	ahead, known := clock.Skew()
	assert.True(t, known)
	assert.InDelta(t, 3*time.Hour, ahead, float64(10*time.Minute))
}

// The names are those of the chart, now and before tls.mode.
func TestSecretsOfCertificates(t *testing.T) {
	o := options{
		kedaSecret: types.NamespacedName{Namespace: "keda", Name: "op-keda-cert"},
		issue:      issuing{prefix: "system/op", hosts: "a,b", kedaNames: "k", controllerNames: "c", names: "p"},
	}
	secrets := map[string]string{}
	for _, c := range o.certificates() {
		secrets[c.Secret.String()] = c.Former.String()
	}
	assert.Equal(t, map[string]string{
		"system/op-server-cert": "system/op-server-tls", "system/op-controller-cert": "system/op-controller-tls",
		"system/op-people-cert": "system/op-people-tls", "keda/op-keda-cert": "keda/op-keda-tls",
	}, secrets)
}
