//go:build e2e

package suite

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/client"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// securedRedis speaks TLS alone, and knows the users of an ACL file alone.
const securedRedis = `
apiVersion: v1
kind: Service
metadata: {name: vault}
spec:
  selector: {app: vault}
  ports: [{port: 6379}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: vault}
spec:
  replicas: 1
  strategy: {type: Recreate}
  selector: {matchLabels: {app: vault}}
  template:
    metadata: {labels: {app: vault}}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 1
      securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: redis
        image: %s
        command:
        - redis-server
        - --port
        - "0"
        - --tls-port
        - "6379"
        - --tls-cert-file
        - /etc/redis/tls.crt
        - --tls-key-file
        - /etc/redis/tls.key
        - --tls-ca-cert-file
        - /etc/redis/ca.crt
        - --tls-auth-clients
        - "no"
        - --aclfile
        - /etc/redis/users.acl
        - --save
        - ""
        - --dir
        - /
        ports: [{containerPort: 6379}]
        readinessProbe: {tcpSocket: {port: 6379}, periodSeconds: 1}
        resources: {requests: {cpu: 5m, memory: 16Mi}}
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
        volumeMounts: [{name: config, mountPath: /etc/redis, readOnly: true}]
      volumes: [{name: config, secret: {secretName: vault}}]
`

const (
	securedUsers   = "user default off\nuser admin on >admin-secret ~* &* +@all\nuser worker on >first-secret ~* &* +@all -@admin\n"
	firstPassword  = "first-secret"
	secondPassword = "second-secret"
)

// startSecuredRedis deploys it with certificates for its Service's names; it returns the
// certificate of the authority.
func (s *space) startSecuredRedis() (authority []byte) {
	s.t.Helper()
	host := "vault." + s.name + ".svc"
	chain, key, err := cert.GenerateSelfSignedCertKey(host, nil, []string{"vault"})
	require.NoError(s.t, err)
	for rest := chain; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		parsed, err := x509.ParseCertificate(block.Bytes)
		require.NoError(s.t, err)
		if parsed.IsCA {
			authority = pem.EncodeToMemory(block)
		}
	}
	require.NotEmpty(s.t, authority, "the chain ends with its authority")
	s.createSecret("vault", map[string][]byte{"tls.crt": chain, "tls.key": key, "ca.crt": authority, "users.acl": []byte(securedUsers)})
	require.NoError(s.t, s.apply(fmt.Sprintf(securedRedis, env.redisImage)))
	s.until(env.settling(), "Redis answers by TLS", func(ctx context.Context) error {
		_, err := s.trySecured(ctx, "PING")
		return err
	})
	return authority
}

func (s *space) createSecret(name string, data map[string][]byte) {
	s.t.Helper()
	require.NoError(s.t, env.client.Create(s.t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: name}, Data: data,
	}))
}

func (s *space) trySecured(ctx context.Context, args ...string) (string, error) {
	command := append([]string{"-n", s.name, "exec", "deployment/vault", "--", "redis-cli", "-e", "--tls", "--cacert", "/etc/redis/ca.crt",
		"--user", "admin", "--pass", "admin-secret", "--no-auth-warning"}, args...)
	out, err := run(ctx, "kubectl", command...)
	return strings.TrimSpace(out), err
}

func (s *space) secured(args ...string) string {
	s.t.Helper()
	out, err := s.trySecured(s.t.Context(), args...)
	require.NoError(s.t, err)
	return out
}

// A server with TLS and users: the scaler and the workers take CA, user and password from
// the Secrets that the channel names, and the scaler follows when the password changes.
func TestSecuredChannel(t *testing.T) {
	beside(t, usual)
	s := newSpace(t, "secured")
	authority := s.startSecuredRedis()
	s.createSecret("trust", map[string][]byte{"ca.crt": authority})
	s.createSecret("worker", map[string][]byte{"username": []byte("worker"), "password": []byte(firstPassword)})

	channel := newChannel("jobs")
	channel.Spec.RedisAddress = "vault:6379"
	channel.Spec.Queue = &pubsubv1.QueueSpec{Keys: []string{"jobs", "more-jobs"}}
	channel.Spec.Redis = &pubsubv1.RedisSpec{
		UsernameSecret: &pubsubv1.SecretKey{Name: "worker"},
		PasswordSecret: &pubsubv1.SecretKey{Name: "worker"},
		TLS:            &pubsubv1.RedisTLS{CASecret: &pubsubv1.SecretKey{Name: "trust"}},
	}
	setCooldown(channel, 4)
	setWorker(channel, pubsubv1.EnvQueueKeys, `["`+parked+`"]`)
	s.securedPush("jobs", 200)
	s.securedPush("more-jobs", 100)
	s.create(channel)
	// Nobody has let the scaler get this namespace's Secrets; its admin can, and need ask
	// nobody.
	s.until(env.settling(), "the Secret that the scaler may not get is told", func(ctx context.Context) error {
		return s.conditionIs(ctx, "jobs", pubsubv1.ConditionConnected, metav1.ConditionFalse, "FailedPrecondition")
	})
	s.kubectl("create", "rolebinding", "scaler-secrets", "--clusterrole", release+"-scaler-secrets",
		"--serviceaccount", systemNamespace+":"+release+"-scaler")
	replicas := s.settle(channel)
	s.untilDepth("jobs", 300)

	s.securedPush("more-jobs", 200)
	replicas.untilValues(env.reaction(), 3, 4)
	s.untilDepth("jobs", 500)

	s.logf("the password changes")
	s.secured("ACL", "SETUSER", "worker", "resetpass", ">"+secondPassword)
	s.secured("CLIENT", "KILL", "USER", "worker")
	s.until(env.settling(), "the wrong password is told", func(ctx context.Context) error {
		return s.conditionIs(ctx, "jobs", pubsubv1.ConditionConnected, metav1.ConditionFalse, "Unauthenticated")
	})
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"stringData":{"password":"`+secondPassword+`"}}`))
	require.NoError(t, env.client.Patch(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: "worker"}}, patch))
	s.securedPush("jobs", 50)
	s.untilDepth("jobs", 550)
	replicas.holds(4, 1, "while the password changed")

	s.logf("the workers consume both lists now, with the new password")
	s.edit("jobs", unpark)
	s.until(env.settling(), "both lists are empty", func(ctx context.Context) error {
		out, err := s.trySecured(ctx, "EXISTS", "jobs", "more-jobs")
		if err == nil && out != "0" {
			err = fmt.Errorf("%s of the lists are there", out)
		}
		return err
	})
}

// securedPush pushes messages in as few commands as an argument list holds.
func (s *space) securedPush(key string, messages int) {
	s.t.Helper()
	var batch bytes.Buffer
	for range messages {
		batch.WriteString("x ")
	}
	s.secured(append([]string{"RPUSH", key}, strings.Fields(batch.String())...)...)
}
