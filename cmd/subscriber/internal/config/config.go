// Package config reads a worker's settings from its environment.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/program"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/status"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// QueueType is the kind of queue that a worker consumes.
type QueueType string

// The kinds of queue.
const (
	Auto   QueueType = "Auto" // ask the server, and wait while the key does not exist
	List   QueueType = "List"
	Stream QueueType = "Stream"
	PubSub QueueType = "PubSub" // a channel of Redis; at most once
)

// The environment variables that a worker reads, beside those of package connection and
// those of its handler; others are passed over.
const (
	EnvChannel        = "CHANNEL"             // the queue's key; required
	EnvQueueKeys      = "QUEUE_KEYS"          // all keys, a JSON array of 1 to 32 strings; default CHANNEL alone
	EnvQueueType      = "QUEUE_TYPE"          // Auto (default), List, Stream or PubSub
	EnvQueuePreset    = "QUEUE_PRESET"        // refused where it is set
	EnvConsumerGroup  = "CONSUMER_GROUP"      // of a stream; default pubsub-subscriber
	EnvPodName        = "POD_NAME"            // the consumer's name, unique among workers; default the host's name
	EnvMessageTimeout = "MESSAGE_TIMEOUT"     // seconds for one message, 1 to 86400, default 30
	EnvWorkTime       = "WORK_TIME"           // time spent on each message, for demos, such as 250ms; default 0
	EnvConcurrency    = "CONCURRENCY"         // messages in flight at once, 1 to 1000, default 1
	EnvBatchSize      = "BATCH_SIZE"          // messages fetched at once, 1 to 1000, default 10, or CONCURRENCY if that is more
	EnvMaxHeldBytes   = "MAX_HELD_BYTES"      // content of messages fetched and not ended, default 64 MiB; 0: no limit
	EnvMaxDeliveries  = "MAX_DELIVERIES"      // deliveries before a message becomes a dead letter; default 0, no limit
	EnvDeadMax        = "DEAD_MAX"            // dead letters of a queue, default 10000; 0: no limit
	EnvTrim           = "TRIM"                // of a stream: none (default) or acknowledged
	EnvLogLevel       = "LOG_LEVEL"           // debug, info (default), warn or error
	EnvLogFormat      = "LOG_FORMAT"          // json (default) or text
	EnvMetricsEnabled = "METRICS_ENABLED"     // true or false (default)
	EnvMetricsPort    = status.EnvMetricsPort // 1 to 65535, default 9090
	EnvHealthPort     = status.EnvHealthPort  // 0 to 65535, default 9091; 0: any that is free
)

// MaxMessageTimeout is the longest time for one message, one day.
const MaxMessageTimeout = 24 * time.Hour

// leastBatch is the least default of BATCH_SIZE: messages that take no time are fetched in batches, too.
const leastBatch = 10

// maxConcurrency bounds CONCURRENCY and BATCH_SIZE.
const maxConcurrency = 1000

// Config is a worker's settings, complete and valid.
type Config struct {
	Redis connection.Settings

	Channel       string
	Keys          []string // one at least
	QueueType     QueueType
	ConsumerGroup string
	Consumer      string

	MessageTimeout time.Duration
	WorkTime       time.Duration
	Concurrency    int
	BatchSize      int
	MaxHeldBytes   int64 // 0: no limit
	Handler        Handler
	MaxDeliveries  int64 // 0: no limit
	MaxDead        int64 // 0: no limit
	Trim           bool  // entries that all groups of a stream have acknowledged are removed

	LogLevel    slog.Level
	LogFormat   string // program.LogJSON or program.LogText
	MetricsPort int    // 0: no metrics
	HealthPort  int    // 0: any that is free
	// HealthOptional is set if HealthPort is the default.
	HealthOptional bool
}

