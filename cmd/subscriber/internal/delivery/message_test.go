package delivery_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/delivery"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
)

// received is a request as a handler sees it.
type received struct {
	http.Header
	body string
}

// deliver posts a message, and returns what came.
func deliver(t *testing.T, o delivery.Options, m source.Message) received {
	t.Helper()
	var got received
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		got = received{r.Header, string(body)}
	}))
	defer server.Close()
	var err error
	o.HandlerURL, err = url.Parse(server.URL)
	require.NoError(t, err)
	o.Concurrency, o.Log = 1, slog.New(slog.DiscardHandler)
	require.NoError(t, delivery.New(o).Deliver(t.Context(), m))
	return got
}

func entry(fields map[string]any) source.Message {
	return source.Message{Key: "orders", ID: "5-1", Deliveries: 2}.WithFields(fields)
}

const binary = "\x00\xff\xfe\r\n\x80"

func TestHeadersTellOfTheMessage(t *testing.T) {
	got := deliver(t, delivery.Options{}, source.Message{Key: "or ders\n\"%", ID: `5-1\ü`, Payload: "x", Deliveries: 3})
	assert.Equal(t, "or%20ders%0A%22%25", got.Get("X-Channel"))
	assert.Equal(t, `5-1\%C3%BC`, got.Get("X-Message-ID"))
	assert.Equal(t, "3", got.Get("X-Delivery-Count"))
	assert.Equal(t, `"or%20ders%0A%22%25/5-1%5C%C3%BC"`, got.Get("Idempotency-Key"))
	assert.Equal(t, "application/octet-stream", got.Get("Content-Type"))
	assert.Empty(t, got.Get("X-Fields-Omitted"))

	got = deliver(t, delivery.Options{AtMostOnce: true}, message)
	assert.NotContains(t, got.Header, "Idempotency-Key", "equal messages are not one that came twice")
}

func TestBodiesAreWhatWasPublished(t *testing.T) {
	for name, tc := range map[string]struct {
		message     source.Message
		contentType string
		body        string
	}{
		"of a list":                       {source.Message{Payload: binary}, "application/octet-stream", binary},
		"of a list, empty":                {source.Message{}, "application/octet-stream", ""},
		"the field payload":               {entry(map[string]any{"payload": binary, "other": "x"}), "application/octet-stream", binary},
		"the only field":                  {entry(map[string]any{"x": binary}), "application/octet-stream", binary},
		"several fields of text":          {entry(map[string]any{"a": "ü", "b": "1"}), "application/json", `{"a":"ü","b":"1"}`},
		"several fields, one of bytes":    {entry(map[string]any{"a": binary, "b": "1 &"}), "application/x-www-form-urlencoded", "a=%00%FF%FE%0D%0A%80&b=1+%26"},
		"several fields, a name of bytes": {entry(map[string]any{"\xff": "a", "b": "1"}), "application/x-www-form-urlencoded", "b=1&%FF=a"},
		"a payload that names its type":   {entry(map[string]any{"payload": "{}", "content-type": "application/json"}), "application/json", "{}"},
		"a type that is no header":        {entry(map[string]any{"payload": "{}", "content-type": "application/json\n"}), "application/octet-stream", "{}"},
		"a type that holds a NUL":         {entry(map[string]any{"payload": "{}", "content-type": "text/plain; x=\"\x00\""}), "application/octet-stream", "{}"},
		"a type that is none":             {entry(map[string]any{"payload": "{}", "content-type": "\n"}), "application/octet-stream", "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			got := deliver(t, delivery.Options{}, tc.message)
			require.Equal(t, tc.contentType, got.Get("Content-Type"))
			require.Equal(t, tc.body, got.body)
		})
	}
	got := deliver(t, delivery.Options{ContentType: "text/plain"}, message)
	require.Equal(t, "text/plain", got.Get("Content-Type"))
}

// Fields beside the payload are told, or it is told that they are not.
func TestFieldsBesideThePayload(t *testing.T) {
	got := deliver(t, delivery.Options{}, entry(map[string]any{
		"payload": "x", "trace_id": "7", "with space": binary, "": "nameless", "big": strings.Repeat("b", 8<<10), "z": strings.Repeat("z", 5<<10),
	}))
	assert.Equal(t, "7", got.Get("X-Field-trace_id"))
	assert.Equal(t, "%00%FF%FE%0D%0A%80", got.Get("X-Field-with%20space"))
	assert.Equal(t, "nameless", got.Get("X-Field-"))
	assert.Len(t, got.Get("X-Field-z"), 5<<10, "what still has room is there")
	assert.Empty(t, got.Get("X-Field-big"))
	assert.Empty(t, got.Get("X-Field-payload"))
	assert.Equal(t, "1", got.Get("X-Fields-Omitted"))

	got = deliver(t, delivery.Options{}, entry(map[string]any{"a": "1", "b": "2"}))
	for name := range got.Header {
		assert.False(t, strings.HasPrefix(name, "X-Field"), "%s is in the body already", name)
	}
}

func TestThePreviousFailureIsTold(t *testing.T) {
	var reasons []string
	d := post(t, io.Discard, func(w http.ResponseWriter, r *http.Request) {
		reasons = append(reasons, r.Header.Get("X-Previous-Failure"))
		if len(reasons) < 3 {
			w.WriteHeader(500 + len(reasons))
			_, _ = w.Write([]byte("no\nroom"))
		}
	})
	for range 4 {
		_ = d.Deliver(t.Context(), message) // its result is another test's
	}
	require.Len(t, reasons, 4)
	require.Empty(t, reasons[0])
	require.Contains(t, reasons[1], "501")
	require.Contains(t, reasons[1], `%22no\nroom%22`)
	require.Contains(t, reasons[2], "502")
	require.Empty(t, reasons[3], "it was done meanwhile")
}
