package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/simulation/trace"
	"github.com/jawaracloud/pubsub-operator/simulation/work"
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

	channels  []string // one at least; messages take turns
	queueType string
	score     string // of a sorted set
	maxLength int64  // of a stream; 0: no limit

	rate          float64       // messages per second; 0: as fast as possible, unless there is a burst, a ramp or a trace
	rampTo        float64       // messages per second, to which the rate changes evenly within ramp
	ramp          time.Duration // 0: the rate stays
	burst         int64
	burstInterval time.Duration
	trace         *trace.Trace  // in the place of the rate and bursts
	count         int64         // 0: until stopped
	duration      time.Duration // 0: until stopped
	pipeline      int           // messages
	progress      time.Duration // 0: none
	metrics       string        // address of /metrics; empty: none

	size         int           // bytes of a payload of our own
	payload      renderer      // nil: one of our own
	fields       []field       // of a stream's entries, beside the payload
	stdin        bool          // the payloads are the lines of the standard input
	workTime     time.Duration // mean of what messages are to take; 0: they don't say
	distribution work.Work
	seed         uint64

	version bool
}

const (
	maxSize     = 64 << 20 // bytes; well below the 512 MB that a value may have
	maxPipeline = 10_000
	maxRate     = 10_000_000
	maxKeys     = 32 // as a channel may have
)

// checker collects what is wrong in the flags.
type checker struct{ errs []error }

// refuse adds an error, which names the flag, its value and the remedy, if something is wrong.
func (c *checker) refuse(wrong bool, name string, value any, remedy string) {
	if wrong {
		c.errs = append(c.errs, fmt.Errorf("--%s is %q: %s", name, fmt.Sprint(value), remedy))
	}
}

func (o options) check(c *checker) {
	c.refuse(len(o.channels) == 0, "channel", "", "set it to the key of the queue, for example orders")
	for i, channel := range o.channels {
		c.refuse(channel == "", "channel", channel, "set it to the key of the queue, for example orders")
		c.refuse(slices.Contains(o.channels[:i], channel), "channel", channel, "name each key once")
	}
	c.refuse(len(o.channels) > maxKeys, "channel", fmt.Sprintf("%d keys", len(o.channels)), fmt.Sprintf("name at most %d, and start another publisher for the others", maxKeys))
	c.refuse(!slices.Contains(kinds, o.queueType), "queue-type", o.queueType, "set it to one of "+strings.Join(kinds, ", "))
	c.refuse(o.score != scoreSeconds && o.score != scoreMilliseconds, "score", o.score, "set it to "+scoreSeconds+" or "+scoreMilliseconds)
	c.refuse(o.maxLength < 0, "max-length", o.maxLength, "set it to 0 for no limit, or to a number of entries")
	c.refuse(o.maxLength > 0 && o.queueType != kindAuto && o.queueType != kindStream, "max-length", o.maxLength, "only a stream is trimmed: leave it out, or set --queue-type to Stream")
	c.refuse(len(o.fields) > 0 && o.queueType != kindAuto && o.queueType != kindStream, "field", len(o.fields), "only a stream's entries have fields: leave it out, or set --queue-type to Stream")
	c.refuse(o.count < 0, "count", o.count, "set it to 0 for no end, or to a number of messages")
	c.refuse(o.duration < 0, "duration", o.duration, "set it to 0 for no end, or to a time such as 30s")
	c.refuse(o.size < 1 || o.size > maxSize, "size", o.size, fmt.Sprintf("set it from 1 to %d bytes", maxSize))
	c.refuse(o.pipeline < 1 || o.pipeline > maxPipeline, "pipeline", o.pipeline, fmt.Sprintf("set it from 1 to %d messages", maxPipeline))
	c.refuse(o.progress < 0, "progress", o.progress, "set it to 0 for none, or to a time such as 1s")
	if o.metrics != "" {
		_, _, err := net.SplitHostPort(o.metrics)
		c.refuse(err != nil, "metrics-address", o.metrics, "set it to host:port or :port, for example :9090, or leave it out")
	}
	o.checkTimes(c)
}

func (o options) checkTimes(c *checker) {
	c.refuse(!(o.rate >= 0 && o.rate <= maxRate), "rate", o.rate, fmt.Sprintf("set it from 0 to %d messages per second", maxRate))
	c.refuse(!(o.rampTo >= 0 && o.rampTo <= maxRate), "ramp-to", o.rampTo, fmt.Sprintf("set it from 0 to %d messages per second", maxRate))
	c.refuse(o.ramp < 0, "ramp", o.ramp, "set it to the time in which the rate becomes --ramp-to, such as 5m")
	c.refuse(o.ramp == 0 && o.rampTo > 0, "ramp-to", o.rampTo, "say in --ramp how long it takes, such as 5m")
	c.refuse(o.ramp > 0 && o.rate == 0 && o.rampTo == 0, "ramp", o.ramp, "set --rate or --ramp-to to more than 0")
	c.refuse(o.burst < 0, "burst", o.burst, "set it to 0 for none, or to a number of messages")
	c.refuse(o.burstInterval <= 0, "burst-interval", o.burstInterval, "set it to more than 0, for example 10s")
	c.refuse(o.trace != nil && (o.rate > 0 || o.ramp > 0 || o.burst > 0), "trace", o.traceName(), "a trace has its own rates: leave --rate, --ramp and --burst out")
	c.refuse(o.workTime < 0, "work-time", o.workTime, "set it to the mean of what messages are to take, such as 200ms")
	c.refuse(errors.Join(c.errs...) == nil && o.workTime > 0 && !o.saysWork(), "work-time", o.workTime, "no message says what it is to take: use {{.Work}} in --payload, in --payload-template-file or in a --field, or leave it out")
	c.refuse(!slices.Contains(work.Distributions(), o.distribution.Distribution), "work-time-distribution", o.distribution.Distribution, "set it to "+work.Names())
	c.refuse(!(o.distribution.Variation > 0 && o.distribution.Variation <= work.MaxVariation), "work-time-variation", o.distribution.Variation, fmt.Sprintf("set it to more than 0 and at most %d", work.MaxVariation))
}

// saysWork tells whether messages differ by what they are to take.
func (o options) saysWork() bool {
	says := func(r renderer) bool {
		none, err := r.render(facts{At: time.Unix(0, 0)})
		some, errToo := r.render(facts{At: time.Unix(0, 0), Work: time.Hour})
		return err != nil || errToo != nil || none != some // an error is told where it comes from
	}
	return o.payload != nil && says(o.payload) || slices.ContainsFunc(o.fields, func(f field) bool { return says(f.value) })
}

func (o options) traceName() string {
	if o.trace == nil {
		return ""
	}
	return o.trace.Name
}

// parse reads flags, and for a flag that isn't given the environment; what has no flag comes
// from the environment alone. The error names each value that is wrong and the remedy;
// flag.ErrHelp means that help was asked for and written to out.
func parse(args []string, getenv func(string) string, out io.Writer) (options, error) {
	f := newFlagSet(getenv)
	if err := f.set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			f.help(out)
		}
		return options{}, err
	}
	if f.set.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q: there are only flags, see --help", f.set.Arg(0))
	}
	if f.options.version {
		return f.options, nil
	}
	return f.complete(getenv)
}
