package history

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

var noon = time.Date(2026, time.January, 31, 12, 0, 0, 0, time.UTC)

// prometheus answers the queries of each metric, by its name.
func prometheus(t *testing.T, answers map[string]string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/api/v1/query_range", r.URL.Path)
		assert.NoError(t, r.ParseForm())
		query := r.Form.Get("query")
		assert.Contains(t, query, `{namespace="shop",name="orders",exported_namespace=""} or `, "a scaler in shop is not the channel's")
		assert.Contains(t, query, `{exported_namespace="shop",name="orders"}`)
		for name, values := range answers {
			if strings.Contains(query, name+"{") {
				fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[%s]}]}}`, values)
				return
			}
		}
		fmt.Fprint(w, `{"status":"success","data":{"resultType":"matrix","result":[]}}`)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// Points are the moments in which the number of replicas was told; what has no value is absent.
func TestPoints(t *testing.T) {
	p, err := New(prometheus(t, map[string]string{
		"pubsub_scaled_object_queue_depth":                  `[1769860740,"300"],[1769860770,"NaN"],[1769860785,"9"]`,
		"pubsub_scaled_object_replicas":                     `[1769860740,"3"],[1769860755,"4"],[1769860770,"4"],[1769861070,"5"]`,
		"pubsub_scaled_object_desired_replicas":             `[1769860740,"8"]`,
		"pubsub_scaled_object_arriving_messages_per_second": `[1769860755,"41.6"]`,
	}), time.Hour)
	require.NoError(t, err)
	points, err := p.Points(t.Context(), "shop", "orders", noon)
	require.NoError(t, err)
	require.Len(t, points, 5)
	assert.Equal(t, time.Unix(1769860785, 0).UTC(), points[3].Time, "then nothing was told for five minutes")
	assert.Equal(t, protocol.Point{Time: points[3].Time, Gap: true}, points[3], "neither a depth nor replicas")
	assert.Equal(t, time.Unix(1769860740, 0).UTC(), points[0].Time)
	assert.EqualValues(t, 300, *points[0].Depth)
	assert.EqualValues(t, 3, points[0].Replicas)
	assert.EqualValues(t, 3, points[0].Desired, "what the Deployment was set to, and not what a decision asks for")
	for _, p := range points {
		assert.Equal(t, p.Replicas, p.Desired)
	}
	assert.Nil(t, points[1].Depth)
	assert.EqualValues(t, 42, *points[1].Rate)
	assert.Nil(t, points[1].LowerBound)
	assert.Nil(t, points[2].Depth, "NaN is no depth")
}

// What was told last does not hold for ever: a scaler that is not scraped any more tells nothing.
func TestTheEndOfWhatWasTold(t *testing.T) {
	p, err := New(prometheus(t, map[string]string{
		"pubsub_scaled_object_queue_depth": `[1769860770,"300"]`,
		"pubsub_scaled_object_replicas":    `[1769860770,"3"]`,
	}), time.Hour)
	require.NoError(t, err)
	points, err := p.Points(t.Context(), "shop", "orders", noon)
	require.NoError(t, err)
	require.Len(t, points, 1, "until 30 s later, which is now")
	points, err = p.Points(t.Context(), "shop", "orders", noon.Add(time.Minute))
	require.NoError(t, err)
	require.Len(t, points, 2)
	assert.Equal(t, protocol.Point{Time: time.Unix(1769860785, 0).UTC(), Gap: true}, points[1])
}

// A Prometheus that can't be asked is told with its address, and without a password.
func TestAPrometheusThatDoesNotAnswer(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	address := gone.URL
	gone.Close()
	p, err := New(strings.Replace(address, "http://", "http://me:secret@", 1), time.Hour)
	require.NoError(t, err)
	_, err = p.Points(t.Context(), "shop", "orders", noon)
	require.ErrorContains(t, err, "can't be asked for the last 1h0m0s, so the history begins when the dashboard did")
	assert.NotContains(t, err.Error(), "secret")

	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>a login page</html>") }))
	t.Cleanup(other.Close)
	p, err = New(other.URL, time.Hour)
	require.NoError(t, err)
	_, err = p.Points(t.Context(), "shop", "orders", noon)
	require.ErrorContains(t, err, other.URL)
}

// An address of anything but a Prometheus may answer without an end.
func TestAnAnswerWithoutAnEnd(t *testing.T) {
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		part := []byte(strings.Repeat(" ", 1<<20))
		for r.Context().Err() == nil {
			if _, err := w.Write(part); err != nil {
				return
			}
		}
	}))
	t.Cleanup(endless.Close)
	p, err := New(endless.URL, time.Hour)
	require.NoError(t, err)
	_, err = p.Points(t.Context(), "shop", "orders", noon)
	require.ErrorContains(t, err, "its answer has more than 4194304 bytes")
}

// The names are those that the scaler exports: docs/metrics.md is written from its registry.
func TestTheMetricsAreExported(t *testing.T) {
	documented, err := os.ReadFile("../../../../../docs/metrics.md")
	require.NoError(t, err)
	for _, name := range append([]string{asked, replicas.name}, namesOf(others)...) {
		assert.Contains(t, string(documented), "\n| `"+name+"` | gauge | `name`, `namespace` |")
	}
}

func namesOf(metrics []metric) (names []string) {
	for _, metric := range metrics {
		names = append(names, metric.name)
	}
	return names
}

// The query is the one that e2e/monitoring evaluates as Prometheus does.
func TestTheQuery(t *testing.T) {
	evaluated, err := os.ReadFile("testdata/query.promql")
	require.NoError(t, err)
	assert.Equal(t, strings.TrimSpace(string(evaluated)), queryOf("pubsub_scaled_object_queue_depth", "shop", "orders"))
}

func TestFlags(t *testing.T) {
	for name, test := range map[string]struct {
		address string
		span    time.Duration
		want    string
	}{
		"no scheme": {"prometheus:9090", time.Hour, `--prometheus is "prometheus:9090": it must be a URL such as http://`},
		"a secret":  {"me:secret@prometheus:9090", time.Hour, "--prometheus is no URL"},
		"a file":    {"file:///etc/passwd", time.Hour, "must be a URL"},
		"too short": {"http://127.0.0.1:9090", time.Second, "--history is 1s: it must be from 1m to 168h0m0s"},
		"too long":  {"http://127.0.0.1:9090", 1000 * time.Hour, "--history is 1000h0m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(test.address, test.span)
			require.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), "secret")
		})
	}
}
