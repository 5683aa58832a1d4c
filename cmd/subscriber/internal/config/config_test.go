package config_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/config"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/delivery"
)

func parse(env map[string]string) (config.Config, error) {
	complete := map[string]string{"REDIS_ADDR": "dragonfly:6379", "CHANNEL": "orders"}
	for name, value := range env {
		complete[name] = value
	}
	return config.Parse(func(name string) string { return complete[name] }, "host-1")
}

func TestDefaults(t *testing.T) {
	got, err := parse(map[string]string{"UNKNOWN": "passed over"})
	require.NoError(t, err)
	require.Equal(t, config.Config{
		Redis:   connection.Settings{Mode: connection.Standalone, Addresses: []string{"dragonfly:6379"}},
		Channel: "orders", Keys: []string{"orders"}, QueueType: config.Auto,
		ConsumerGroup: "pubsub-subscriber", Consumer: "host-1",
		MessageTimeout: 30 * time.Second, Concurrency: 1, BatchSize: 10, LogFormat: "json", MaxDead: 10_000, MaxHeldBytes: 64 << 20,
		Handler: config.Handler{Format: delivery.Raw, Protocol: delivery.Auto}, HealthPort: 9091, HealthOptional: true,
	}, got)
}

func TestValues(t *testing.T) {
	got, err := parse(map[string]string{
		"POD_NAME": "orders-1", "QUEUE_TYPE": "Stream", "CONSUMER_GROUP": "billing", "MESSAGE_TIMEOUT": "5",
		"WORK_TIME": "5s", "HANDLER_URL": "https://handler:8443/x", "MAX_DELIVERIES": "3", "DEAD_MAX": "7", "TRIM": "acknowledged", "MAX_HELD_BYTES": "1000",
		"LOG_LEVEL": "debug", "LOG_FORMAT": "text", "METRICS_ENABLED": "true", "HEALTH_PORT": "0",
	})
	require.NoError(t, err)
	assert.Equal(t, "orders-1", got.Consumer)
	assert.Equal(t, "billing", got.ConsumerGroup)
	assert.Equal(t, 5*time.Second, got.WorkTime, "as long as the timeout is allowed")
	assert.Equal(t, "handler:8443", got.Handler.URL.Host)
	assert.Equal(t, int64(3), got.MaxDeliveries)
	assert.Equal(t, int64(7), got.MaxDead)
	assert.True(t, got.Trim)
	assert.EqualValues(t, 1000, got.MaxHeldBytes)
	assert.Equal(t, "text", got.LogFormat)
	assert.Equal(t, 9090, got.MetricsPort)
	assert.Zero(t, got.HealthPort, "any that is free")
}

// A worker with many slots that fetched fewer messages than can begin would have slots idle for a round trip.
func TestBatchesFillTheSlots(t *testing.T) {
	for name, tc := range map[string]struct {
		env  map[string]string
		want int
	}{
		"few slots":  {map[string]string{"CONCURRENCY": "4"}, 10},
		"many slots": {map[string]string{"CONCURRENCY": "64"}, 64},
		"as it says": {map[string]string{"CONCURRENCY": "64", "BATCH_SIZE": "5"}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(tc.env)
			require.NoError(t, err)
			require.Equal(t, tc.want, got.BatchSize)
		})
	}
}

