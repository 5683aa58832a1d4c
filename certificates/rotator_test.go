package certificates

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

var (
	authorityName = types.NamespacedName{Namespace: "system", Name: "op-authority"}
	serverName    = types.NamespacedName{Namespace: "system", Name: "op-server-cert"}
	controller    = types.NamespacedName{Namespace: "system", Name: "op-controller-cert"}
	keda          = types.NamespacedName{Namespace: "keda", Name: "op-keda-cert"}
)

const day = 24 * time.Hour

// installation is a Rotator, and the cluster that it works on.
type installation struct {
	*Rotator
	t      *testing.T
	clock  *clocktesting.FakeClock
	events *events.FakeRecorder
	writes atomic.Int64            // Start's goroutine writes beside the test's
	refuse func(name string) error // a write
	hide   func(name string) error // a read
	ahead  time.Duration           // of the controller's clock
}

// inStep is a Skew of none.
func inStep() (time.Duration, bool) { return 0, true }

// install has empty Secrets, as the chart makes them.
func install(t *testing.T, without ...types.NamespacedName) *installation {
	clock := clocktesting.NewFakeClock(time.Now().Truncate(time.Second))
	in := &installation{t: t, clock: clock, events: events.NewFakeRecorder(100), refuse: func(string) error { return nil }, hide: func(string) error { return nil }}
	builder := fake.NewClientBuilder()
	for _, name := range []types.NamespacedName{authorityName, serverName, controller, keda} {
		if len(without) == 0 || name != without[0] {
			builder.WithObjects(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name}})
		}
	}
	builder.WithInterceptorFuncs(interceptor.Funcs{Update: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.UpdateOption) error {
		if err := in.refuse(object.GetName()); err != nil {
			return err
		}
		in.writes.Add(1)
		return c.Update(ctx, object, options...)
	}, Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
		if err := in.hide(key.Name); err != nil {
			return err
		}
		return c.Get(ctx, key, object, options...)
	}})
	in.Rotator = &Rotator{
		Client: builder.Build(), Authority: authorityName, Settle: LeastSettle, Clock: clock, Recorder: in.events, Log: logr.Discard(),
		Skew: func() (time.Duration, bool) { return in.ahead, true },
		Certificates: []Certificate{
			{Secret: serverName, Names: []string{"op-scaler.system.svc"}, Hosts: []string{"op-scaler.system.svc", "localhost", "127.0.0.1"}},
			{Secret: controller, Names: []string{"op-controller"}},
			{Secret: keda, Names: []string{"op-keda", "other-keda"}, Optional: true},
		},
	}
	require.NoError(t, in.Check())
	return in
}

func (in *installation) get(name types.NamespacedName) *corev1.Secret {
	secret := &corev1.Secret{}
	require.NoError(in.t, in.Client.Get(in.t.Context(), name, secret))
	return secret
}

func (in *installation) change(name types.NamespacedName, do func(*corev1.Secret)) {
	secret := in.get(name)
	do(secret)
	require.NoError(in.t, in.Client.Update(in.t.Context(), secret))
}

func (in *installation) leaf(name types.NamespacedName) *x509.Certificate {
	block, _ := pem.Decode(in.get(name).Data["tls.crt"])
	require.NotNil(in.t, block, "%s has no certificate", name)
	leaf, err := x509.ParseCertificate(block.Bytes)
	require.NoError(in.t, err)
	return leaf
}

func (in *installation) looks(after time.Duration) {
	in.clock.Step(after)
	require.NoError(in.t, in.look(in.t.Context()))
}

// trusts is how many authorities a side trusts.
func (in *installation) trusts(name types.NamespacedName) (count int) {
	each(in.get(name).Data["ca.crt"], func([]byte, *x509.Certificate) { count++ })
	return count
}

func (in *installation) reasons() (reasons []string) {
	for {
		select {
		case event := <-in.events.Events:
			var kind, reason string
			_, err := fmt.Sscan(event, &kind, &reason)
			require.NoError(in.t, err)
			reasons = append(reasons, reason)
		default:
			return reasons
		}
	}
}

// state is what every Secret holds at one time.
type state map[types.NamespacedName]map[string][]byte

func (in *installation) state() state {
	all := state{}
	for _, c := range in.Certificates {
		all[c.Secret] = in.get(c.Secret).Data
	}
	return all
}