// Parse reads the settings by getenv, such as os.Getenv; an empty variable counts as
// unset. hostname names the consumer where POD_NAME doesn't. The error names each
// variable that is wrong, its value and the remedy; it never holds a password.
func Parse(getenv func(string) string, hostname string) (Config, error) {
	p := parser{getenv: getenv}
	redis, err := connection.Parse(connection.Lookup{Get: getenv, Name: func(env string) string { return env }})
	if err != nil {
		p.errs = append(p.errs, err)
	}
	c := Config{
		Redis:          redis,
		Channel:        p.required(EnvChannel, "set it to the key of the list or stream, for example orders"),
		QueueType:      p.queueType(),
		ConsumerGroup:  p.text(EnvConsumerGroup, queue.DefaultConsumerGroup),
		Consumer:       p.text(EnvPodName, hostname),
		MessageTimeout: time.Duration(p.number(EnvMessageTimeout, 30, 1, int64(MaxMessageTimeout/time.Second))) * time.Second,
		WorkTime:       p.duration(EnvWorkTime),
		Concurrency:    int(p.number(EnvConcurrency, 1, 1, maxConcurrency)),
		MaxHeldBytes:   p.number(EnvMaxHeldBytes, 64<<20, 0, 1<<40),
		Handler:        p.handler(),
		MaxDeliveries:  p.number(EnvMaxDeliveries, 0, 0, 1_000_000),
		MaxDead:        p.number(EnvDeadMax, 10_000, 0, 10_000_000),
		Trim:           p.oneOf(EnvTrim, "none", "acknowledged") == "acknowledged",
		LogLevel:       p.level(EnvLogLevel),
		LogFormat:      p.oneOf(EnvLogFormat, program.LogJSON, program.LogText),
	}
	// As many as may begin at once: fewer would leave slots free for a round trip to the server.
	c.BatchSize = int(p.number(EnvBatchSize, int64(max(leastBatch, c.Concurrency)), 1, maxConcurrency))
	c.Keys = p.keys(c)
	port := int(p.number(EnvMetricsPort, 9090, 1, 65535))
	if p.oneOf(EnvMetricsEnabled, "false", "true") == "true" {
		c.MetricsPort = port
	}
	c.HealthPort = int(p.number(EnvHealthPort, 9091, 0, 65535))
	c.HealthOptional = getenv(EnvHealthPort) == ""
	if c.Consumer == "" {
		p.fail(EnvPodName, "the host has no name either: set it to a name that is unique among the workers")
	}
	if c.WorkTime > c.MessageTimeout {
		p.fail(EnvWorkTime, "it is more than %s (%s), so that no message could be finished: lower it or raise %s",
			EnvMessageTimeout, c.MessageTimeout, EnvMessageTimeout)
	}
	return c, errors.Join(p.errs...)
}

type parser struct {
	getenv func(string) string
	errs   []error
}

func (p *parser) fail(name, format string, args ...any) {
	p.failValue(name, p.getenv(name), format, args...)
}

func (p *parser) failValue(name, value, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s is %q: %s", name, value, fmt.Sprintf(format, args...)))
}

func (p *parser) text(name, byDefault string) string {
	if value := p.getenv(name); value != "" {
		return value
	}
	return byDefault
}

func (p *parser) required(name, remedy string) string {
	value := p.getenv(name)
	if value == "" {
		p.fail(name, "%s", remedy)
	}
	return value
}

// oneOf returns the default, which is the first of the choices, where the value is wrong.
func (p *parser) oneOf(name string, choices ...string) string {
	value := p.text(name, choices[0])
	for _, choice := range choices {
		if value == choice {
			return value
		}
	}
	p.fail(name, "set it to one of %s", strings.Join(choices, ", "))
	return choices[0]
}

func (p *parser) number(name string, byDefault, least, most int64) int64 {
	value := p.getenv(name)
	if value == "" {
		return byDefault
	}
	number, err := strconv.ParseInt(value, 10, 64)
	if err != nil || number < least || number > most {
		p.fail(name, "set it to a whole number from %d to %d, for example %d", least, most, byDefault)
		return byDefault
	}
	return number
}

func (p *parser) duration(name string) time.Duration {
	value := p.getenv(name)
	if value == "" {
		return 0
	}
	duration, err := time.ParseDuration(value)
	if err != nil || duration < 0 {
		p.fail(name, "set it to a duration with its unit, for example 250ms or 2s")
		return 0
	}
	return duration
}

func (p *parser) level(name string) slog.Level {
	level := map[string]slog.Level{
		"info": slog.LevelInfo, "debug": slog.LevelDebug, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	return level[p.oneOf(name, "info", "debug", "warn", "error")]
}
