// Command publisher sends messages to a list, a stream, a sorted set or a channel of
// Pub/Sub on DragonFly or Redis: at a rate, in bursts, as a trace says, or as fast as it can.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/program"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/tracing"
)

// version is set by the build.
var version string

// poolSize is enough for one exchange at a time, and a reconnect.
const poolSize = 2

func main() {
	program.Main(func(ctx context.Context) int {
		return run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr, isTerminal(os.Stderr))
	})
}

// isTerminal tells a terminal from a file, a pipe and the null device.
func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err == nil && !os.SameFile(info, null)
}

// run returns the exit code. The summary goes to out, all else to side, which may be a
// terminal.
func run(ctx context.Context, args []string, getenv func(string) string, in io.Reader, out, side io.Writer, terminal bool) int {
	o, err := parse(args, getenv, out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(side, "publisher: %v\n", err)
		return program.Usage
	case o.version:
		fmt.Fprintln(out, program.Version(version))
		return 0
	}
	redis.SetLogger(silent{}) // its errors come back from the commands
	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	told := &measures{now: time.Now}
	log := program.NewLogger(side, slog.LevelWarn, program.LogText)
	program.CatchLibraries(log)
	traces, err := tracing.Start(ctx, "pubsub-publisher", program.Version(version), log)
	if err == nil && o.metrics != "" {
		err = told.serve(ctx, o.metrics)
	}
	if err != nil {
		fmt.Fprintf(side, "publisher: %v\n", err)
		return program.Failed
	}
	defer traces.Stop(ctx)
	client := o.redis.New(connection.Options{PoolSize: poolSize})
	defer func() { _ = client.Close() }() // nothing is under way any more
	lines := &progress{out: side, terminal: terminal, interval: o.progress, now: time.Now}
	p := newPublisher(o, client, lines.trouble)
	p.late, p.tell, p.tracer = lines.late, told.tell, traces.Tracer()
	if o.stdin {
		p.input = readLines(in, o.pipeline) // more are never sent at once
	}
	began := time.Now()
	err = p.detect(ctx)
	if err == nil {
		lines.start(began)
		err = p.publish(ctx, time.Now, func() {
			lines.report(p.totals)
			told.tell(p.totals, false)
		})
	}
	lines.end()
	fmt.Fprintln(out, summary(p.totals, time.Since(began)))
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(side, "publisher: %v\n", err)
		return program.Failed
	}
	if p.totals.sent == 0 && p.totals.errors > 0 {
		return program.Failed
	}
	return 0
}

// silent takes go-redis's own log lines.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}
