//go:build integration

package documents

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// The commands by which the chart's README makes certificates of one's own, run as they are with openssl. kubectl is the real one,
// but for its --dry-run, so no cluster is needed. What they make is what the scaler and its clients take, and the Secrets are those
// that the next command installs with.
func TestTheCommandsForOnesOwnCertificates(t *testing.T) {
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	require.NotEmpty(t, assets, "it must name the folder of kubectl; run `make test`, which sets it")
	_, err := exec.LookPath("openssl")
	require.NoError(t, err, "install Debian's package openssl, or run `make test`, which does")
	text, err := os.ReadFile(filepath.Join(root, "charts/pubsub-operator/README.md"))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "```sh\n# Certificates of your own\n")
	require.True(t, found, "the README has no such block")
	script, rest, found := strings.Cut(rest, "\n```")
	require.True(t, found)

	programs, made := t.TempDir(), filepath.Join(t.TempDir(), "made.json")
	wrapper := fmt.Sprintf("#!/bin/sh\nexec '%s' \"$@\" --dry-run=client --output=json >> '%s'\n", filepath.Join(assets, "kubectl"), made)
	require.NoError(t, os.WriteFile(filepath.Join(programs, "kubectl"), []byte(wrapper), 0o700))
	command := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
	command.Env = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"), "TMPDIR="+t.TempDir(), "KUBECONFIG="+os.DevNull)
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))

	secrets := secretsIn(t, made)
	install, _, found := strings.Cut(rest[strings.Index(rest, "helm install"):], "\n```")
	require.True(t, found)
	for name, of := range map[string]struct{ namespace, value string }{
		"pubsub-operator-scaler":     {"pubsub-system", "Server"},
		"pubsub-operator-controller": {"pubsub-system", "Controller"},
		"pubsub-operator-people":     {"pubsub-system", "People"},
		"pubsub-operator-keda":       {"keda", "KEDA"},
	} {
		require.Contains(t, secrets, of.namespace+"/"+name)
		assert.Contains(t, install, fmt.Sprintf("--set tls.existing%sSecret=%s", of.value, name))
		data := secrets[of.namespace+"/"+name].Data
		pair, err := tls.X509KeyPair(data["tls.crt"], data["tls.key"])
		require.NoError(t, err, name)
		options := x509.VerifyOptions{Roots: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, CurrentTime: time.Now()}
		require.True(t, options.Roots.AppendCertsFromPEM(data["ca.crt"]), name)
		assert.Equal(t, secrets["keda/pubsub-operator-keda"].Data["ca.crt"], data["ca.crt"], "one CA for all")
		if of.value != "Server" {
			assert.Equal(t, name, pair.Leaf.Subject.CommonName, "the scaler knows its clients by it")
			_, err = pair.Leaf.Verify(options)
			assert.NoError(t, err, name)
			continue
		}
		options.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		for _, host := range []string{"pubsub-operator-scaler.pubsub-system.svc", "localhost", "127.0.0.1"} {
			options.DNSName = host
			_, err = pair.Leaf.Verify(options)
			assert.NoError(t, err, host)
		}
	}
}

// secretsIn are the Secrets that kubectl wrote to a file, by namespace/name.
func secretsIn(t *testing.T, file string) map[string]corev1.Secret {
	t.Helper()
	made, err := os.Open(file)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, made.Close()) })
	secrets := map[string]corev1.Secret{}
	for decoder := json.NewDecoder(made); ; {
		var secret corev1.Secret
		err := decoder.Decode(&secret)
		if errors.Is(err, io.EOF) {
			return secrets
		}
		require.NoError(t, err)
		secrets[secret.Namespace+"/"+secret.Name] = secret
	}
}
