package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"regexp"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/program"
	"github.com/jawaracloud/pubsub-operator/internal/metricsdoc"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

func TestAutoWaitsForTheQueue(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		server := redistest.Start(t)
		client := server.Client()
		h := handle(t, ok)
		worker := start(t, server.Addr, "pod", "HANDLER_URL="+h.URL)
		worker.awaitLog("waiting for the queue to exist")
		publish(t, client, kind, 3)
		require.Eventually(t, func() bool { return h.received() == 3 && kind.left(t, client) == 0 }, patient, often)
	})
}

func TestSIGTERMWhileItWaitsForTheQueue(t *testing.T) {
	server := redistest.Start(t)
	worker := start(t, server.Addr, "pod")
	worker.awaitLog("waiting for the queue to exist")
	worker.terminate()
	require.Zero(t, worker.exitCode())
}

// A list is absent once its last message is taken: with all workers gone, only their own
// lists show that there is work.
func TestAutoFindsAListThatOnlyDeadWorkersHold(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	ctx := t.Context()
	require.NoError(t, client.ZAdd(ctx, queue.ConsumersKey(key), redis.Z{Score: 1, Member: "gone"}).Err())
	require.NoError(t, client.LPush(ctx, queue.ProcessingKey(key, "gone"), "m").Err())
	h := handle(t, ok)
	start(t, server.Addr, "pod", "HANDLER_URL="+h.URL)
	require.Eventually(t, func() bool { return h.count("m") == 1 }, patient, often)
}

func TestStreamGroupStartsAtTheFirstEntry(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, client *redis.Client){
		"group made by the worker after the entries": func(t *testing.T, client *redis.Client) {
			publish(t, client, kinds[1], 3)
		},
		"group made before the entries": func(t *testing.T, client *redis.Client) {
			require.NoError(t, client.XGroupCreateMkStream(t.Context(), key, "billing", "$").Err())
			publish(t, client, kinds[1], 3)
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			client := server.Client()
			prepare(t, client)
			h := handle(t, ok)
			start(t, server.Addr, "pod", "HANDLER_URL="+h.URL, "CONSUMER_GROUP=billing")
			require.Eventually(t, func() bool { return h.received() == 3 && kinds[1].left(t, client) == 0 }, patient, often)
		})
	}
}

// The stream is deleted under the worker, with its group.
func TestStreamGroupIsMadeAgain(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	h := handle(t, ok)
	publish(t, client, kinds[1], 1)
	start(t, server.Addr, "pod", "HANDLER_URL="+h.URL)
	require.Eventually(t, func() bool { return h.received() == 1 && kinds[1].left(t, client) == 0 }, patient, often)
	require.NoError(t, client.Del(t.Context(), key).Err())
	kinds[1].publish(t, client, "later")
	require.Eventually(t, func() bool { return h.count("later") == 1 }, patient, often)
}

func TestErrorsThatEndTheWorker(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	locked := redistest.Start(t, "--requirepass", "hunter2")
	ctx := t.Context()
	require.NoError(t, client.HSet(ctx, "hash", "f", "v").Err())
	require.NoError(t, client.LPush(ctx, "list", "m").Err())
	require.NoError(t, client.ZAdd(ctx, "zset", redis.Z{Member: "m"}).Err())
	cases := map[string]struct {
		addr string
		env  []string
		code int
		want string
	}{
		"wrong setting":         {server.Addr, []string{"CONCURRENCY=none"}, program.Usage, `CONCURRENCY is "none"`},
		"key that is no queue":  {server.Addr, []string{"CHANNEL=hash"}, program.Failed, `holds a hash: correct CHANNEL or QUEUE_KEYS to the key of a list or a stream`},
		"sorted set":            {server.Addr, []string{"CHANNEL=zset"}, program.Failed, `this one does not consume sorted sets`},
		"sorted set, as set":    {server.Addr, []string{"QUEUE_TYPE=SortedSet"}, program.Usage, `set the channel's image to workers of your own`},
		"preset":                {server.Addr, []string{"QUEUE_PRESET=RQ"}, program.Usage, `only a framework's own workers`},
		"one of two keys":       {server.Addr, []string{`QUEUE_KEYS=["other","hash"]`}, program.Failed, `holds a hash`},
		"list taken for stream": {server.Addr, []string{"CHANNEL=list", "QUEUE_TYPE=Stream"}, program.Failed, `set QUEUE_TYPE to Auto or to List`},
		"hash taken for a list": {server.Addr, []string{"CHANNEL=hash", "QUEUE_TYPE=List"}, program.Failed, `holds a hash, not a list`},
		"no password":           {locked.Addr, nil, program.Failed, "correct REDIS_USERNAME and REDIS_PASSWORD"},
		"wrong password":        {locked.Addr, []string{"REDIS_PASSWORD=s3cr3t"}, program.Failed, "correct REDIS_USERNAME and REDIS_PASSWORD"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			worker := start(t, tc.addr, "pod", tc.env...)
			require.Equal(t, tc.code, worker.exitCode())
			require.Contains(t, worker.log.String(), tc.want)
			require.NotContains(t, worker.log.String(), "s3cr3t")
		})
	}
}

