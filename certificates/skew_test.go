package certificates

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	clocktesting "k8s.io/utils/clock/testing"
)

// A controller whose clock is off makes certificates that others take for not yet valid, or that end too early. Beyond
// half an hour it makes none, and says so once.
func TestAControllerWithAWrongClockMakesNoCertificates(t *testing.T) {
	for name, test := range map[string]struct {
		ahead time.Duration
		told  string
	}{
		"ahead":        {2 * time.Hour, "this controller's clock is about 2h1m0s ahead of the API server's, and at most 30m0s is allowed"},
		"just too far": {30*time.Minute + time.Second, "about 31m0s ahead of"},
		"behind":       {-40*day - 30*time.Second, "about 960h1m0s behind the API server's"},
	} {
		t.Run(name, func(t *testing.T) {
			in := install(t)
			in.ahead = test.ahead
			err := in.look(t.Context())
			require.ErrorContains(t, err, test.told)
			assert.ErrorContains(t, err, "set the clocks of both nodes (NTP)")
			assert.Empty(t, in.get(authorityName).Data)
			in.tell(t.Context(), err)
			for _, drift := range []time.Duration{100 * time.Millisecond, -200 * time.Millisecond, 200 * time.Millisecond} { // and an answer's Date has whole seconds
				in.clock.Step(time.Second)
				in.ahead += drift
				in.tell(t.Context(), in.look(t.Context()))
			}
			assert.Equal(t, []string{"CertificatesNotRenewed"}, in.reasons())

			in.ahead = 0
			in.looks(interval)
			assert.True(t, verifies(in.get(keda).Data, in.clock.Now()))
		})
	}
	t.Run("nothing that is there is touched", func(t *testing.T) {
		in := install(t)
		in.looks(0)
		before := in.state()
		in.ahead = 40 * day
		in.clock.Step(40 * day)
		require.Error(t, in.look(t.Context()))
		assert.Equal(t, before, in.state())
	})
}

// Within the bound, a certificate is valid at once for everybody who is within it, too.
func TestCertificatesAreValidWithinTheBound(t *testing.T) {
	for _, ahead := range []time.Duration{-mostSkew, mostSkew} {
		in := install(t)
		in.ahead = ahead
		in.looks(0)
		server := in.clock.Now().Add(-ahead)
		for _, now := range []time.Time{server.Add(-mostSkew), server, server.Add(mostSkew), server.Add(30*day - mostSkew)} {
			assert.NoError(t, handshake(t, now, in.get(serverName).Data, in.get(keda).Data), "ahead by %s, at %s of the API server's", ahead, now.Sub(server))
		}
	}
}

// Controllers take the lead from one another, each with a clock of its own. Stages go by the API server's.
func TestAStageIsNotShorterWhenALeaderWithAnotherClockContinues(t *testing.T) {
	in := install(t)
	in.ahead = -25 * time.Minute
	in.looks(0)
	in.change(authorityName, func(s *corev1.Secret) { s.Annotations[AnnotationRotate] = "now" })
	in.looks(interval)
	first := in.leaf(keda).Issuer.CommonName
	require.Equal(t, 2, in.trusts(keda))
	in.clock.Step(50 * time.Minute) // another controller
	in.ahead = 25 * time.Minute
	in.looks(LeastSettle - time.Second)
	assert.Equal(t, first, in.leaf(keda).Issuer.CommonName)
	in.looks(time.Second)
	assert.NotEqual(t, first, in.leaf(keda).Issuer.CommonName)
}

// Certificates from when the clocks were wrong, which nobody takes yet, are replaced at once.
func TestCertificatesThatAreNotValidYetAreReplaced(t *testing.T) {
	in := install(t)
	in.clock.Step(3 * time.Hour) // the API server's clock was wrong, too
	in.looks(0)
	in.clock.Step(-3 * time.Hour)
	require.Error(t, handshake(t, in.clock.Now(), in.get(serverName).Data, in.get(keda).Data))
	in.looks(0)
	assert.NoError(t, handshake(t, in.clock.Now(), in.get(serverName).Data, in.get(keda).Data))
	assert.Equal(t, 1, in.trusts(keda))

	in = install(t)
	in.looks(0)
	root := in.leaf(keda).Issuer.CommonName
	in.clock.Step(3 * time.Hour)
	in.change(keda, func(s *corev1.Secret) { s.Data = nil })
	in.looks(0)
	in.clock.Step(-3 * time.Hour)
	require.Error(t, handshake(t, in.clock.Now(), in.get(serverName).Data, in.get(keda).Data))
	in.looks(0)
	assert.NoError(t, handshake(t, in.clock.Now(), in.get(serverName).Data, in.get(keda).Data))
	assert.Equal(t, root, in.leaf(keda).Issuer.CommonName, "the authority is valid, and stays")

	in.change(authorityName, func(s *corev1.Secret) { s.Annotations[AnnotationRotate] = "now" })
	in.clock.Step(3 * time.Hour)
	in.looks(0)
	in.clock.Step(-3 * time.Hour)
	in.change(keda, func(s *corev1.Secret) { s.Data = nil }) // the stage begins anew, by the right clock
	in.looks(0)
	for range 100 {
		in.looks(LeastSettle)
		require.NoError(t, handshake(t, in.clock.Now(), in.get(serverName).Data, in.get(keda).Data), "an authority that is announced signs when it is valid")
	}
	assert.NotEqual(t, root, in.leaf(keda).Issuer.CommonName)
}

func TestServerClock(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	var date []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header()["Date"] = date }))
	t.Cleanup(server.Close)
	watched := NewServerClock(clock)
	ask := func() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		response, err := (&http.Client{Transport: watched.Wrap(nil)}).Do(request)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
	ask() // without a Date
	_, known := watched.Skew()
	assert.False(t, known)
	for sent, want := range map[string]time.Duration{
		"Wed, 02 Jan 2030 03:04:05 GMT": 0,
		"Wed, 02 Jan 2030 01:04:05 GMT": 2 * time.Hour,
		"Wed, 02 Jan 2030 03:05:05 GMT": -time.Minute,
	} {
		date = []string{sent}
		ask()
		ahead, known := watched.Skew()
		assert.True(t, known)
		assert.Equal(t, want, ahead, sent)
	}
	date = nil
	ask()
	_, known = watched.Skew()
	assert.True(t, known, "what was known stays known")
}

// Without an answer that has a Date, the controller's clock counts.
func TestAnUnknownSkewIsNone(t *testing.T) {
	in := install(t)
	in.Skew = func() (time.Duration, bool) { return 0, false }
	in.looks(0)
	assert.True(t, verifies(in.get(keda).Data, in.clock.Now()))
}
