// Package trace tells when messages arrive: at rates that change over time, in batches, or
// as a file says. It has no clock and no I/O of its own, and the same trace with the same
// seed always gives the same arrivals.
package trace

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Limits of a trace, so that a slip in a file's units is an error and not an hour of
// computing.
const (
	MaxLength   = 31 * 24 * time.Hour
	MaxMessages = 1_000_000_000
)

// Trace is messages that arrive over time. Rates are a Poisson process: as many clients
// make it, each on its own. Batches are exact numbers.
type Trace struct {
	Name        string
	Description string // one line
	Ramps       []Ramp // one after the other, from the start
	Batches     []Batch
}

// Ramp is a rate that changes evenly.
type Ramp struct {
	Length   time.Duration
	From, To float64 // messages per second, 0 or more
}

// Batch is an exact number of messages that arrive within a time, each at a random moment.
type Batch struct {
	At       time.Duration // from the start of the trace
	Length   time.Duration // more than 0
	Messages int64
}

// Length is the time from the start to the end of the last ramp or batch.
func (t Trace) Length() time.Duration {
	var length time.Duration
	for _, ramp := range t.Ramps {
		length += ramp.Length
	}
	for _, batch := range t.Batches {
		length = max(length, batch.At+batch.Length)
	}
	return length
}

// Messages is how many messages are expected to arrive in all.
func (t Trace) Messages() float64 {
	var messages float64
	for _, ramp := range t.Ramps {
		messages += (ramp.From + ramp.To) / 2 * ramp.Length.Seconds()
	}
	for _, batch := range t.Batches {
		messages += float64(batch.Messages)
	}
	return messages
}

// Validate returns an error where the trace is longer, or has more messages, than can be
// replayed in reasonable time.
func (t Trace) Validate() error {
	if length := t.Length(); length <= 0 || length > MaxLength {
		return fmt.Errorf("the trace lasts %s: it must last more than 0 and at most %s; leave a part out, or check the unit of its times", length, MaxLength)
	}
	if messages := t.Messages(); messages > MaxMessages {
		return fmt.Errorf("the trace has %.0f messages: at most %d can be replayed; leave a part out, or check whether its numbers are rates or counts", messages, MaxMessages)
	}
	return nil
}

// Faster is the trace with its time that many times as fast, more than 0, at the same rates: so
// there are as many times fewer messages.
func (t Trace) Faster(by float64) Trace { return t.changed(by, 1) }

// Scaled is the trace with its rates multiplied, by more than 0, in the same time.
func (t Trace) Scaled(by float64) Trace { return t.changed(1, by) }

func (t Trace) changed(speed, scale float64) Trace {
	shorter := func(d time.Duration) time.Duration { return time.Duration(math.Round(float64(d) / speed)) }
	changed := Trace{Name: t.Name, Description: t.Description}
	for _, ramp := range t.Ramps {
		changed.Ramps = append(changed.Ramps, Ramp{Length: shorter(ramp.Length), From: ramp.From * scale, To: ramp.To * scale})
	}
	var sum, counted float64 // so that many small batches are not all rounded the same way
	for _, batch := range t.Batches {
		sum += float64(batch.Messages) * scale / speed
		messages := math.Round(sum - counted)
		counted += messages
		changed.Batches = append(changed.Batches, Batch{At: shorter(batch.At), Length: max(1, shorter(batch.Length)), Messages: int64(messages)})
	}
	return changed
}

// Expected is the messages expected in each second of the trace.
func (t Trace) Expected() []float64 {
	expected := t.rates()
	for _, batch := range t.Batches {
		perSecond := float64(batch.Messages) / batch.Length.Seconds()
		addEvenly(expected, batch.At.Seconds(), (batch.At + batch.Length).Seconds(), func(from, to float64) float64 {
			return perSecond * (to - from)
		})
	}
	return expected
}

// Arrivals is the messages that arrive in each second of the trace. The trace must be
// valid.
func (t Trace) Arrivals(seed uint64) []int64 {
	random := rand.New(rand.NewPCG(seed, 0))
	rates := t.rates()
	arrivals := make([]int64, len(rates))
	for second, mean := range rates {
		arrivals[second] = poisson(random, mean)
	}
	for _, batch := range t.Batches {
		from, length := batch.At.Seconds(), batch.Length.Seconds()
		first := int(from)
		if int(math.Ceil(from+length)) == first+1 { // all in one second
			arrivals[first] += batch.Messages
			continue
		}
		for range batch.Messages {
			second := int(from + random.Float64()*length)
			arrivals[min(second, len(arrivals)-1)]++ // the sum may be rounded up to the end
		}
	}
	return arrivals
}

// rates is the messages expected of the ramps in each second.
func (t Trace) rates() []float64 {
	rates := make([]float64, int(math.Ceil(t.Length().Seconds())))
	var start float64
	for _, ramp := range t.Ramps {
		length := ramp.Length.Seconds()
		slope := (ramp.To - ramp.From) / length
		addEvenly(rates, start, start+length, func(from, to float64) float64 {
			return (ramp.From + slope*((from+to)/2-start)) * (to - from)
		})
		start += length
	}
	return rates
}

// addEvenly adds, to each second that [from, to) touches, what messages has for the part of
// the second that it covers.
func addEvenly(seconds []float64, from, to float64, messages func(from, to float64) float64) {
	for second := int(from); second < len(seconds) && float64(second) < to; second++ {
		seconds[second] += messages(max(from, float64(second)), min(to, float64(second+1)))
	}
}