// Without a handler and without work each message is logged, its payload only on demand.
func TestLogsMessagesWhereNothingElseIsDone(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	publish(t, client, kinds[0], 1)
	worker := start(t, server.Addr, "pod")
	require.Eventually(t, func() bool { return kinds[0].left(t, client) == 0 }, patient, often)
	worker.awaitLog(`"msg":"message"`)
	require.Contains(t, worker.log.String(), `"bytes":11`)
	require.NotContains(t, worker.log.String(), payload(0))
}

func TestWorkTime(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	publish(t, client, kinds[0], 4)
	worker := start(t, server.Addr, "pod", "WORK_TIME=50ms", "CONCURRENCY=2", "REDIS_PASSWORD=")
	require.Eventually(t, func() bool { return kinds[0].left(t, client) == 0 }, patient, often)
	require.NotContains(t, worker.log.String(), `"msg":"message"`, "quiet where there is work")
}

func TestMetricsAndHealth(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	publish(t, client, kinds[0], 2)
	worker := start(t, server.Addr, "pod", "METRICS_ENABLED=true", "METRICS_PORT="+freePort(t))
	require.Eventually(t, func() bool { return kinds[0].left(t, client) == 0 }, patient, often)
	worker.awaitLog("serving metrics")
	port := worker.port("metrics")
	get := func(path string) string {
		response, err := http.Get("http://127.0.0.1:" + port + path)
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return string(body)
	}
	require.Equal(t, "ok\n", get("/healthz"))
	require.Eventually(t, func() bool {
		return regexp.MustCompile(`pubsub_subscriber_deliveries_total\{result="acknowledged"\} 2`).MatchString(get("/metrics"))
	}, patient, often)
	require.Contains(t, get("/metrics"), "pubsub_subscriber_connected 1")
	for _, event := range []string{"reclaimed", "dead-lettered", "discarded", "trimmed", "dropped"} {
		require.Contains(t, get("/metrics"), `pubsub_subscriber_events_total{event="`+event+`"} 0`, "before the first, or its increase is not seen")
	}
	require.Regexp(t, `pubsub_build_info\{goversion=".+",program="subscriber",version=".+"\} 1`, get("/metrics"))
	documented := metricsdoc.Documented(t, "../..", "all", "subscriber")
	for name, metric := range metricsdoc.Scraped(t, get("/metrics")) {
		require.Equal(t, documented[name], metric, "docs/metrics.md")
	}
	worker.terminate()
	require.Zero(t, worker.exitCode())
}

func TestMetricsPortThatIsTakenEndsTheWorker(t *testing.T) {
	server := redistest.Start(t)
	_, port, err := net.SplitHostPort(server.Addr)
	require.NoError(t, err)
	worker := start(t, server.Addr, "pod", "METRICS_ENABLED=true", "METRICS_PORT="+port)
	require.Equal(t, program.Failed, worker.exitCode())
	require.Contains(t, worker.log.String(), "set it to a free port")
}

// Health is served without metrics, too. Alive is whoever runs, ready who takes messages.
func TestHealthAndReadiness(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	release := make(chan struct{})
	h := handle(t, hold(release))
	worker := start(t, server.Addr, "pod", "HANDLER_URL="+h.URL)
	worker.awaitLog("serving health")
	status := func(path string) int {
		response, err := http.Get("http://127.0.0.1:" + worker.port("health") + path)
		require.NoError(t, err)
		defer response.Body.Close()
		return response.StatusCode
	}
	await := func(path string, want int) {
		t.Helper()
		require.Eventually(t, func() bool { return status(path) == want }, patient, often)
		require.Equal(t, http.StatusOK, status("/healthz"))
	}
	await("/readyz", http.StatusOK)
	server.Stop()
	await("/readyz", http.StatusServiceUnavailable)
	server.Restart()
	await("/readyz", http.StatusOK)
	require.Equal(t, http.StatusNotFound, status("/metrics"))
	publish(t, client, kinds[0], 1)
	require.Eventually(t, func() bool { return h.received() == 1 }, patient, often)
	worker.terminate()
	await("/readyz", http.StatusServiceUnavailable)
	close(release)
	require.Zero(t, worker.exitCode())
}

// port is where the worker says that it serves something.
func (s *subscriber) port(served string) string {
	s.t.Helper()
	found := regexp.MustCompile(`"msg":"serving ` + served + `","address":"[^"]*:(\d+)"`).FindStringSubmatch(s.log.String())
	require.NotNil(s.t, found, s.log.String())
	return found[1]
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return port
}

func TestArguments(t *testing.T) {
	none := func(string) string { return "" }
	tests := map[string]struct {
		args   []string
		code   int
		answer string
		log    string
	}{
		"version":     {args: []string{"--version"}, answer: program.Version("") + "\n"},
		"help":        {args: []string{"--help"}, answer: usage + "\n"},
		"unknown":     {args: []string{"--redis-addr=db:6379"}, code: program.Usage, log: `unexpected argument "--redis-addr=db:6379": the subscriber knows --version and --help only`},
		"no settings": {code: program.Usage, log: "REDIS_ADDR"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var answers, log bytes.Buffer
			require.Equal(t, test.code, run(t.Context(), test.args, none, &answers, &log))
			require.Equal(t, test.answer, answers.String())
			require.Contains(t, log.String(), test.log)
		})
	}
}
