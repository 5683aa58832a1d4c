package translator

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// secretReader has one Secret, or an error.
type secretReader struct {
	client.Reader
	data map[string][]byte
	err  error
}

func (r *secretReader) Get(_ context.Context, _ client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	object.(*corev1.Secret).Data = r.data
	return r.err
}

func TestCertificatesAreAdoptedOnceAllHaveThem(t *testing.T) {
	secret := &secretReader{data: map[string][]byte{"ca.crt": []byte("1"), "tls.crt": []byte("2")}}
	clock := clocktesting.NewFakeClock(time.Unix(1_800_000_000, 0))
	c := newCertificates(secret, types.NamespacedName{Namespace: "keda", Name: "tls"}, clock, logr.Discard())
	hash := func(isNew bool, live string) string { return c.hashFor(t.Context(), isNew, live) }
	renewed := func() bool {
		select {
		case <-c.renewed:
			return true
		default:
			return false
		}
	}

	first := hash(true, "")
	require.Len(t, first, 16)
	assert.Equal(t, "of before", hash(false, "of before"), "the controller has just started: the Secret may be new")
	assert.Empty(t, hash(false, ""), "an object of before certificates were followed")
	c.read(t.Context())
	assert.False(t, renewed())

	clock.Step(certificatesSettle)
	assert.Equal(t, first, hash(false, ""))
	c.read(t.Context())
	assert.True(t, renewed(), "what waits is to be told")
	c.read(t.Context())
	assert.False(t, renewed(), "once")

	secret.data = map[string][]byte{"ca.crt": []byte("1"), "tls.crt": []byte("3")}
	c.read(t.Context())
	second := hash(true, "")
	assert.NotEqual(t, first, second)
	assert.Equal(t, first, hash(false, first), "the scalers may not have theirs yet")
	clock.Step(certificatesSettle - time.Second)
	c.read(t.Context())
	assert.False(t, renewed())
	clock.Step(time.Second)
	c.read(t.Context())
	assert.True(t, renewed())
	assert.Equal(t, second, hash(false, first))

	secret.err = errors.New("forbidden")
	c.read(t.Context())
	assert.Equal(t, second, hash(false, second), "what can't be read is no renewal")
}

func TestWithoutCertificatesAHashStays(t *testing.T) {
	c := newCertificates(&secretReader{err: errors.New("forbidden")}, types.NamespacedName{}, clocktesting.NewFakeClock(time.Now()), logr.Discard())
	assert.Equal(t, "kept", c.hashFor(t.Context(), false, "kept"))
	assert.Empty(t, c.hashFor(t.Context(), true, ""))

	var none *certificates // TLS is off
	assert.Empty(t, none.hashFor(t.Context(), false, "of before"))
}

func TestHashOfCertificatesTellsPartsApart(t *testing.T) {
	hashes := map[string]bool{}
	for _, data := range []map[string][]byte{
		nil, {"a": nil}, {"a": []byte("b")}, {"ab": nil}, {"a": nil, "b": nil}, {"a": []byte("b"), "b": []byte("a")}, {"a": []byte("a"), "b": []byte("b")},
	} {
		hashes[hashOfSecret(data)] = true
	}
	assert.Len(t, hashes, 7)
}