// handshake connects a client to the server, each with what a Secret held at its time.
func handshake(t *testing.T, now time.Time, server, client map[string][]byte) error {
	side := func(data map[string][]byte) (tls.Certificate, *x509.CertPool) {
		pair, err := tls.X509KeyPair(data["tls.crt"], data["tls.key"])
		require.NoError(t, err)
		pool := x509.NewCertPool()
		require.True(t, pool.AppendCertsFromPEM(data["ca.crt"]))
		return pair, pool
	}
	ours, clients := side(server)
	theirs, servers := side(client)
	near, far := net.Pipe()
	deadline := time.Now().Add(30 * time.Second)
	require.NoError(t, errors.Join(near.SetDeadline(deadline), far.SetDeadline(deadline)))
	answered := make(chan error, 1)
	go func() {
		connection := tls.Server(near, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{ours}, ClientCAs: clients,
			ClientAuth: tls.RequireAndVerifyClientCert, Time: func() time.Time { return now }, SessionTicketsDisabled: true})
		err := connection.Handshake()
		answered <- errors.Join(err, near.Close())
	}()
	err := tls.Client(far, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{theirs}, RootCAs: servers,
		ServerName: "op-scaler.system.svc", Time: func() time.Time { return now }}).Handshake()
	_ = far.Close() // the server's error counts, too
	return errors.Join(err, <-answered)
}

func TestFirstCertificates(t *testing.T) {
	in := install(t)
	in.looks(0)
	for _, c := range in.Certificates {
		leaf := in.leaf(c.Secret)
		assert.Equal(t, c.Names[0], leaf.Subject.CommonName)
		assert.LessOrEqual(t, leaf.NotAfter.Sub(in.clock.Now()), 30*day)
		assert.True(t, verifies(in.get(c.Secret).Data, in.clock.Now()))
		assert.Equal(t, 1, in.trusts(c.Secret))
		assert.NotContains(t, in.get(c.Secret).Data, "next.key")
	}
	for _, host := range in.Certificates[0].Hosts {
		assert.NoError(t, in.leaf(serverName).VerifyHostname(host))
	}
	assert.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, in.leaf(serverName).ExtKeyUsage)
	assert.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, in.leaf(keda).ExtKeyUsage)
	assert.ElementsMatch(t, []string{"AuthorityMade", "CertificateIssued", "CertificateIssued", "CertificateIssued"}, in.reasons())

	in.writes.Store(0)
	for range 10 {
		in.looks(day)
	}
	assert.Zero(t, in.writes.Load(), "nothing is due")
	assert.Empty(t, in.reasons())
}

func TestCertificatesAreRenewedAfterTwoThirds(t *testing.T) {
	in := install(t)
	in.looks(0)
	before := in.state()
	in.looks(19 * day)
	assert.Equal(t, before, in.state())
	in.looks(day)
	after := in.state()
	for name := range before {
		assert.NotEqual(t, before[name]["tls.crt"], after[name]["tls.crt"], name)
		assert.Equal(t, before[name]["ca.crt"], after[name]["ca.crt"], name)
	}
	assert.NoError(t, handshake(t, in.clock.Now(), before[serverName], after[keda]), "the old ones are valid for ten more days")
	assert.NoError(t, handshake(t, in.clock.Now(), after[serverName], before[keda]))
}

// During a rotation each side may be a stage behind the other: it never matters.
func TestARotationNeverParts(t *testing.T) {
	in := install(t)
	in.looks(0)
	in.reasons()
	first := in.state()
	in.change(authorityName, func(s *corev1.Secret) { s.Annotations[AnnotationRotate] = "now" })
	stages := []state{first}
	in.looks(interval)
	stages = append(stages, in.state())
	for range 2 {
		in.looks(LeastSettle - time.Second)
		assert.Equal(t, stages[len(stages)-1], in.state(), "not before all have it")
		in.looks(time.Second)
		stages = append(stages, in.state())
	}
	for i := range stages {
		for j := max(0, i-1); j < min(len(stages), i+2); j++ {
			for _, client := range []types.NamespacedName{controller, keda} {
				assert.NoError(t, handshake(t, in.clock.Now(), stages[i][serverName], stages[j][client]), "server at stage %d, %s at %d", i, client, j)
			}
		}
	}
	assert.Error(t, handshake(t, in.clock.Now(), stages[3][serverName], first[keda]), "the authority of before is trusted no more")
	assert.Error(t, handshake(t, in.clock.Now(), first[serverName], stages[3][keda]))
	var reasons []string
	for _, reason := range in.reasons() {
		if reason != "CertificateIssued" {
			reasons = append(reasons, reason)
		}
	}
	assert.Equal(t, []string{"AuthorityAnnounced", "AuthorityInUse", "AuthorityRetired"}, reasons)

	in.writes.Store(0)
	in.looks(time.Hour)
	assert.Zero(t, in.writes.Load(), "the annotation was heeded once")
	assert.Equal(t, 1, in.trusts(serverName))
}

func TestTheAuthorityIsRenewedAfterTwoThirds(t *testing.T) {
	in := install(t)
	in.looks(0)
	root := func() string { return in.leaf(serverName).Issuer.CommonName }
	first := root()
	for range 12 {
		in.looks(20 * day)
	}
	assert.Equal(t, first, root())
	assert.Equal(t, 1, in.trusts(serverName))
	in.looks(4 * day)
	assert.Equal(t, 2, in.trusts(serverName))
	in.looks(LeastSettle)
	assert.NotEqual(t, first, root())
	in.looks(LeastSettle)
	assert.Equal(t, 1, in.trusts(serverName))
}

