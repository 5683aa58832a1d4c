// Command subscriber consumes a list or a stream on DragonFly or Redis, at least once:
// it posts each message to a handler, works for a set time, or logs it. It is configured
// by its environment; see package config for the variables.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/config"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/delivery"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/metrics"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/worker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// version is set by the build.
var version = "dev"

// Exit codes.
const (
	exitFailure = 1 // the worker can't go on
	exitUsage   = 2 // a setting is wrong
)

func main() {
	// Once told to stop, a second signal ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Getenv, os.Stderr)
	stop()
	os.Exit(code)
}

// run returns the exit code.
func run(ctx context.Context, getenv func(string) string, out io.Writer) int {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "" // which Parse refuses unless there is another name
	}
	settings, err := config.Parse(getenv, hostname)
	if err != nil {
		fmt.Fprintf(out, "subscriber: %v\n", err)
		return exitUsage
	}
	log := newLogger(settings, out)
	redis.SetLogger(quiet{log})
	if err := consume(ctx, settings, log); err != nil {
		log.Error("subscriber stopped", "error", err)
		return exitFailure
	}
	log.Info("subscriber stopped")
	return 0
}

func newLogger(settings config.Config, out io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: settings.LogLevel}
	if settings.LogText {
		return slog.New(slog.NewTextHandler(out, options))
	}
	return slog.New(slog.NewJSONHandler(out, options))
}

// quiet takes go-redis's own log lines, which come once for each attempt, at the debug
// level.
type quiet struct{ log *slog.Logger }

func (q quiet) Printf(ctx context.Context, format string, values ...any) {
	q.log.DebugContext(ctx, fmt.Sprintf(format, values...))
}

func consume(ctx context.Context, settings config.Config, log *slog.Logger) error {
	log.Info("subscriber started", "version", version, "channel", settings.Channel, "redis", settings.RedisAddr,
		"queueType", settings.QueueType, "consumer", settings.Consumer, "messageTimeout", settings.MessageTimeout,
		"concurrency", settings.Concurrency)
	measures := metrics.New()
	ctx, stopWorking := context.WithCancel(ctx)
	defer stopWorking()
	var serving sync.WaitGroup
	var servingErr error
	// Metrics are served until the last message is done.
	untilDone, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	if settings.MetricsPort != 0 {
		serving.Go(func() {
			defer stopWorking()
			servingErr = measures.Serve(untilDone, settings.MetricsPort, func(address net.Addr) {
				log.Info("serving metrics", "address", address.String())
			})
		})
	}
	client := source.Dial(settings.RedisAddr, settings.RedisUsername, settings.RedisPassword, settings.Concurrency)
	defer func() { _ = client.Close() }() // nothing is under way any more
	kind, err := queueKind(ctx, client, settings, log)
	if err == nil && kind != queue.None {
		err = newWorker(client, kind, settings, measures, log).Run(ctx)
	}
	stopServing()
	serving.Wait()
	return errors.Join(err, servingErr)
}

// queueKind is the kind of the queue; it waits while the key does not exist, and returns
// None when ctx ends before.
func queueKind(ctx context.Context, client *redis.Client, settings config.Config, log *slog.Logger) (queue.Kind, error) {
	switch settings.QueueType {
	case config.List:
		return queue.List, nil
	case config.Stream:
		return queue.Stream, nil
	}
	const interval = time.Second
	var waiting, down bool
	for ctx.Err() == nil {
		kind, err := source.Detect(ctx, client, settings.Channel)
		switch {
		case errors.Is(err, source.ErrPermanent):
			return queue.None, err
		case err != nil && ctx.Err() == nil:
			if !down {
				log.Warn("the server does not answer; trying again", "error", err)
			}
			down = true
		case err == nil && kind != queue.None:
			log.Info("found the queue", "channel", settings.Channel, "kind", kind)
			return kind, nil
		case err == nil:
			if !waiting || down {
				log.Info("waiting for the queue to exist", "channel", settings.Channel)
			}
			waiting, down = true, false
		}
		select {
		case <-ctx.Done():
		case <-time.After(interval):
		}
	}
	return queue.None, nil
}

func newWorker(client *redis.Client, kind queue.Kind, settings config.Config, measures *metrics.Metrics, log *slog.Logger) *worker.Worker {
	options := source.Options{
		Client: client, Key: settings.Channel, Consumer: settings.Consumer, Group: settings.ConsumerGroup,
		MessageTimeout: settings.MessageTimeout, MaxDeliveries: settings.MaxDeliveries,
		Log: log, Now: time.Now,
		Event: func(event source.Event, messages int) {
			measures.Events.WithLabelValues(string(event)).Add(float64(messages))
		},
	}
	var messages worker.Source = source.NewList(options)
	if kind == queue.Stream {
		messages = source.NewStream(options)
	}
	deliverer := delivery.New(delivery.Options{
		Channel: settings.Channel, HandlerURL: settings.HandlerURL, WorkTime: settings.WorkTime,
		Concurrency: settings.Concurrency, Log: log,
	})
	return worker.New(worker.Options{
		Source: messages, Deliver: deliverer.Deliver,
		Concurrency: settings.Concurrency, BatchSize: settings.BatchSize,
		MessageTimeout: settings.MessageTimeout, MaxDeliveries: settings.MaxDeliveries,
		Log: log, Metrics: measures,
	})
}
