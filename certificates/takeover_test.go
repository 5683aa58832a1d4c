package certificates

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jawaracloud/pubsub-operator/internal/certtest"
)

var (
	serverFormer = types.NamespacedName{Namespace: "system", Name: "op-server-tls"}
	clientFormer = types.NamespacedName{Namespace: "system", Name: "op-controller-tls"}
	kedaFormer   = types.NamespacedName{Namespace: "keda", Name: "op-keda-tls"}
)

// upgraded is an installation of an older chart, which made the certificates itself, after an upgrade: there
// are new Secrets, empty, beside those of before.
func upgraded(t *testing.T) (*installation, state) {
	in := install(t)
	old := certtest.New(t)
	before := state{
		serverName: old.Secret(old.Server("op-scaler.system.svc", "localhost", "127.0.0.1")),
		controller: old.Secret(old.Client("op-controller")),
		keda:       old.Secret(old.Client("op-keda")),
	}
	for i, former := range []types.NamespacedName{serverFormer, clientFormer, kedaFormer} {
		in.Certificates[i].Former = former
		require.NoError(t, in.Client.Create(t.Context(), &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: former.Namespace, Name: former.Name}, Type: corev1.SecretTypeTLS, Data: before[in.Certificates[i].Secret],
		}))
	}
	return in, before
}

// allTalk holds every stage against its neighbours: any two sides may be a stage apart.
func allTalk(t *testing.T, now time.Time, stages []state) {
	for i := range stages {
		for j := max(0, i-1); j < min(len(stages), i+2); j++ {
			for _, client := range []types.NamespacedName{controller, keda} {
				assert.NoError(t, handshake(t, now, stages[i][serverName], stages[j][client]), "server at stage %d, %s at %d", i, client, j)
			}
		}
	}
}

// Certificates that the chart made before there was a rotation stay until all trust the new
// authority: the scaler's and the clients' programs are restarted one by one meanwhile. The controller finds
// them itself, so it does not matter who upgraded, how often, and whether he could look into the cluster.
func TestCertificatesOfAnOlderChartAreTakenOver(t *testing.T) {
	in, before := upgraded(t)
	stages := []state{before}
	in.looks(0)
	stages = append(stages, in.state())
	assert.Equal(t, before[serverName]["tls.crt"], stages[1][serverName]["tls.crt"])
	assert.Equal(t, []string{"CertificatesTakenOver"}, in.reasons())
	for range 2 {
		in.looks(LeastSettle)
		stages = append(stages, in.state())
	}
	allTalk(t, in.clock.Now(), stages)
	for _, c := range in.Certificates {
		assert.Equal(t, 1, in.trusts(c.Secret))
		assert.NotEqual(t, "test CA", in.leaf(c.Secret).Issuer.CommonName)
	}
	in.writes.Store(0)
	in.looks(time.Hour)
	assert.Zero(t, in.writes.Load(), "all is done")
}

// Who still reads the former Secrets has the same as the others, at each stage: KEDA does until the next upgrade, and
// so do the scalers' pods of before, if the new ones can't start.
func TestFormerSecretsAreKeptTheSameWhileTheyAreThere(t *testing.T) {
	in, _ := upgraded(t)
	for _, after := range []time.Duration{0, LeastSettle, LeastSettle, 20 * day, 250 * day, LeastSettle, LeastSettle} {
		in.looks(after)
		for _, c := range in.Certificates {
			assert.Equal(t, in.get(c.Secret).Data, in.get(c.Former).Data, "%s after %s", c.Former, after)
			assert.Equal(t, corev1.SecretTypeTLS, in.get(c.Former).Type)
		}
	}
	for _, c := range in.Certificates {
		require.NoError(t, in.Client.Delete(t.Context(), in.get(c.Former)))
	}
	before := in.state()
	in.looks(interval)
	assert.Equal(t, before, in.state(), "the next upgrade deletes them, and nothing changes")
}

// A look that was cut off after the authority was written takes over all the same.
func TestATakeoverThatWasCutOffIsFinished(t *testing.T) {
	in, before := upgraded(t)
	in.refuse = func(name string) error {
		if name == authorityName.Name {
			return nil
		}
		return errors.New("no")
	}
	require.ErrorContains(t, in.look(t.Context()), "no")
	in.refuse = func(string) error { return nil }
	in.looks(interval)
	for name, data := range before {
		assert.Equal(t, data["tls.crt"], in.get(name).Data["tls.crt"], name)
		assert.Equal(t, 2, in.trusts(name))
	}
}