// A look that is cut off anywhere is finished by a later one, and a stage lasts from when all
// Secrets are as it wants them.
func TestAStageWaitsForEverySecret(t *testing.T) {
	in := install(t)
	in.looks(0)
	in.change(authorityName, func(s *corev1.Secret) { s.Annotations[AnnotationRotate] = "now" })
	in.refuse = func(name string) error {
		if name == keda.Name {
			return errors.New("no")
		}
		return nil
	}
	for range 20 {
		in.clock.Step(time.Minute)
		assert.ErrorContains(t, in.look(t.Context()), "writing Secret keda/op-keda-cert: no")
	}
	assert.Equal(t, 1, in.trusts(keda))
	assert.Equal(t, 2, in.trusts(serverName))
	old := in.leaf(serverName).Issuer.CommonName

	in.refuse = func(string) error { return nil }
	in.looks(interval)
	assert.Equal(t, 2, in.trusts(keda))
	in.looks(LeastSettle - time.Second)
	assert.Equal(t, old, in.leaf(serverName).Issuer.CommonName)
	in.looks(time.Second)
	assert.NotEqual(t, old, in.leaf(serverName).Issuer.CommonName)
}

// The authority's Secret may get lost: what is in use stays until all trust another one.
func TestALostAuthorityPartsNobody(t *testing.T) {
	in := install(t)
	in.looks(0)
	first := in.state()
	in.change(authorityName, func(s *corev1.Secret) { s.Data, s.Annotations = nil, nil })
	in.looks(interval)
	second := in.state()
	assert.NoError(t, handshake(t, in.clock.Now(), second[serverName], first[keda]))
	assert.NoError(t, handshake(t, in.clock.Now(), first[serverName], second[keda]))
	assert.Equal(t, first[serverName]["tls.crt"], second[serverName]["tls.crt"])
	assert.Equal(t, 2, in.trusts(serverName))
}

func TestABrokenCertificateIsReplaced(t *testing.T) {
	for name, spoil := range map[string]func(*corev1.Secret){
		"emptied":        func(s *corev1.Secret) { s.Data = nil },
		"without key":    func(s *corev1.Secret) { delete(s.Data, "tls.key") },
		"no PEM":         func(s *corev1.Secret) { s.Data["tls.crt"] = []byte("x") },
		"no CA":          func(s *corev1.Secret) { s.Data["ca.crt"] = nil },
		"something more": func(s *corev1.Secret) { s.Data["more"] = []byte("x") },
	} {
		t.Run(name, func(t *testing.T) {
			in := install(t)
			in.looks(0)
			in.change(keda, spoil)
			in.looks(interval)
			data := in.get(keda).Data
			assert.True(t, verifies(data, in.clock.Now()))
			assert.Len(t, data, 3)
		})
	}
}

func TestNamesThatAreStillKnownStay(t *testing.T) {
	in := install(t)
	in.looks(0)
	before := in.state()
	in.Certificates[2].Names = []string{"new-keda", "op-keda"}
	in.looks(interval)
	assert.Equal(t, before, in.state())
	in.Certificates[2].Names = []string{"new-keda"}
	in.Certificates[0].Hosts = append(in.Certificates[0].Hosts, "scaler.example")
	in.looks(interval)
	assert.Equal(t, "new-keda", in.leaf(keda).Subject.CommonName)
	assert.NoError(t, in.leaf(serverName).VerifyHostname("scaler.example"))
	assert.Equal(t, before[controller], in.state()[controller])
}

func TestMissingSecrets(t *testing.T) {
	in := install(t, keda)
	in.looks(0)
	assert.NotEmpty(t, in.get(serverName).Data, "KEDA may come later")
	require.NoError(t, in.Client.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: keda.Namespace, Name: keda.Name}}))
	in.looks(interval)
	assert.True(t, verifies(in.get(keda).Data, in.clock.Now()))

	in = install(t, controller)
	assert.ErrorContains(t, in.look(t.Context()), "reading Secret system/op-controller-cert")
	assert.Empty(t, in.get(authorityName).Data, "nothing is made that part of the sides lack")

	in = install(t)
	in.looks(0)
	require.NoError(t, in.Client.Delete(t.Context(), in.get(controller)))
	before := in.leaf(keda)
	in.clock.Step(20 * day)
	err := in.look(t.Context())
	assert.ErrorContains(t, err, "the chart makes it, and lets the controller get and update it: run helm upgrade")
	assert.NotEqual(t, before, in.leaf(keda), "the others are renewed all the same")
}