func TestBadValuesAreNamedWithTheRemedy(t *testing.T) {
	cases := map[string]struct {
		name, value string
		want        []string
	}{
		"address with a scheme":  {"REDIS_ADDR", "redis://h:1", []string{`REDIS_ADDR is "redis://h:1"`, "without a scheme"}},
		"mode":                   {"REDIS_MODE", "Ring", []string{`REDIS_MODE is "Ring"`, "Standalone, Sentinel, Cluster"}},
		"no channel":             {"CHANNEL", "", []string{`CHANNEL is ""`, "key of the list"}},
		"queue type":             {"QUEUE_TYPE", "Topic", []string{`QUEUE_TYPE is "Topic"`, "Auto, List, Stream, PubSub"}},
		"sorted set":             {"QUEUE_TYPE", "SortedSet", []string{`QUEUE_TYPE is "SortedSet"`, "lost with its worker", "set the channel's image to workers of your own"}},
		"preset":                 {"QUEUE_PRESET", "Sidekiq", []string{`QUEUE_PRESET is "Sidekiq"`, "only a framework's own workers", "set the channel's image"}},
		"keys not JSON":          {"QUEUE_KEYS", "a,b", []string{`QUEUE_KEYS is "a,b"`, "JSON array"}},
		"no keys":                {"QUEUE_KEYS", "[]", []string{"1 to 32 keys"}},
		"an empty key":           {"QUEUE_KEYS", `["a",""]`, []string{"one of the keys is empty"}},
		"a key twice":            {"QUEUE_KEYS", `["a","a"]`, []string{"named twice"}},
		"timeout 0":              {"MESSAGE_TIMEOUT", "0", []string{`MESSAGE_TIMEOUT is "0"`, "1 to 86400"}},
		"timeout with a unit":    {"MESSAGE_TIMEOUT", "30s", []string{`"30s"`, "whole number"}},
		"work time without unit": {"WORK_TIME", "5", []string{`WORK_TIME is "5"`, "250ms"}},
		"negative work time":     {"WORK_TIME", "-1s", []string{`"-1s"`, "250ms"}},
		"work beyond the time":   {"WORK_TIME", "31s", []string{`WORK_TIME is "31s"`, "MESSAGE_TIMEOUT (30s)", "lower it"}},
		"no concurrency":         {"CONCURRENCY", "0", []string{`CONCURRENCY is "0"`, "from 1"}},
		"batch":                  {"BATCH_SIZE", "many", []string{`BATCH_SIZE is "many"`, "for example 10"}},
		"relative URL":           {"HANDLER_URL", "/messages", []string{`HANDLER_URL is "/messages"`, "absolute"}},
		"held bytes":             {"MAX_HELD_BYTES", "1Mi", []string{`MAX_HELD_BYTES is "1Mi"`, "from 0"}},
		"trimming":               {"TRIM", "all", []string{`TRIM is "all"`, "none, acknowledged"}},
		"dead letters":           {"DEAD_MAX", "-1", []string{`DEAD_MAX is "-1"`, "from 0"}},
		"deliveries":             {"MAX_DELIVERIES", "-1", []string{`MAX_DELIVERIES is "-1"`, "from 0"}},
		"level":                  {"LOG_LEVEL", "loud", []string{`LOG_LEVEL is "loud"`, "info, debug, warn, error"}},
		"format":                 {"LOG_FORMAT", "xml", []string{`LOG_FORMAT is "xml"`, "json, text"}},
		"metrics":                {"METRICS_ENABLED", "yes", []string{`METRICS_ENABLED is "yes"`, "true"}},
		"health port":            {"HEALTH_PORT", "-1", []string{`HEALTH_PORT is "-1"`, "from 0 to 65535"}},
		"port":                   {"METRICS_PORT", "70000", []string{`METRICS_PORT is "70000"`, "65535"}},
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

func TestEveryMistakeIsTold(t *testing.T) {
	_, err := parse(map[string]string{"CONCURRENCY": "x", "BATCH_SIZE": "y"})
	require.ErrorContains(t, err, "CONCURRENCY")
	require.ErrorContains(t, err, "BATCH_SIZE")
}

func TestKeys(t *testing.T) {
	got, err := parse(map[string]string{"QUEUE_KEYS": `["a,b","c"]`, "QUEUE_TYPE": "PubSub"})
	require.NoError(t, err)
	require.Equal(t, []string{"a,b", "c"}, got.Keys)
	require.Equal(t, config.PubSub, got.QueueType)
}

// What belongs to a list must have its slot.
func TestKeysOfACluster(t *testing.T) {
	for key, good := range map[string]bool{
		"orders": true, "{shop}orders": true, "a{b": true, "a}b": false, "{}orders": false, "a}{b}": true,
	} {
		t.Run(key, func(t *testing.T) {
			env := map[string]string{"REDIS_MODE": "Cluster", "CHANNEL": key}
			_, err := parse(env)
			if good {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "hash tag")
			}
			env["QUEUE_TYPE"] = "PubSub"
			_, err = parse(env)
			require.NoError(t, err, "a channel has nothing beside it")
		})
	}
}
