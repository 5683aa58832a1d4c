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
		"CLOUDEVENTS_TYPE": "shop.order", "CLOUDEVENTS_SOURCE": "/shop",
	})
	require.NoError(t, err)
	require.Equal(t, config.Handler{
		Format: delivery.CloudEventsStructured, ContentType: "application/json; charset=utf-8", EventType: "shop.order", EventSource: "/shop",
	}, got.Handler)
}

func TestBadValuesOfTheHandlerAreNamedWithTheRemedy(t *testing.T) {
	cases := map[string]struct {
		name, value string
		want        []string
	}{
		"format":     {"HANDLER_FORMAT", "Avro", []string{`HANDLER_FORMAT is "Avro"`, "Raw, CloudEventsBinary, CloudEventsStructured"}},
		"media type": {"HANDLER_CONTENT_TYPE", "a b", []string{`HANDLER_CONTENT_TYPE is "a b"`, "application/json"}},
		"source":     {"CLOUDEVENTS_SOURCE", "%%", []string{`CLOUDEVENTS_SOURCE is "%%"`, "URI"}},
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