// A stage waits for the former Secrets, too.
func TestAStageWaitsForAFormerSecret(t *testing.T) {
	in, _ := upgraded(t)
	in.refuse = func(name string) error {
		if name == kedaFormer.Name {
			return errors.New("no")
		}
		return nil
	}
	for range 5 {
		in.clock.Step(LeastSettle)
		assert.ErrorContains(t, in.look(t.Context()), "writing Secret keda/op-keda-tls: no")
	}
	assert.Equal(t, "test CA", in.leaf(serverName).Issuer.CommonName)
}

// KEDA is told by its Secret that it is to read the former one again. So that one never has something new before the former one has, also
// where that could not be written at first.
func TestASecretIsNotAheadOfItsFormerOne(t *testing.T) {
	in, _ := upgraded(t)
	for _, after := range []time.Duration{0, LeastSettle, LeastSettle, 20 * day} {
		in.refuse = func(name string) error {
			if name == kedaFormer.Name {
				return apierrors.NewConflict(schema.GroupResource{Resource: "secrets"}, name, errors.New("changed"))
			}
			return nil
		}
		in.clock.Step(after)
		require.ErrorContains(t, in.look(t.Context()), "writing Secret keda/op-keda-tls")
		if after != 0 {
			assert.Equal(t, in.get(kedaFormer).Data, in.get(keda).Data, after)
		}
		in.refuse = func(string) error { return nil }
		in.looks(interval)
		assert.Equal(t, in.get(kedaFormer).Data, in.get(keda).Data, after)
	}
}

// A former Secret that can never be written holds up a stage, but no renewal.
func TestAFormerSecretThatIsImmutableStopsNoRenewal(t *testing.T) {
	in, _ := upgraded(t)
	in.looks(0)
	in.looks(LeastSettle)
	in.looks(LeastSettle)
	before := in.leaf(keda)
	in.refuse = func(name string) error {
		if name == kedaFormer.Name {
			return apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, name, nil)
		}
		return nil
	}
	in.clock.Step(20 * day)
	require.ErrorContains(t, in.look(t.Context()), "writing Secret keda/op-keda-tls")
	assert.NotEqual(t, before, in.leaf(keda))
}

// helm rollback to the chart that made the certificates writes these back, and deletes the controller's own Secrets at its end. A look
// in between must not put anything of this version among them.
func TestARollbackKeepsTheCertificatesOfBefore(t *testing.T) {
	in, before := upgraded(t)
	in.looks(0)
	in.looks(LeastSettle)
	in.looks(LeastSettle)
	for _, c := range in.Certificates {
		in.change(c.Former, func(s *corev1.Secret) { s.Data = before[c.Secret] })
		in.looks(interval)
	}
	for _, c := range in.Certificates {
		require.NoError(t, in.Client.Delete(t.Context(), in.get(c.Secret)))
	}
	in.clock.Step(time.Hour) // until the controller of this version has ended
	_ = in.look(t.Context())
	for _, c := range in.Certificates {
		assert.Equal(t, before[c.Secret], state{c.Secret: in.get(c.Former).Data}[c.Secret], c.Former)
	}
}

// Where the Secrets of this version stay, the former ones are made the same again: after a rollback to it, for one, KEDA reads them.
func TestAFormerSecretThatOthersChangedIsKeptTheSameAgain(t *testing.T) {
	in, before := upgraded(t)
	in.looks(0)
	in.looks(LeastSettle)
	in.looks(LeastSettle)
	in.change(authorityName, func(s *corev1.Secret) { s.Annotations[AnnotationRotate] = "now" })
	in.looks(interval)
	for range 2 {
		in.change(kedaFormer, func(s *corev1.Secret) { s.Data = before[keda] })
		in.looks(interval)
		in.looks(time.Minute - time.Second)
		assert.Equal(t, before[keda], in.get(kedaFormer).Data)
		in.looks(time.Second)
		assert.Equal(t, in.get(keda).Data, in.get(kedaFormer).Data)
	}
	assert.Equal(t, 2, in.trusts(keda), "the stage has waited for it")
	in.looks(LeastSettle)
	in.looks(LeastSettle)
	assert.Equal(t, 1, in.trusts(keda))
	assert.Equal(t, in.get(keda).Data, in.get(kedaFormer).Data)
}

