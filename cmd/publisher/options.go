package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// The kinds of queue.
const (
	kindAuto   = "Auto"
	kindList   = "List"
	kindStream = "Stream"
)

// options are the publisher's settings, complete and valid.
type options struct {
	redisAddress, username, password string

	channel   string
	queueType string
	maxLength int64 // of a stream; 0: no limit

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

// parse reads flags, and where a flag isn't given REDIS_ADDR, CHANNEL and QUEUE_TYPE; user and
// password come from REDIS_USERNAME and REDIS_PASSWORD alone. The error names each value
// that is wrong and the remedy; flag.ErrHelp means that help was asked for and written to
// out.
func parse(args []string, getenv func(string) string, out io.Writer) (options, error) {
	o := options{username: getenv("REDIS_USERNAME"), password: getenv("REDIS_PASSWORD")}
	flags := flag.NewFlagSet("publisher", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the caller tells errors; help is written below
	flags.StringVar(&o.redisAddress, "redis-address", either(getenv("REDIS_ADDR"), "127.0.0.1:6379"), "the server, host:`port` (REDIS_ADDR)")
	flags.StringVar(&o.channel, "channel", getenv("CHANNEL"), "the queue's `key` (CHANNEL)")
	flags.StringVar(&o.queueType, "queue-type", either(getenv("QUEUE_TYPE"), kindAuto), "List, Stream, or Auto: what the key holds, else a list (QUEUE_TYPE)")
	flags.Int64Var(&o.maxLength, "max-length", 0, "trim a stream to about so many `entries` (0: never)")
	flags.Float64Var(&o.rate, "rate", 0, "`messages` per second (0: as fast as possible, or only bursts)")
	flags.Int64Var(&o.burst, "burst", 0, "`messages` sent at once every burst-interval, beside the rate")
	flags.DurationVar(&o.burstInterval, "burst-interval", 10*time.Second, "time between two bursts")
	flags.Int64Var(&o.count, "count", 0, "stop after so many `messages` (0: never)")
	flags.DurationVar(&o.duration, "duration", 0, "stop after that time (0: never)")
	flags.IntVar(&o.size, "size", 64, "`bytes` of a message")
	flags.IntVar(&o.pipeline, "pipeline", 100, "`messages` sent in one exchange with the server, at most")
	flags.DurationVar(&o.progress, "progress", time.Second, "interval of the progress line (0: none)")
	flags.BoolVar(&o.version, "version", false, "print the version")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(out, "publisher sends messages to a list or a stream on DragonFly or Redis.\n"+
				"A user and a password are read from REDIS_USERNAME and REDIS_PASSWORD.\n\nFlags:")
			flags.SetOutput(out)
			flags.PrintDefaults()
		}
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q: there are only flags, see --help", flags.Arg(0))
	}
	return o, o.check()
}

func either(value, byDefault string) string {
	if value != "" {
		return value
	}
	return byDefault
}

func (o options) check() error {
	if o.version {
		return nil
	}
	var errs []error
	fail := func(wrong bool, name string, value any, remedy string) {
		if wrong {
			errs = append(errs, fmt.Errorf("--%s is %q: %s", name, fmt.Sprint(value), remedy))
		}
	}
	fail(!isAddress(o.redisAddress), "redis-address", o.redisAddress, "set it to host:port without a scheme, for example 127.0.0.1:6379")
	fail(o.channel == "", "channel", o.channel, "set it to the key of the list or stream, for example orders")
	fail(o.queueType != kindAuto && o.queueType != kindList && o.queueType != kindStream, "queue-type", o.queueType, "set it to Auto, List or Stream")
	fail(o.maxLength < 0, "max-length", o.maxLength, "set it to 0 for no limit, or to a number of entries")
	fail(o.maxLength > 0 && o.queueType == kindList, "max-length", o.maxLength, "a list is not trimmed: leave it out, or set --queue-type to Stream")
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

func isAddress(address string) bool {
	host, port, err := net.SplitHostPort(address)
	number, portErr := strconv.ParseUint(port, 10, 16)
	return err == nil && portErr == nil && number > 0 && host != "" && !strings.ContainsAny(host, "/@ ")
}
