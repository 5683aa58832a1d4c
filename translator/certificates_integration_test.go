//go:build integration

package translator

import (
	"testing"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

// A renewed Secret with KEDA's certificates changes every ScaledObject once, by which KEDA
// connects anew, and neither a restart of the controller nor a Secret that can't be read
// does. The controller has no right to read any other Secret.
func TestRenewedCertificatesReachKEDA(t *testing.T) {
	t.Parallel()
	p := startPlaneWithKEDA(t)
	p.namespace(t, operatorNamespace)
	p.namespace(t, "keda")
	p.namespace(t, "shop")
	p.bindRoles(t)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "keda", Name: "operator-keda-tls"},
		Data: map[string][]byte{"ca.crt": []byte("authority"), "tls.crt": []byte("certificate"), "tls.key": []byte("key")}}
	require.NoError(t, p.Create(t.Context(), secret))
	p.allowSecret(t, secret)
	clock := clocktesting.NewFakeClock(time.Now())
	run := func() func() {
		return runController(t, p.userIn(t, controllerUser), holding{}, func(_ *manager.Options, o *Options) {
			o.Clock, o.KEDASecret = clock, types.NamespacedName{Namespace: "keda", Name: secret.Name}
			o.Scaler = build.ScalerRef{Address: "scaler.test:9090", TLS: true, AuthenticationRef: "scaler"}
		})
	}
	stop := run()
	channel := channeltest.Channel(channeltest.AutoScaled())
	channel.Namespace, channel.UID, channel.Generation = "shop", "", 0
	require.NoError(t, p.Create(t.Context(), channel))
	made := &kedav1alpha1.ScaledObject{}
	hash := func() string {
		if p.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: channel.Name}, made) != nil || len(made.Spec.Triggers) == 0 {
			return ""
		}
		return made.Spec.Triggers[0].Metadata[trigger.KeyCertificatesHash]
	}
	require.Eventually(t, func() bool { return hash() != "" }, soon, tick)
	first, generation := hash(), made.Generation

	secret.Data["tls.crt"] = []byte("renewed")
	require.NoError(t, p.Update(t.Context(), secret))
	require.Eventually(t, func() bool {
		clock.Step(certificatesInterval)
		return hash() != first
	}, soon, tick)
	second := hash()
	assert.Equal(t, generation+1, made.Generation)

	// Somebody else's words on the Secret change nothing, and a controller that starts without
	// the right to read it leaves what is there.
	stop()
	secret.Labels = map[string]string{"helm.sh/chart": "newer"}
	require.NoError(t, p.Update(t.Context(), secret))
	require.NoError(t, p.Delete(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "keda", Name: "keda-tls"}}))
	run()
	edited := channel.DeepCopy()
	edited.Spec.ChannelName = "others"
	require.NoError(t, p.Patch(t.Context(), edited, client.MergeFrom(channel)))
	require.Eventually(t, func() bool {
		clock.Step(certificatesInterval)
		return hash() != "" && made.Spec.Triggers[0].Metadata[trigger.KeyChannelName] == "others"
	}, soon, tick)
	assert.Equal(t, second, hash())
	assert.Equal(t, generation+2, made.Generation)
}

// allowSecret lets the controller get one Secret, as the chart does.
func (p *plane) allowSecret(t *testing.T, secret *corev1.Secret) {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: secret.Namespace, Name: "keda-tls"}
	require.NoError(t, p.Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{secret.Name}, Verbs: []string{"get"}},
	}}))
	require.NoError(t, p.Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: meta,
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: controllerUser}},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name}}))
}
