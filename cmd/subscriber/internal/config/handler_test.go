package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/config"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/delivery"
)

func TestHandler(t *testing.T) {
	got, err := parse(map[string]string{
		"HANDLER_FORMAT": "CloudEventsStructured", "HANDLER_CONTENT_TYPE": "application/json; charset=utf-8",
		"CLOUDEVENTS_TYPE": "shop.order", "CLOUDEVENTS_SOURCE": "/shop", "HANDLER_PROTOCOL": "HTTP2",
		"HANDLER_TOKEN_FILE": "/token", "HANDLER_HEADERS_FILE": "/headers", "HANDLER_TLS_CA_FILE": "/ca", "HANDLER_TLS_CERT_FILE": "/crt",
		"HANDLER_TLS_KEY_FILE": "/key", "HANDLER_TLS_SERVER_NAME": "handler",
	})
	require.NoError(t, err)
	require.Equal(t, config.Handler{
		Format: delivery.CloudEventsStructured, ContentType: "application/json; charset=utf-8", EventType: "shop.order", EventSource: "/shop",
		Protocol: delivery.HTTP2, Credentials: delivery.Credentials{TokenFile: "/token", HeadersFile: "/headers"},
		TLS: delivery.TLS{CAFile: "/ca", CertFile: "/crt", KeyFile: "/key", ServerName: "handler"},
	}, got.Handler)
}

func TestBadValuesOfTheHandlerAreNamedWithTheRemedy(t *testing.T) {
	cases := map[string]struct {
		name, value string
		want        []string
	}{
		"format":         {"HANDLER_FORMAT", "Avro", []string{`HANDLER_FORMAT is "Avro"`, "Raw, CloudEventsBinary, CloudEventsStructured"}},
		"media type":     {"HANDLER_CONTENT_TYPE", "a b", []string{`HANDLER_CONTENT_TYPE is "a b"`, "application/json"}},
		"a line break":   {"HANDLER_CONTENT_TYPE", "text/plain\n", []string{`HANDLER_CONTENT_TYPE is "text/plain\n"`, "line break"}},
		"protocol":       {"HANDLER_PROTOCOL", "h2c", []string{`HANDLER_PROTOCOL is "h2c"`, "Auto, HTTP1, HTTP2"}},
		"no key":         {"HANDLER_TLS_CERT_FILE", "/crt", []string{`HANDLER_TLS_KEY_FILE is ""`, "HANDLER_TLS_CERT_FILE"}},
		"no certificate": {"HANDLER_TLS_KEY_FILE", "/key", []string{`HANDLER_TLS_CERT_FILE is ""`, "HANDLER_TLS_KEY_FILE"}},
		"source":         {"CLOUDEVENTS_SOURCE", "%%", []string{`CLOUDEVENTS_SOURCE is "%%"`, "URI"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := parse(map[string]string{tc.name: tc.value})
			for _, want := range tc.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestTLSOfAHandlerWithoutIt(t *testing.T) {
	for _, name := range []string{"HANDLER_TLS_CA_FILE", "HANDLER_TLS_CERT_FILE", "HANDLER_TLS_SERVER_NAME"} {
		_, err := parse(map[string]string{"HANDLER_URL": "http://handler", name: "x"})
		require.ErrorContains(t, err, name+` is "x": HANDLER_URL has no TLS`)
	}
}

func TestErrorsHoldNoPassword(t *testing.T) {
	for name, value := range map[string]string{
		"with a scheme that is not HTTP": "ftp://user:hunter2@host/",
		"that can't be parsed":           "http://user:hunter2@host:port%",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(map[string]string{"HANDLER_URL": value})
			require.ErrorContains(t, err, "HANDLER_URL")
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}