// KEDA's Secret may not be there yet, and then nobody may read it. A right that was there and is taken away
// holds a rotation: it would part KEDA.
func TestARightThatIsTakenAwayHoldsARotation(t *testing.T) {
	forbidden := func(name string) error {
		if name != keda.Name {
			return nil
		}
		return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, name, errors.New("no role"))
	}
	in := install(t)
	in.hide = forbidden
	in.looks(0)
	in.looks(time.Minute)
	in.hide = func(string) error { return nil }
	in.looks(time.Minute)
	assert.Equal(t, 1, in.trusts(keda))

	in.change(authorityName, func(s *corev1.Secret) { s.Annotations = map[string]string{AnnotationRotate: "now"} })
	in.looks(time.Minute)
	require.Equal(t, 2, in.trusts(keda))
	in.hide = forbidden
	for range 5 {
		in.clock.Step(LeastSettle)
		require.ErrorContains(t, in.look(t.Context()), "reading Secret keda/op-keda-cert")
	}
	in.hide = func(string) error { return nil }
	assert.Equal(t, 2, in.trusts(serverName), "the authority that KEDA's certificate is of")
}

func TestABrokenAuthorityIsToldWithItsRemedy(t *testing.T) {
	in := install(t)
	in.looks(0)
	in.change(authorityName, func(s *corev1.Secret) { s.Data["tls.crt"] = []byte("x") })
	before := in.state()
	err := in.look(t.Context())
	assert.ErrorContains(t, err, "Secret system/op-authority can't be read")
	assert.ErrorContains(t, err, "kubectl patch secret op-authority -n system")
	assert.Equal(t, before, in.state())
	in.reasons()
	in.tell(t.Context(), err)
	in.tell(t.Context(), err)
	assert.Equal(t, []string{"CertificatesNotRenewed"}, in.reasons(), "once")
	in.tell(t.Context(), nil)
	in.tell(t.Context(), apierrors.NewConflict(schema.GroupResource{Resource: "secrets"}, "a", nil))
	assert.Empty(t, in.reasons())
}

func TestAnExpiredAuthorityIsReplacedAtOnce(t *testing.T) {
	in := install(t)
	in.looks(0)
	in.looks(400 * day) // nothing ran for a year
	for _, c := range in.Certificates {
		assert.True(t, verifies(in.get(c.Secret).Data, in.clock.Now()), c.Secret)
		assert.Equal(t, 1, in.trusts(c.Secret))
	}
}

// A controller whose clock was ahead may have written when a stage began.
func TestAStageThatBeginsInTheFutureBeginsNow(t *testing.T) {
	in := install(t)
	in.looks(0)
	in.change(authorityName, func(s *corev1.Secret) { s.Annotations = map[string]string{AnnotationRotate: "now"} })
	in.looks(time.Minute)
	require.Equal(t, 2, in.trusts(keda))
	old := in.leaf(keda).Issuer.CommonName
	in.change(authorityName, func(s *corev1.Secret) {
		s.Annotations[annotationSince] = in.clock.Now().Add(20 * day).Format(time.RFC3339)
	})
	in.looks(time.Minute)
	in.looks(LeastSettle / 2)
	assert.Equal(t, old, in.leaf(keda).Issuer.CommonName, "not before all have had the time to trust it")
	in.looks(LeastSettle / 2)
	assert.NotEqual(t, old, in.leaf(keda).Issuer.CommonName)
}

func TestStartLooksUntilItEnds(t *testing.T) {
	in := install(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- in.Start(ctx) }()
	require.Eventually(t, func() bool { return len(in.get(keda).Data) == 3 }, 30*time.Second, 10*time.Millisecond)
	in.change(keda, func(s *corev1.Secret) { s.Data = nil })
	require.Eventually(t, func() bool {
		in.clock.Step(interval)
		return len(in.get(keda).Data) == 3
	}, 30*time.Second, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
	assert.True(t, in.NeedLeaderElection())
}

func TestCheck(t *testing.T) {
	in := install(t)
	in.Settle = time.Minute
	assert.EqualError(t, in.Check(), "the time between the stages of a rotation is 1m0s: it must be at least 3m0s")
	in = install(t)
	in.Certificates[1].Names = nil
	assert.EqualError(t, in.Check(), "the certificate in Secret system/op-controller-cert has no name: give it one")
}

func TestABundleHasEachOnceAndNoneThatExpired(t *testing.T) {
	now := time.Now()
	first, err := newIssuer("a", now)
	require.NoError(t, err)
	second, err := newIssuer("a", now.Add(-2*authorityValid))
	require.NoError(t, err)
	assert.Equal(t, first.certPEM, bundle(now, first.certPEM, second.certPEM, []byte("x"), first.certPEM))
	assert.NotEqual(t, first.certificate.Subject.CommonName, second.certificate.Subject.CommonName)
}