// Not to know whether there is a former Secret is no reason to take there to be none.
func TestAFormerSecretThatMayNotBeReadHoldsAll(t *testing.T) {
	in, _ := upgraded(t)
	in.hide = func(name string) error {
		if name != kedaFormer.Name {
			return nil
		}
		return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, name, errors.New("no role"))
	}
	err := in.look(t.Context())
	assert.ErrorContains(t, err, "reading Secret keda/op-keda-tls")
	assert.ErrorContains(t, err, "run helm upgrade")
	assert.Empty(t, in.get(authorityName).Data)

	may := in.hide
	in.hide = func(string) error { return nil }
	in.looks(interval)
	in.looks(LeastSettle)
	in.looks(LeastSettle)
	before := in.leaf(keda)
	in.hide = may
	in.clock.Step(20 * day)
	assert.ErrorContains(t, in.look(t.Context()), "reading Secret keda/op-keda-tls")
	assert.NotEqual(t, before, in.leaf(keda), "what is known is renewed all the same")
}

// Faults of several Secrets are told once, too: in the same order each time.
func TestSeveralFaultsAreToldOnce(t *testing.T) {
	in, _ := upgraded(t)
	in.refuse = func(name string) error {
		if name == authorityName.Name {
			return nil
		}
		return errors.New("no")
	}
	for range 20 {
		in.tell(t.Context(), in.look(t.Context()))
	}
	assert.Equal(t, []string{"CertificatesTakenOver", "CertificatesNotRenewed"}, in.reasons())
}

// One Secret that can't be used gets a certificate of the new authority, and parts none of the others, who
// have theirs until all trust the new one.
func TestAnUnusableCertificatePartsNoOthers(t *testing.T) {
	for name, spoil := range map[string]func(*corev1.Secret){
		"empty":       func(s *corev1.Secret) { s.Data = nil },
		"without key": func(s *corev1.Secret) { delete(s.Data, "tls.key") },
		"no PEM":      func(s *corev1.Secret) { s.Data["tls.crt"] = []byte("x") },
		"of another":  func(s *corev1.Secret) { s.Data["ca.crt"] = certtest.New(t).PEM },
	} {
		t.Run(name, func(t *testing.T) {
			in := install(t)
			in.looks(0)
			before := in.state()
			in.change(authorityName, func(s *corev1.Secret) { s.Data, s.Annotations = nil, nil }) // lost, too
			in.change(controller, spoil)
			stages := []state{before}
			in.looks(interval)
			stages = append(stages, in.state())
			assert.Equal(t, before[keda]["tls.crt"], stages[1][keda]["tls.crt"])
			assert.Equal(t, before[serverName]["tls.crt"], stages[1][serverName]["tls.crt"])
			for range 2 {
				in.looks(LeastSettle)
				stages = append(stages, in.state())
			}
			for i := range stages {
				for j := max(0, i-1); j < min(len(stages), i+2); j++ {
					assert.NoError(t, handshake(t, in.clock.Now(), stages[i][serverName], stages[j][keda]), "server at stage %d, KEDA at %d", i, j)
				}
			}
			assert.NoError(t, handshake(t, in.clock.Now(), stages[1][serverName], stages[1][controller]), "the one that got a new certificate")
			assert.Equal(t, 1, in.trusts(controller))
		})
	}
}

// A server's certificate without a host that is new stays, too: the hosts that are in use are in it.
func TestATakenOverCertificateStaysWithoutANewHost(t *testing.T) {
	in, before := upgraded(t)
	in.Certificates[0].Hosts = append(in.Certificates[0].Hosts, "scaler.example")
	in.looks(0)
	assert.Equal(t, before[serverName]["tls.crt"], in.get(serverName).Data["tls.crt"])
	in.looks(LeastSettle)
	assert.NoError(t, in.leaf(serverName).VerifyHostname("scaler.example"))
}

// A Secret of a former one's name may be somebody else's, who would lose what it holds.
func TestASecretOfSomebodyElseIsLeftAlone(t *testing.T) {
	in, before := upgraded(t)
	for i, c := range in.Certificates {
		in.change(c.Secret, func(s *corev1.Secret) { s.Labels = map[string]string{labelChart: "pubsub-operator"} })
		in.change(c.Former, func(s *corev1.Secret) {
			if i > 0 { // one of the chart's, and one that cert-manager made for the chart
				s.Labels, s.Annotations = map[string]string{labelChart: "pubsub-operator"}, nil
			}
			if i > 1 {
				s.Labels, s.Annotations = nil, map[string]string{annotationCertManager: c.Former.Name}
			}
		})
	}
	in.looks(0)
	assert.Equal(t, before[serverName], in.get(serverFormer).Data, "somebody else's")
	assert.NotEqual(t, before[serverName]["tls.crt"], in.get(serverName).Data["tls.crt"])
	assert.Equal(t, before[controller]["tls.crt"], in.get(controller).Data["tls.crt"])
	assert.Equal(t, before[keda]["tls.crt"], in.get(keda).Data["tls.crt"])
}
