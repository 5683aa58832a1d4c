// Command subscriber consumes lists and streams on DragonFly or Redis, at least once, or
// channels of their Pub/Sub, at most once: it posts each message to a handler, works for a
// set time, or logs it. It is configured by its environment; see package config for the
// variables.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	programmetrics "github.com/jawaracloud/pubsub-operator/cmd/internal/metrics"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/program"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/tracing"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/config"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/delivery"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/metrics"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/status"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/worker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// version is set by the build.
var version string

func main() {
	program.Main(func(ctx context.Context) int { return run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr) })
}

// run returns the exit code. The answers to --version and --help go to answers, the log to out.
func run(ctx context.Context, args []string, getenv func(string) string, answers, out io.Writer) int {
	answer, err := answerTo(args)
	switch {
	case err != nil:
		fmt.Fprintf(out, "subscriber: %v\n", err)
		return program.Usage
	case answer != "":
		fmt.Fprintln(answers, answer)
		return 0
	}
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "" // which Parse refuses unless there is another name
	}
	settings, err := config.Parse(getenv, hostname)
	if err != nil {
		fmt.Fprintf(out, "subscriber: %v\n", err)
		return program.Usage
	}
	log := program.NewLogger(out, settings.LogLevel, settings.LogFormat)
	redis.SetLogger(quiet{log})
	program.CatchLibraries(log)
	if err := consume(ctx, settings, log); err != nil {
		log.Error("subscriber stopped", "error", err)
		return program.Failed
	}
	log.Info("subscriber stopped")
	return 0
}

const usage = `Usage: subscriber [--version] [--help]

Consumes lists and streams on DragonFly or Redis at least once, or channels of their Pub/Sub.
Its settings are environment variables; it needs REDIS_ADDR and CHANNEL:
https://github.com/jawaracloud/pubsub-operator/blob/main/docs/subscriber.md`

// answerTo is what the arguments ask for without any setting; empty if there are none.
func answerTo(args []string) (string, error) {
	if len(args) == 0 {
		return "", nil
	}
	switch args[0] {
	case "--version", "-version":
		return program.Version(version), nil
	case "--help", "-help", "-h":
		return usage, nil
	}
	return "", fmt.Errorf("unexpected argument %q: the subscriber knows --version and --help only, and is configured by environment variables (docs/subscriber.md)", args[0])
}

// quiet takes go-redis's own log lines, which come once for each attempt, at the debug
// level.
type quiet struct{ log *slog.Logger }

func (q quiet) Printf(ctx context.Context, format string, values ...any) {
	q.log.DebugContext(ctx, fmt.Sprintf(format, values...))
}

func consume(ctx context.Context, settings config.Config, log *slog.Logger) error {
	log.Info("subscriber started", "version", program.Version(version), "channel", settings.Channel, "keys", settings.Keys,
		"redis", strings.Join(settings.Redis.Addresses, ","), "redisMode", settings.Redis.Mode, "queueType", settings.QueueType, "consumer", settings.Consumer, "messageTimeout", settings.MessageTimeout,
		"concurrency", settings.Concurrency)
	traces, err := tracing.Start(ctx, "pubsub-subscriber", program.Version(version), log)
	if err != nil {
		return err
	}
	defer traces.Stop(ctx)
	measures := metrics.New(source.EventNames()...)
	measures.Register(programmetrics.NewBuildInfo("subscriber", version))
	ctx, stopWorking := context.WithCancel(ctx)
	defer stopWorking()
	var serving sync.WaitGroup
	var servingErr error
	// It tells about itself until the last message is done.
	untilDone, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	serving.Go(func() {
		defer stopWorking()
		servingErr = status.Serve(untilDone, status.Options{
			HealthPort: settings.HealthPort, HealthOptional: settings.HealthOptional, MetricsPort: settings.MetricsPort, Metrics: measures.Handler(),
			Ready: func() error { return ready(ctx, measures) }, Log: log,
		})
	})
	queues, closeClients := openQueues(settings, measures, log)
	defer closeClients() // nothing is under way any more
	err = worker.New(worker.Options{
		Queues: queues, Deliver: newDeliverer(settings, log).Deliver,
		Concurrency: settings.Concurrency, BatchSize: settings.BatchSize, MaxHeldBytes: settings.MaxHeldBytes,
		MessageTimeout: settings.MessageTimeout, MaxDeliveries: settings.MaxDeliveries, AtMostOnce: settings.QueueType == config.PubSub,
		Log: log, Metrics: measures, Tracer: traces.Tracer(),
	}).Run(ctx)
	stopServing()
	serving.Wait()
	return errors.Join(err, servingErr)
}

