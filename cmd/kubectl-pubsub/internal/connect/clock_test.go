package connect

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connecttest"
	"github.com/jawaracloud/pubsub-operator/internal/certtest"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// answer is one of the API server's, by this machine's clock but for its date.
type answer struct {
	sent, took, date time.Duration // since noon
}

func TestTheClustersTime(t *testing.T) {
	noon := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	const hour = time.Hour
	for name, test := range map[string]struct {
		answers []answer
		want    time.Duration // of the skew
		unknown bool
	}{
		"nothing was answered":                 {unknown: true},
		"the same":                             {answers: []answer{{sent: 900 * time.Millisecond, took: 20 * time.Millisecond}}},
		"the date is of a second earlier":      {answers: []answer{{sent: 990 * time.Millisecond, took: 30 * time.Millisecond, date: time.Second}}},
		"a little behind":                      {answers: []answer{{sent: 2500 * time.Millisecond, date: time.Second}}},
		"far ahead":                            {answers: []answer{{date: hour}}, want: hour + 500*time.Millisecond},
		"far behind":                           {answers: []answer{{date: -hour}}, want: -hour + 500*time.Millisecond},
		"the way there and back is halved":     {answers: []answer{{took: 4 * time.Second, date: hour}}, want: hour - 1500*time.Millisecond},
		"a slow answer tells of no difference": {answers: []answer{{took: 9 * time.Second, date: 9 * time.Second}}},
		"a slow answer after a quick one":      {answers: []answer{{date: hour}, {sent: time.Second, took: 9 * time.Second, date: hour + 9*time.Second}}, want: hour + 500*time.Millisecond},
		"several are closer than one": {answers: []answer{{sent: 100 * time.Millisecond, date: hour}, {sent: 1900 * time.Millisecond, date: hour + 2*time.Second}},
			want: hour + 500*time.Millisecond},
		"this machine's was set, an hour back":     {answers: []answer{{}, {date: hour}}, want: hour + 500*time.Millisecond},
		"and while an answer was on the way":       {answers: []answer{{date: hour}, {sent: 10 * time.Second, took: -8 * time.Second, date: 2 * hour}}, want: hour + 500*time.Millisecond},
		"the API server's was set, a minute ahead": {answers: []answer{{date: hour}, {sent: time.Second, date: hour + time.Minute + time.Second}}, want: hour + time.Minute + 500*time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			c := &Cluster{clock: &clock{local: func() time.Time { return noon }}}
			for _, a := range test.answers {
				c.clock.see(noon.Add(a.date), noon.Add(a.sent), noon.Add(a.sent+a.took))
			}
			skew, known := c.Skew()
			assert.Equal(t, test.want, skew)
			assert.Equal(t, !test.unknown, known)
			assert.Equal(t, noon.Add(test.want), c.Now())
		})
	}
}

// Each client of a cluster learns the time, whatever it asks, and also of an error.
func TestTheTimeIsLearnedFromEachAnswer(t *testing.T) {
	noon := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		ask  func(*testing.T, *Cluster)
		date []string
		want time.Time
	}{
		"discovery":  {ask: func(t *testing.T, c *Cluster) { c.LearnTime(t.Context()) }, date: []string{"Fri, 27 Nov 2026 13:00:00 GMT"}, want: noon.Add(time.Hour + 500*time.Millisecond)},
		"the client": {ask: func(t *testing.T, c *Cluster) { _, _ = c.Installations(t.Context(), "") }, date: []string{"Fri, 27 Nov 2026 13:00:00 GMT"}, want: noon.Add(time.Hour + 500*time.Millisecond)},
		"the raw client": {ask: func(t *testing.T, c *Cluster) {
			raw, err := c.Raw()
			require.NoError(t, err)
			_ = raw.Get().Resource("pubsubchannels").Do(t.Context())
		}, date: []string{"Fri, 27 Nov 2026 13:00:00 GMT"}, want: noon.Add(time.Hour + 500*time.Millisecond)},
		"forwarding a port": {ask: func(t *testing.T, c *Cluster) { _, _ = c.forward(t.Context(), "ops", "scaler", 1, func(error) {}) }, date: []string{"Fri, 27 Nov 2026 13:00:00 GMT"}, want: noon.Add(time.Hour + 500*time.Millisecond)},
		"without a date":    {ask: func(t *testing.T, c *Cluster) { c.LearnTime(t.Context()) }, want: noon},
		"nonsense":          {ask: func(t *testing.T, c *Cluster) { c.LearnTime(t.Context()) }, date: []string{"noon"}, want: noon},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Date"] = test.date
				http.Error(w, "not here", http.StatusForbidden)
			}))
			t.Cleanup(server.Close)
			c, err := NewCluster(&rest.Config{Host: server.URL})
			require.NoError(t, err)
			c.clock.local = func() time.Time { return noon }
			test.ask(t, c)
			assert.Equal(t, test.want, c.Now())
		})
	}
	var none *Cluster
	none.LearnTime(t.Context())
	assert.WithinDuration(t, time.Now(), none.Now(), time.Hour, "without a cluster it is this machine's clock")
}

// The scaler's certificate is made and renewed by the cluster's clock. So a machine whose clock is ahead takes one
// that is over here, and not there.
func TestCertificatesAreCheckedByTheClustersClock(t *testing.T) {
	ca := certtest.New(t)
	files := ca.Write(t.TempDir(), ca.Client("client"))
	service := &connecttest.Inspector{}
	service.Set("shop", "orders", &inspectv1.ExplainResponse{Explanation: "because"})
	_, address := connecttest.Serve(t, service, ca.MutualTLS(ca.ServerUntil(time.Now().Add(-time.Minute), "127.0.0.1")))
	c, err := NewCluster(&rest.Config{Host: "http://127.0.0.1:1"})
	require.NoError(t, err)
	flags := ScalerFlags{Address: address, CACert: files.CA, Cert: files.Certificate, Key: files.Key}
	_, err = open(t, flags, c).Explain(t.Context(), question)
	require.ErrorContains(t, err, "the scaler's certificate is not valid at this time")
	now := time.Now()
	c.clock.see(now.Add(-30*time.Minute), now, now)
	_, err = open(t, flags, c).Explain(t.Context(), question)
	require.NoError(t, err)
}
