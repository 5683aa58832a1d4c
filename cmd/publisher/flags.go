package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/simulation/trace"
	"github.com/jawaracloud/pubsub-operator/simulation/work"
)

// The environment variables of the queue, as workers have them.
const (
	envChannel   = "CHANNEL"
	envQueueKeys = "QUEUE_KEYS" // a JSON array of all keys
	envQueueType = "QUEUE_TYPE"
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

var environmentOnly = []string{
	connection.EnvUsername, connection.EnvPassword, connection.EnvUsernameFile, connection.EnvPasswordFile,
	connection.EnvSentinelUsername, connection.EnvSentinelPassword,
	connection.EnvTLSCAFile, connection.EnvTLSCertFile, connection.EnvTLSKeyFile,
}

// flagSet is the command line before it is checked.
type flagSet struct {
	set     *flag.FlagSet
	options options
	redis   map[string]*string // by environment variable

	traceFile              string
	traceSpeed, traceScale float64
	payload, payloadFile   string
	payloadTemplateFile    string
	distribution           string
	fields                 []string // NAME=TEMPLATE
}

func newFlagSet(getenv func(string) string) *flagSet {
	f := &flagSet{set: flag.NewFlagSet("publisher", flag.ContinueOnError), redis: map[string]*string{}}
	f.set.SetOutput(io.Discard) // the caller tells errors; help is written by help
	for _, r := range redisFlags {
		f.redis[r.env] = f.set.String(r.flag, cmp.Or(getenv(r.env), r.byDefault), r.help+" ("+r.env+")")
	}
	f.bindQueue(getenv)
	f.bindTimes()
	f.bindMessages()
	f.set.BoolVar(&f.options.version, "version", false, "print the version")
	return f
}

func (f *flagSet) bindQueue(getenv func(string) string) {
	o := &f.options
	f.set.Func("channel", "the queue's `key`; several: repeat it, and messages take turns (CHANNEL, or QUEUE_KEYS, a JSON array)", func(key string) error {
		o.channels = append(o.channels, key)
		return nil
	})
	f.set.StringVar(&o.queueType, "queue-type", cmp.Or(getenv(envQueueType), kindAuto), "List, Stream, SortedSet, PubSub, or Auto: the type of the key, or a list if it does not exist (QUEUE_TYPE)")
	f.set.StringVar(&o.score, "score", scoreSeconds, "the score of a sorted set's member, now in UnixSeconds or UnixMilliseconds")
	f.set.Int64Var(&o.maxLength, "max-length", 0, "trim a stream to about this many `entries` (0: never)")
	f.set.IntVar(&o.pipeline, "pipeline", 100, "maximum number of `messages` in one exchange with the server")
	f.set.StringVar(&o.metrics, "metrics-address", "", "`address` of the Prometheus metrics (/metrics), as host:port (default: none)")
	f.set.DurationVar(&o.progress, "progress", time.Second, "interval of the progress line (0: none)")
}

func (f *flagSet) bindTimes() {
	o := &f.options
	f.set.Float64Var(&o.rate, "rate", 0, "`messages` per second (0: as fast as possible, or only bursts)")
	f.set.Float64Var(&o.rampTo, "ramp-to", 0, "`messages` per second to which the rate changes evenly, and at which it stays")
	f.set.DurationVar(&o.ramp, "ramp", 0, "time in which the rate changes to ramp-to (0: it does not change)")
	f.set.Int64Var(&o.burst, "burst", 0, "`messages` sent at once every burst-interval, in addition to the rate")
	f.set.DurationVar(&o.burstInterval, "burst-interval", 10*time.Second, "time between two bursts")
	f.set.StringVar(&f.traceFile, "trace", "", "replay arrivals, and end with them: a CSV `file` as that of kubectl pubsub simulate, or "+strings.Join(trace.Names(), ", "))
	f.set.Float64Var(&f.traceSpeed, "trace-speed", 1, "how many times as fast the trace's time goes, at the same rates")
	f.set.Float64Var(&f.traceScale, "trace-scale", 1, "what the trace's rates are multiplied by")
	f.set.Int64Var(&o.count, "count", 0, "stop after this many `messages` (0: never)")
	f.set.DurationVar(&o.duration, "duration", 0, "stop after that time (0: never)")
}

func (f *flagSet) bindMessages() {
	o := &f.options
	f.set.IntVar(&o.size, "size", 64, "`bytes` of a message, unless the payload is given")
	f.set.StringVar(&f.payload, "payload", "", "`template` of the payload, such as {\"order\":{{.Number}}}")
	f.set.StringVar(&f.payloadTemplateFile, "payload-template-file", "", "`file` with the template of the payload")
	f.set.StringVar(&f.payloadFile, "payload-file", "", "`file` whose bytes are the payload of each message")
	f.set.BoolVar(&o.stdin, "stdin", false, "send each line of the standard input, and end with it; a rate is then a limit")
	f.set.Func("field", "`name=template` of a field of a stream's entries, beside the payload; repeat it for several", func(text string) error {
		f.fields = append(f.fields, text)
		return nil
	})
	f.set.DurationVar(&o.workTime, "work-time", 0, "mean `time` that messages are to take, which the payload says ({{.Work}}); workers have to heed it")
	f.set.StringVar(&f.distribution, "work-time-distribution", string(work.Exponential), "how these times are spread: "+work.Names())
	f.set.Float64Var(&o.distribution.Variation, "work-time-variation", 1, "of lognormal times: the standard deviation divided by the mean")
	f.set.Uint64Var(&o.seed, "seed", 1, "seed of the random times: the trace's arrivals, and work times")
}

// help writes what the flags are.
func (f *flagSet) help(out io.Writer) {
	fmt.Fprintln(out, "publisher sends messages to a list, a stream, a sorted set or a channel on DragonFly or Redis.\n"+
		"Read from the environment alone: "+strings.Join(environmentOnly, ", ")+".\n\nFlags:")
	f.set.SetOutput(out)
	f.set.PrintDefaults()
}

// complete reads what flags name, and checks all of it.
func (f *flagSet) complete(getenv func(string) string) (options, error) {
	names := map[string]string{}
	for _, r := range redisFlags {
		names[r.env] = "--" + r.flag
	}
	c := &checker{}
	o := f.options
	var err error
	o.redis, err = connection.Parse(connection.Lookup{
		Get: func(env string) string {
			if value, ok := f.redis[env]; ok {
				return *value
			}
			return getenv(env)
		},
		Name: func(env string) string { return cmp.Or(names[env], env) },
	})
	c.errs = append(c.errs, err)
	if len(o.channels) == 0 {
		o.channels, err = channelsOf(getenv)
		c.errs = append(c.errs, err)
	}
	o.distribution.Distribution = work.Distribution(f.distribution)
	o.trace, err = f.readTrace()
	c.errs = append(c.errs, err)
	o.payload, err = f.readPayload()
	c.errs = append(c.errs, err)
	o.fields, err = parseFields(f.fields)
	c.errs = append(c.errs, err)
	o.check(c)
	return o, errors.Join(c.errs...)
}

// channelsOf are the keys that the environment names.
func channelsOf(getenv func(string) string) (keys []string, err error) {
	text := getenv(envQueueKeys)
	if text == "" {
		if channel := getenv(envChannel); channel != "" {
			return []string{channel}, nil
		}
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &keys); err != nil {
		return nil, fmt.Errorf("%s is %q: set it to a JSON array of keys, for example [\"orders\",\"refunds\"]", envQueueKeys, text)
	}
	return keys, nil
}

// minFactor is the least that a trace is changed by: the longest one is then no longer than a time.Duration can be.
const minFactor = 0.001

// readTrace is the trace that was asked for, nil if there is none.
func (f *flagSet) readTrace() (*trace.Trace, error) {
	for name, value := range map[string]float64{"trace-speed": f.traceSpeed, "trace-scale": f.traceScale} {
		if !(value >= minFactor && value <= maxRate) {
			return nil, fmt.Errorf("--%s is \"%v\": set it from %v to %v, for example 10", name, value, minFactor, maxRate)
		}
	}
	if f.traceFile == "" {
		if f.traceSpeed != 1 || f.traceScale != 1 {
			return nil, errors.New("--trace is \"\": name a trace, or leave --trace-speed and --trace-scale out")
		}
		return nil, nil
	}
	builtIn, ok := trace.Lookup(f.traceFile)
	t := builtIn.Trace
	if !ok {
		file, err := os.Open(f.traceFile)
		if err != nil {
			return nil, fmt.Errorf("--trace is %q: %w: name a CSV file, or one of %s", f.traceFile, err, strings.Join(trace.Names(), ", "))
		}
		defer file.Close() // it was only read
		if t, err = trace.ReadCSV(strings.TrimSuffix(filepath.Base(f.traceFile), filepath.Ext(f.traceFile)), file); err != nil {
			return nil, fmt.Errorf("--trace is %q: %w", f.traceFile, err)
		}
	}
	t = t.Faster(f.traceSpeed).Scaled(f.traceScale)
	if err := t.Validate(); err != nil {
		return nil, fmt.Errorf("--trace is %q: %w", f.traceFile, err)
	}
	return &t, nil
}

// readPayload is what makes the payloads, nil where it is our own.
func (f *flagSet) readPayload() (renderer, error) {
	var given []string
	f.set.Visit(func(flag *flag.Flag) {
		switch flag.Name {
		case "size", "payload", "payload-file", "payload-template-file", "stdin":
			given = append(given, "--"+flag.Name)
		}
	})
	if len(given) > 1 {
		return nil, fmt.Errorf("%s are given: each says what the payload is, so leave all but one out", strings.Join(given, " and "))
	}
	switch {
	case f.payloadFile != "":
		text, err := readPayloadFile("payload-file", f.payloadFile)
		return literal(text), err
	case f.payloadTemplateFile != "":
		text, err := readPayloadFile("payload-template-file", f.payloadTemplateFile)
		if err != nil {
			return nil, err
		}
		return parseTemplate("--payload-template-file is "+fmt.Sprintf("%q", f.payloadTemplateFile), text)
	case f.payload != "":
		return parseTemplate(fmt.Sprintf("--payload is %q", f.payload), f.payload)
	case f.options.workTime > 0 && !f.options.stdin:
		return parseTemplate("the payload", timedPayload)
	}
	return nil, nil
}

func readPayloadFile(name, file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("--%s is %q: %w", name, file, err)
	}
	if len(text) > maxSize {
		return "", fmt.Errorf("--%s is %q, which has %d bytes: a message has at most %d", name, file, len(text), maxSize)
	}
	return string(text), nil
}
