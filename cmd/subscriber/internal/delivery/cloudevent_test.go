package delivery_test

import (
	"encoding/json"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/delivery"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
)

func TestBinaryEvents(t *testing.T) {
	o := delivery.Options{Format: delivery.CloudEventsBinary}
	got := deliver(t, o, source.Message{Key: "or ders", ID: "5-1", Payload: binary, Deliveries: 1})
	for name, want := range map[string]string{
		"ce-specversion": "1.0", "ce-id": "5-1", "ce-source": "/queues/or%2520ders", "ce-type": "io.jawaracloud.pubsub.message",
		"ce-subject": "or%20ders", "Content-Type": "application/octet-stream", "X-Message-ID": "5-1", "X-Delivery-Count": "1",
	} {
		assert.Equal(t, want, got.Get(name), name)
	}
	assert.NotContains(t, got.Header, "Ce-Time", "nobody said when it happened")
	assert.Equal(t, binary, got.body)

	o.EventType, o.EventSource, o.ContentType = "shop.order", "https://shop.example/orders", "application/json"
	got = deliver(t, o, entry(map[string]any{"payload": "{", "other": "1"}))
	assert.Equal(t, "shop.order", got.Get("ce-type"))
	assert.Equal(t, "https://shop.example/orders", got.Get("ce-source"))
	assert.Equal(t, "application/json", got.Get("Content-Type"))
	assert.Equal(t, "{", got.body)
	assert.Equal(t, "1", got.Get("X-Field-other"))
}

// An entry that was published as an event in binary mode is that event.
func TestFieldsAreAttributes(t *testing.T) {
	published := entry(map[string]any{
		"payload": "<a/>", "ce_specversion": "1.0", "ce_id": "A234-1234-1234", "ce_type": "com.example.someevent", "ce_source": "/mycontext",
		"ce_subject": "Euro € 😀", "ce_time": "2018-04-05T17:31:00.5Z", "ce_dataschema": "https://example.com/a.xsd",
		"ce_datacontenttype": "text/xml", "ce_comexampleextension1": "val\"ue", "other": "1",
	})
	got := deliver(t, delivery.Options{Format: delivery.CloudEventsBinary}, published)
	for name, want := range map[string]string{
		"ce-specversion": "1.0", "ce-id": "A234-1234-1234", "ce-type": "com.example.someevent", "ce-source": "/mycontext",
		"ce-subject": "Euro%20%E2%82%AC%20%F0%9F%98%80", // the specification's own example
		"ce-time":    "2018-04-05T17:31:00.5Z", "ce-dataschema": "https://example.com/a.xsd",
		"Content-Type": "text/xml", "ce-comexampleextension1": "val%22ue", "X-Message-ID": "5-1", "X-Field-other": "1", "X-Field-ce_id": "",
	} {
		assert.Equal(t, want, got.Get(name), name)
	}
	got = deliver(t, delivery.Options{Format: delivery.CloudEventsStructured}, published)
	assert.Equal(t, "application/cloudevents+json; charset=UTF-8", got.Get("Content-Type"))
	var e event.Event
	require.NoError(t, json.Unmarshal([]byte(got.body), &e))
	require.NoError(t, e.Validate())
	assert.Equal(t, "A234-1234-1234", e.ID())
	assert.Equal(t, "Euro € 😀", e.Subject())
	assert.Equal(t, "val\"ue", e.Extensions()["comexampleextension1"])
	assert.True(t, e.Time().Equal(time.Date(2018, 4, 5, 17, 31, 0, 5e8, time.UTC)))
	assert.Contains(t, got.body, `"data":"<a/>"`)
	assert.Equal(t, "<a/>", string(e.Data()))
	assert.Equal(t, "5-1", got.Get("X-Message-ID"))

	got = deliver(t, delivery.Options{}, published)
	assert.Equal(t, "A234-1234-1234", got.Get("X-Field-ce_id"), "where no event is asked for it is a field as any other")
}

func TestDataOfStructuredEvents(t *testing.T) {
	for name, tc := range map[string]struct{ contentType, payload, want string }{
		"bytes":                  {"application/octet-stream", binary, `"data_base64":"AP/+DQqA"`},
		"JSON":                   {"application/json", `{"n": 1.0,"n":2}`, `"data":{"n": 1.0,"n":2}`},
		"a kind of JSON":         {"application/vnd.x+json", `[]`, `"data_base64":"W10="`},
		"no JSON, against words": {"application/json", `{`, `"data_base64":"ew=="`},
		"text":                   {"text/plain; charset=utf-8", "ü", `"data":"ü"`},
		"no text, against words": {"text/plain", "\xff", `"data_base64":"/w=="`},
		"nothing":                {"application/octet-stream", "", `"data_base64":""`},
	} {
		t.Run(name, func(t *testing.T) {
			o := delivery.Options{Format: delivery.CloudEventsStructured, ContentType: tc.contentType}
			got := deliver(t, o, source.Message{Key: "q\xff", ID: "1", Payload: tc.payload})
			require.Contains(t, got.body, tc.want)
			var e event.Event
			require.NoError(t, json.Unmarshal([]byte(got.body), &e))
			require.NoError(t, e.Validate())
			require.Equal(t, tc.payload, string(e.Data()))
			require.Equal(t, "q%FF", e.Subject())
		})
	}
}

// What can't be an event never will be; nothing is posted in its place.
func TestEntriesThatAreNoEvent(t *testing.T) {
	for name, tc := range map[string]struct{ field, value, want string }{
		"another version":    {"ce_specversion", "0.3", "version 1.0 alone"},
		"time":               {"ce_time", "yesterday", "RFC 3339"},
		"empty ID":           {"ce_id", "", "id"},
		"empty type":         {"ce_type", "", "type"},
		"relative schema":    {"ce_dataschema", "a.xsd", "dataschema"},
		"name of extensions": {"ce_a-b", "x", "a-b"},
		"no UTF-8":           {"ce_subject", "\xff", "UTF-8"},
		"data":               {"ce_data", "x", "payload"},
		"media type":         {"ce_datacontenttype", "\n", "datacontenttype"},
		"no header":          {"ce_datacontenttype", "text/plain\n", "line break"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, format := range []delivery.Format{delivery.CloudEventsBinary, delivery.CloudEventsStructured} {
				d := delivery.New(delivery.Options{
					HandlerURL: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, Format: format, Concurrency: 1, Log: slog.New(slog.DiscardHandler),
				})
				err := d.Deliver(t.Context(), entry(map[string]any{"payload": "x", tc.field: tc.value}))
				require.Equal(t, refused, kindOf(err), err)
				require.ErrorContains(t, err, tc.want)
			}
		})
	}
}

func TestAFormatWithoutACaseIsAFault(t *testing.T) {
	d := delivery.New(delivery.Options{
		HandlerURL: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, Format: "Avro", Concurrency: 1, Log: slog.New(slog.DiscardHandler),
	})
	require.ErrorContains(t, d.Deliver(t.Context(), message), "report it as a fault")
}
