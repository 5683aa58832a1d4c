//go:build e2e

package suite

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/internal/certtest"
)

// profile is a way to install the chart that users choose. The defaults are in every other
// test.
type profile struct {
	name    string
	values  []string
	prepare func(s *space)
	check   func(s *space)
}

var profiles = []profile{
	{name: "disabled", values: []string{"tls.mode=disabled"}, check: func(s *space) {
		_, err := run(s.t.Context(), "kubectl", "get", "clustertriggerauthentication", release)
		assert.ErrorContains(s.t, err, "not found")
	}},
	{name: "one replica", values: []string{"scaler.replicas=1", "controller.replicas=1"}, check: func(s *space) {
		out, err := run(s.t.Context(), "kubectl", "-n", systemNamespace, "get", "deployments", "-o", "jsonpath={.items[*].spec.replicas}")
		require.NoError(s.t, err)
		assert.Equal(s.t, "1 1", out)
	}},
	{name: "provided", values: []string{
		"tls.mode=provided", "tls.existingServerSecret=pubsub-operator-scaler", "tls.existingControllerSecret=pubsub-operator-controller",
		"tls.existingKEDASecret=pubsub-operator-keda", "tls.existingPeopleSecret=pubsub-operator-people",
	}, prepare: func(s *space) {
		s.t.Cleanup(func() {
			for _, secret := range []string{"scaler", "controller", "people", "keda"} {
				for _, namespace := range []string{systemNamespace, env.kedaNamespace} {
					_, err := run(context.Background(), "kubectl", "-n", namespace, "delete", "secret", "--ignore-not-found", "pubsub-operator-"+secret)
					assert.NoError(s.t, err)
				}
			}
		})
		authority := certtest.New(s.t)
		s.keep(systemNamespace, "scaler", authority.Secret(authority.Server(release+"-scaler."+systemNamespace+".svc", "localhost", "127.0.0.1")))
		s.keep(systemNamespace, "controller", authority.Secret(authority.Client(release+"-controller")))
		s.keep(systemNamespace, "people", authority.Secret(authority.Client(release+"-people")))
		s.keep(env.kedaNamespace, "keda", authority.Secret(authority.Client(release+"-keda")))
	}, check: func(s *space) {
		out, err := run(s.t.Context(), "kubectl", "-n", systemNamespace, "get", "secrets", "-o", "name")
		require.NoError(s.t, err)
		assert.NotContains(s.t, out, "-cert", "none that the chart makes")
	}},
}

// Each profile is installed over the one before, and scales a channel: KEDA reaches the scaler,
// and so does the controller.
func TestInstallProfiles(t *testing.T) {
	disturb(t, exchangesForGood, operator, scalers)
	t.Cleanup(env.installation.leave)
	for _, p := range profiles {
		t.Run(p.name, func(t *testing.T) {
			s := newSpaceWithRedis(t, "profile-"+strings.ReplaceAll(p.name, " ", "-"))
			if p.prepare != nil {
				p.prepare(s)
			}
			require.NoError(t, install(t.Context(), p.values...))
			if p.check != nil {
				p.check(s)
			}
			s.scalesOnce(strings.ReplaceAll(p.name, " ", "-"))
		})
	}
}

// Two renders are the same to the byte, which keeps GitOps tools in sync, and neither an upgrade
// nor what the controller writes into the Secrets undoes the other's.
func TestUpgradesChangeNoCertificate(t *testing.T) {
	disturb(t, exchanges, operator, scalers)
	s := &space{t: t, started: time.Now()}
	render := func() string {
		out, err := run(t.Context(), "helm", "template", release, "../../charts/pubsub-operator", "--namespace", systemNamespace, "--kube-version", "1.36.0")
		require.NoError(t, err)
		return out
	}
	first := render()
	assert.Equal(t, first, render())
	owners := map[string]string{"server": systemNamespace, "controller": systemNamespace, "people": systemNamespace, "keda": env.kedaNamespace}
	before := map[string]*x509.Certificate{}
	for owner, namespace := range owners {
		before[owner] = s.certificate(owner, namespace)
	}
	require.NoError(t, install(t.Context(), "commonLabels.upgraded=yes"))
	require.NoError(t, install(t.Context()))
	for owner, namespace := range owners {
		assert.Equal(t, before[owner].SerialNumber, s.certificate(owner, namespace).SerialNumber, owner)
		assert.Equal(t, 1, s.trusted(owner, namespace), owner)
	}
}

// scalesOnce has a channel wake from 0 and shrink no more, because its messages stay.
func (s *space) scalesOnce(name string) {
	s.refusePods()
	channel := newChannel(name)
	channel.Spec.Replicas = ptr.To[int32](0)
	channel.Spec.Queue = &pubsubv1.QueueSpec{Type: pubsubv1.QueueTypeList}
	channel.Spec.AutoScaling.MinReplicas = ptr.To[int32](0)
	s.create(channel)
	s.until(env.settling(), "the controller has the depth from the scaler", func(ctx context.Context) error {
		return s.conditionIs(ctx, name, pubsubv1.ConditionConnected, "True", "QueueRead")
	})
	s.push(name, 250)
	s.until(env.settling(), "KEDA scales by the scaler's answers", func(ctx context.Context) error {
		wanted, _, err := s.replicasOf(ctx, deploymentOf(channel))
		if err == nil && wanted < 2 {
			err = fmt.Errorf("%d replicas", wanted)
		}
		return err
	})
}

// keep makes a Secret with certificates of one's own.
func (s *space) keep(namespace, owner string, data map[string][]byte) {
	s.t.Helper()
	require.NoError(s.t, env.client.Create(s.t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: release + "-" + owner}, Type: corev1.SecretTypeTLS, Data: data,
	}))
}
