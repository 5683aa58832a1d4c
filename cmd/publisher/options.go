package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
)

// The kinds of queue.
const (
	kindAuto      = "Auto"
	kindList      = "List"
	kindStream    = "Stream"
	kindSortedSet = "SortedSet"
	kindPubSub    = "PubSub"
)

var kinds = []string{kindAuto, kindList, kindStream, kindSortedSet, kindPubSub}

// The scores of a sorted set's members: now, in that unit.
const (
	scoreSeconds      = "UnixSeconds"
	scoreMilliseconds = "UnixMilliseconds"
)

// options are the publisher's settings, complete and valid.
type options struct {
	redis connection.Settings

	channel   string
	queueType string
	score     string // of a sorted set
	maxLength int64  // of a stream; 0: no limit

	rate          float64 // messages per second; 0: as fast as possible, unless burst is set
	burst         int64
	burstInterval time.Duration
	count         int64         // 0: until stopped
	duration      time.Duration // 0: until stopped
	size          int           // bytes
	pipeline      int           // messages
	progress      time.Duration // 0: none

	version bool
}

const (
	maxSize     = 64 << 20 // bytes; well below the 512 MB that a value may have
	maxPipeline = 10_000
	maxRate     = 10_000_000
)

// redisFlags are the flags of the connection, by the variable that each stands in for.
// Secrets and the files of TLS come from the environment alone.
var redisFlags = []struct{ env, flag, byDefault, help string }{
	{connection.EnvAddr, "redis-address", "127.0.0.1:6379", "the server, host:`port`; several sentinels or nodes separated by commas"},
	{connection.EnvMode, "redis-mode", "", "Standalone, Sentinel or Cluster (default Standalone)"},
	{connection.EnvSentinelMaster, "redis-sentinel-master", "", "the master's `name` with the sentinels"},
	{connection.EnvDatabase, "redis-database", "", "the database's `number` (default 0)"},
	{connection.EnvTLS, "redis-tls", "", "true or false (default false)"},
	{connection.EnvSentinelTLS, "redis-sentinel-tls", "", "true or false, for the sentinels (default as --redis-tls)"},
	{connection.EnvTLSServerName, "redis-tls-server-name", "", "`host` in the server's certificate (default that of the address)"},
}

// parse reads flags, and where a flag isn't given the environment; what has no flag comes
// from the environment alone. The error names each value that is wrong and the remedy;
// flag.ErrHelp means that help was asked for and written to out.
func parse(args []string, getenv func(string) string, out io.Writer) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("publisher", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the caller tells errors; help is written below
	given, names := map[string]*string{}, map[string]string{}
	for _, f := range redisFlags {
		given[f.env] = flags.String(f.flag, either(getenv(f.env), f.byDefault), f.help+" ("+f.env+")")
		names[f.env] = "--" + f.flag
	}
	flags.StringVar(&o.channel, "channel", getenv("CHANNEL"), "the queue's `key` (CHANNEL)")
	flags.StringVar(&o.queueType, "queue-type", either(getenv("QUEUE_TYPE"), kindAuto), "List, Stream, SortedSet, PubSub, or Auto: the type of the key, or a list if it does not exist (QUEUE_TYPE)")
	flags.StringVar(&o.score, "score", scoreSeconds, "what the score of a sorted set's member is, now in UnixSeconds or UnixMilliseconds")
	flags.Int64Var(&o.maxLength, "max-length", 0, "trim a stream to about this many `entries` (0: never)")
	flags.Float64Var(&o.rate, "rate", 0, "`messages` per second (0: as fast as possible, or only bursts)")
	flags.Int64Var(&o.burst, "burst", 0, "`messages` sent at once every burst-interval, in addition to the rate")
	flags.DurationVar(&o.burstInterval, "burst-interval", 10*time.Second, "time between two bursts")
	flags.Int64Var(&o.count, "count", 0, "stop after this many `messages` (0: never)")
	flags.DurationVar(&o.duration, "duration", 0, "stop after that time (0: never)")
	flags.IntVar(&o.size, "size", 64, "`bytes` of a message")
	flags.IntVar(&o.pipeline, "pipeline", 100, "maximum number of `messages` in one exchange with the server")
	flags.DurationVar(&o.progress, "progress", time.Second, "interval of the progress line (0: none)")
	flags.BoolVar(&o.version, "version", false, "print the version")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(out, "publisher sends messages to a list, a stream, a sorted set or a channel on DragonFly or Redis.\n"+
				"Read from the environment alone: "+strings.Join(environmentOnly, ", ")+".\n\nFlags:")
			flags.SetOutput(out)
			flags.PrintDefaults()
		}
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q: there are only flags, see --help", flags.Arg(0))
	}
	if o.version {
		return o, nil
	}
	var err error
	o.redis, err = connection.Parse(connection.Lookup{
		Get: func(env string) string {
			if value, ok := given[env]; ok {
				return *value
			}
			return getenv(env)
		},
		Name: func(env string) string { return either(names[env], env) },
	})
	return o, errors.Join(err, o.check())
}

var environmentOnly = []string{
	connection.EnvUsername, connection.EnvPassword, connection.EnvUsernameFile, connection.EnvPasswordFile,
	connection.EnvSentinelUsername, connection.EnvSentinelPassword,
	connection.EnvTLSCAFile, connection.EnvTLSCertFile, connection.EnvTLSKeyFile,
}

func either(value, byDefault string) string {
	if value != "" {
		return value
	}
	return byDefault
}

func (o options) check() error {
	var errs []error
	fail := func(wrong bool, name string, value any, remedy string) {
		if wrong {
			errs = append(errs, fmt.Errorf("--%s is %q: %s", name, fmt.Sprint(value), remedy))
		}
	}
	fail(o.channel == "", "channel", o.channel, "set it to the key of the queue, for example orders")
	fail(!slices.Contains(kinds, o.queueType), "queue-type", o.queueType, "set it to one of "+strings.Join(kinds, ", "))
	fail(o.score != scoreSeconds && o.score != scoreMilliseconds, "score", o.score, "set it to "+scoreSeconds+" or "+scoreMilliseconds)
	fail(o.maxLength < 0, "max-length", o.maxLength, "set it to 0 for no limit, or to a number of entries")
	fail(o.maxLength > 0 && o.queueType != kindAuto && o.queueType != kindStream, "max-length", o.maxLength, "only a stream is trimmed: leave it out, or set --queue-type to Stream")
	fail(!(o.rate >= 0 && o.rate <= maxRate), "rate", o.rate, fmt.Sprintf("set it from 0 to %d messages per second", maxRate))
	fail(o.burst < 0, "burst", o.burst, "set it to 0 for none, or to a number of messages")
	fail(o.burstInterval <= 0, "burst-interval", o.burstInterval, "set it to more than 0, for example 10s")
	fail(o.count < 0, "count", o.count, "set it to 0 for no end, or to a number of messages")
	fail(o.duration < 0, "duration", o.duration, "set it to 0 for no end, or to a time such as 30s")
	fail(o.size < 1 || o.size > maxSize, "size", o.size, fmt.Sprintf("set it from 1 to %d bytes", maxSize))
	fail(o.pipeline < 1 || o.pipeline > maxPipeline, "pipeline", o.pipeline, fmt.Sprintf("set it from 1 to %d messages", maxPipeline))
	fail(o.progress < 0, "progress", o.progress, "set it to 0 for none, or to a time such as 1s")
	return errors.Join(errs...)
}
