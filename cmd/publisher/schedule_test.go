package main

import (
	"bytes"
	"io"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/simulation/trace"
)

// sentBy is how many messages a plan has had sent by a time if it is asked as often as it says.
func sentBy(p plan, end time.Duration) (sent int64) {
	for at := time.Duration(0); at <= end; {
		n := p.due(at, 7)
		sent += n
		if n == 0 {
			at += max(min(p.wait(at), time.Second), 1)
		}
	}
	return sent
}

func TestRamp(t *testing.T) {
	for name, tc := range map[string]struct {
		from, to float64
		at       time.Duration
		want     float64
	}{
		"up":         {10, 30, 10 * time.Second, 200},
		"half":       {10, 30, 5 * time.Second, 75},
		"it stays":   {10, 30, 20 * time.Second, 500},
		"from 0":     {0, 20, 10 * time.Second, 100},
		"down":       {30, 10, 10 * time.Second, 200},
		"down to 0":  {20, 0, 10 * time.Second, 100},
		"no more":    {20, 0, time.Hour, 100},
		"as it was":  {10, 10, 20 * time.Second, 200},
		"to a trace": {0, 0.5, 10 * time.Second, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSchedule(options{rate: tc.from, rampTo: tc.to, ramp: 10 * time.Second})
			assert.InDelta(t, tc.want, sentBy(s, tc.at), 1)
			assert.Zero(t, s.missed())
		})
	}
	s := newSchedule(options{rate: 20, rampTo: 0, ramp: 10 * time.Second})
	s.spent = 100
	assert.Greater(t, s.wait(time.Hour), 1000*time.Hour, "nothing is due any more")
}

func TestWhatIsGivenUpIsCounted(t *testing.T) {
	s := newSchedule(options{rate: 100})
	assert.EqualValues(t, 10, s.due(100*time.Millisecond, math.MaxInt64))
	assert.Equal(t, 490*time.Millisecond, s.lag(600*time.Millisecond))
	assert.EqualValues(t, 100, s.due(10*time.Second, math.MaxInt64))
	assert.EqualValues(t, 1000-10-100, s.missed())
	assert.Zero(t, s.lag(10*time.Second))

	b := newSchedule(options{burst: 50, burstInterval: time.Second})
	assert.EqualValues(t, 50, b.due(0, math.MaxInt64))
	assert.EqualValues(t, 50, b.due(3*time.Second, math.MaxInt64))
	assert.EqualValues(t, 100, b.missed(), "two bursts")
	assert.EqualValues(t, 30, b.due(4*time.Second, 30))
	assert.Equal(t, 500*time.Millisecond, b.lag(4*time.Second+500*time.Millisecond))
}

// The publisher sends in each second what the simulation has arrive in it.
func TestReplayIsTheSimulationsArrivals(t *testing.T) {
	builtIn, _ := trace.Lookup("spike")
	short := builtIn.Faster(60)
	arrivals := short.Arrivals(3)
	r := newReplay(short, 3)
	for second, want := range arrivals {
		assert.Equal(t, want, r.due(time.Duration(second+1)*time.Second-1, math.MaxInt64), second)
	}
	assert.True(t, r.over())

	r = newReplay(short, 3)
	var sum int64
	for _, n := range arrivals {
		sum += n
	}
	assert.Equal(t, sum, sentBy(r, short.Length()), "also if it waits as long as the plan says")
	r = newReplay(short, 3)
	first := r.wait(0)
	assert.Zero(t, r.due(first-1, 1))
	assert.EqualValues(t, 1, r.due(first, 1))
	assert.Positive(t, r.lag(time.Hour))
	assert.Equal(t, sum-1, r.due(time.Hour, math.MaxInt64), "what is late is not given up")
}

func TestTraceOfAFile(t *testing.T) {
	name := file(t, "orders.csv", "time,arrivals\n0,100\n10,300\n")
	server := redistest.Start(t)
	code, out, side := publishTo(t, server.Addr, "--trace="+name, "--trace-speed=20", "--trace-scale=10", "--progress=0")
	require.Zero(t, code, side)
	assert.Contains(t, out, "sent 200 messages in 1.")
	assert.EqualValues(t, 200, server.Client().LLen(t.Context(), "q").Val())

	o, err := parse([]string{"--channel=q", "--trace=flash", "--trace-speed=21"}, noEnv, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, 10*time.Minute, o.trace.Length())
}

// slow is a plan's clock that goes on by a fixed time with each look.
type slow struct {
	now  time.Time
	step time.Duration
}

func (s *slow) Now() time.Time {
	s.now = s.now.Add(s.step)
	return s.now
}

func TestARateThatIsNotKeptIsToldOnce(t *testing.T) {
	server := redistest.Start(t)
	for name, tc := range map[string]struct {
		change func(*options)
		missed bool
	}{
		"rate": {func(o *options) { o.rate = 1000 }, true},
		"trace": {func(o *options) {
			o.trace = &trace.Trace{Ramps: []trace.Ramp{{Length: 10 * time.Second, From: 1000, To: 1000}}}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := options{channels: []string{"q"}, queueType: kindList, size: 10, pipeline: 10, count: 500}
			tc.change(&o)
			var said []bool
			lines := &progress{out: io.Discard, now: time.Now}
			p := newPublisher(o, server.Client(), lines.trouble)
			p.late = func(behind bool, got totals) {
				if behind != lines.behind {
					said = append(said, behind)
				}
				lines.late(behind, got)
			}
			clock := &slow{step: 50 * time.Millisecond} // 10 messages in each 100 ms at most
			require.NoError(t, p.publish(t.Context(), clock.Now, func() {}))
			assert.Equal(t, []bool{true}, said)
			assert.EqualValues(t, 500, p.totals.sent)
			assert.Equal(t, tc.missed, p.totals.missed > 0, p.totals.missed)
			assert.Contains(t, summary(p.totals, time.Second), "s late")
			if tc.missed {
				assert.Contains(t, summary(p.totals, time.Second), "the rate was not kept")
			}
		})
	}
}

func TestARateThatIsKeptAgainIsTold(t *testing.T) {
	var text bytes.Buffer
	p := &progress{out: &text}
	p.late(false, totals{})
	p.late(true, totals{lag: 1500 * time.Millisecond})
	p.late(true, totals{lag: 2 * time.Second})
	p.late(false, totals{missed: 12})
	assert.Equal(t, "publisher: the rate is not kept: messages are sent 1.5 s late; raise --pipeline, or start several publishers at a part of the rate\n"+
		"publisher: the rate is kept again; 12 messages given up so far\n", text.String())
	assert.Equal(t, "  missed 3  1.2 s late", rest(totals{missed: 3, lag: 1200 * time.Millisecond}))
}
