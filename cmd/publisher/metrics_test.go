package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/metricsdoc"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

const root = "../.."

func TestMetricsDocument(t *testing.T) {
	metricsdoc.Check(t, root, "publisher", (&measures{now: time.Now}).registry())
}

func freeAddress(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// What a running publisher serves is what docs/metrics.md has, and tells what became of the messages.
func TestScrapeIsAsDocumented(t *testing.T) {
	server, address := redistest.Start(t), freeAddress(t)
	ctx, stop := context.WithCancel(t.Context())
	var out, side bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"--redis-address", server.Addr, "--channel=q", "--rate=200", "--metrics-address", address}, noEnv, nil, &out, &side, false)
	}()
	t.Cleanup(func() { stop(); assert.Zero(t, <-ended, "%s%s", &out, &side) })
	scrape := func() string {
		response, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			return ""
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return string(text)
	}
	require.Eventually(t, func() bool { return server.Client().LLen(t.Context(), "q").Val() > 0 && scrape() != "" }, time.Minute, 10*time.Millisecond)
	documented := metricsdoc.Documented(t, root, "all", "publisher")
	delete(documented, "pubsub_tls_certificate_expiry_timestamp_seconds") // it has no certificate
	assert.Equal(t, documented, metricsdoc.Scraped(t, scrape()))
	require.Eventually(t, func() bool { return valueOf(t, scrape(), "pubsub_publisher_messages_published_total") > 0 }, time.Minute, 10*time.Millisecond)

	server.Stop()
	require.Eventually(t, func() bool {
		text := scrape()
		return valueOf(t, text, "pubsub_publisher_errors_total") > 1 && valueOf(t, text, "pubsub_publisher_behind_seconds") > 0.5
	}, time.Minute, 10*time.Millisecond, "while the server is away messages become ever later")
	server.Restart()
	require.Eventually(t, func() bool {
		return valueOf(t, scrape(), "pubsub_publisher_messages_retried_total") > 0 && valueOf(t, scrape(), "pubsub_publisher_messages_missed_total") > 0
	}, time.Minute, 10*time.Millisecond)
}

func valueOf(t *testing.T, scraped, name string) float64 {
	t.Helper()
	found := regexp.MustCompile("(?m)^" + name + " (\\S+)$").FindStringSubmatch(scraped)
	if found == nil {
		return -1
	}
	value, err := strconv.ParseFloat(found[1], 64)
	require.NoError(t, err)
	return value
}

func TestAMetricsAddressThatIsTakenIsNamed(t *testing.T) {
	server := redistest.Start(t)
	code, _, side := publishTo(t, server.Addr, "--count=1", "--metrics-address", server.Addr)
	assert.Equal(t, 1, code)
	assert.Contains(t, side, `--metrics-address is "`+server.Addr+`": `)
}
