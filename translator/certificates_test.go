package translator

import (
	"context"
	"errors"
	"maps"
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
	secret := &secretReader{data: map[string][]byte{"ca.crt": []byte("1"), "tls.crt": []byte("2"), "tls.key": []byte("k")}}
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

	secret.data = map[string][]byte{"ca.crt": []byte("1"), "tls.crt": []byte("3"), "tls.key": []byte("k")}
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

// A Secret that lacks a part is none: KEDA could not connect with it. What else it has is not
// KEDA's.
func TestASecretThatLacksAPartIsNone(t *testing.T) {
	whole := map[string][]byte{"ca.crt": []byte("1"), "tls.crt": []byte("2"), "tls.key": []byte("3")}
	c := newCertificates(&secretReader{data: whole}, types.NamespacedName{Namespace: "keda", Name: "tls"}, clocktesting.NewFakeClock(time.Now()), logr.Discard())
	c.read(t.Context())
	hash := c.hashFor(t.Context(), true, "")
	for _, key := range []string{"ca.crt", "tls.crt", "tls.key"} {
		part := maps.Clone(whole)
		delete(part, key)
		c.reader = &secretReader{data: part}
		c.read(t.Context())
		assert.Contains(t, c.fault, "reading Secret keda/tls: it has no "+key)
		assert.Empty(t, c.ends())
	}
	c.reader = &secretReader{}
	c.read(t.Context())
	assert.Contains(t, c.fault, "it is empty")

	more := maps.Clone(whole)
	more["keystore.p12"] = []byte("others'")
	c.reader = &secretReader{data: more}
	c.read(t.Context())
	assert.Empty(t, c.fault)
	assert.Equal(t, hash, c.hashFor(t.Context(), true, ""))
}