// ready says why the worker takes no messages.
func ready(ctx context.Context, measures *metrics.Metrics) error {
	switch {
	case ctx.Err() != nil:
		return errors.New("stopping: it finishes what is in work")
	case !measures.Connected.Up():
		return errors.New("the server of a queue does not answer")
	}
	return nil
}

func newDeliverer(settings config.Config, log *slog.Logger) *delivery.Deliverer {
	h := settings.Handler
	return delivery.New(delivery.Options{
		HandlerURL: h.URL, WorkTime: settings.WorkTime, Concurrency: settings.Concurrency,
		Format: h.Format, ContentType: h.ContentType, EventType: h.EventType, EventSource: h.EventSource,
		Protocol: h.Protocol, Credentials: h.Credentials, TLS: h.TLS,
		AtMostOnce: settings.QueueType == config.PubSub, Log: log,
	})
}

// sparePool is how many connections a client has beside those of acknowledgements, and of
// each queue's fetch and heartbeat: room for a reconnect.
const sparePool = 2

// openQueues returns the queues that are to be consumed, and what closes their clients.
func openQueues(settings config.Config, measures *metrics.Metrics, log *slog.Logger) (queues []worker.Queue, closeClients func()) {
	var clients []redis.UniversalClient
	connect := func(name string) redis.UniversalClient {
		pool := settings.Concurrency + 2*len(settings.Keys) + sparePool
		client := settings.Redis.New(connection.Options{PoolSize: pool, Name: name})
		clients = append(clients, client)
		return client
	}
	options := source.Options{
		Consumer: settings.Consumer, Group: settings.ConsumerGroup,
		MessageTimeout: settings.MessageTimeout, MaxDeliveries: settings.MaxDeliveries, MaxDead: settings.MaxDead, Trim: settings.Trim,
		Log: log, Now: time.Now,
		Event: func(event source.Event, messages int) {
			measures.Events.WithLabelValues(string(event)).Add(float64(messages))
		},
		CredentialsChange: settings.Redis.CredentialsFromFiles(),
	}
	if settings.QueueType != config.PubSub {
		options.Client = connect("")
	}
	for _, key := range settings.Keys {
		options.Key = key
		if settings.QueueType == config.PubSub {
			options.Client = connect(queue.ClientName(key))
		}
		queues = append(queues, worker.Queue{Key: key, Open: opener(settings.QueueType, options)})
	}
	return queues, func() {
		for _, client := range clients {
			_ = client.Close()
		}
	}
}

// opener makes the queue's source, where the type is Auto once the queue is there.
func opener(queueType config.QueueType, options source.Options) func(context.Context) (worker.Source, error) {
	return func(ctx context.Context) (worker.Source, error) {
		switch queueType {
		case config.List:
			return source.NewList(options), nil
		case config.Stream:
			return source.NewStream(options), nil
		case config.PubSub:
			return source.NewPubSub(options), nil
		case config.Auto: // below
		default:
			return nil, fmt.Errorf("%w: this worker does not know how to consume a queue of type %q: report it as a fault", source.ErrPermanent, queueType)
		}
		kind, err := options.Detect(ctx)
		switch {
		case err != nil:
			return nil, err
		case kind == queue.None:
			return nil, nil
		}
		options.Log.Info("found the queue", "channel", options.Key, "kind", kind)
		if kind == queue.Stream {
			return source.NewStream(options), nil
		}
		return source.NewList(options), nil
	}
}
