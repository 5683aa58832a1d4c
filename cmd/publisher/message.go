package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"text/template"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/jawaracloud/pubsub-operator/simulation/work"
)

// message is what is sent.
type message struct {
	payload string
	fields  []any      // name, value, name, value, of a stream's entry beside the payload
	span    trace.Span // nil: it is not traced
}

// facts are what a template may use.
type facts struct {
	Number  int64         // of the message in this run, from 0
	Run     string        // tells this run's messages from another's
	Channel string        // the key that it goes to
	At      time.Time     // when it is sent
	Work    time.Duration // what it is to take; 0 without --work-time
}

// renderer makes a payload or the value of a field.
type renderer interface {
	render(facts) (string, error)
}

// literal is the same for all messages.
type literal string

func (l literal) render(facts) (string, error) { return string(l), nil }

// filled is a template, which is filled in for each message.
type filled struct{ *template.Template }

func (f filled) render(about facts) (string, error) {
	var text strings.Builder
	err := f.Execute(&text, about)
	return text.String(), err
}

// parseTemplate reads a template, and tries it, so that what can't be filled in is told
// before the first message. source names it in errors: the flag and its value.
func parseTemplate(source, text string) (renderer, error) {
	const remedy = "write it as Go's text/template, with {{.Number}}, {{.Run}}, {{.Channel}}, {{.At.UnixMilli}} or {{.Work}}"
	parsed, err := template.New("payload").Parse(text)
	if err == nil {
		err = parsed.Execute(io.Discard, facts{At: time.Unix(0, 0)})
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", source, err, remedy)
	}
	return filled{parsed}, nil
}

// timedPayload says when a message was sent and what it is to take, so that a handler can
// work for that long, and tell how long it waited.
const timedPayload = `{"run":"{{.Run}}","number":{{.Number}},"sentMicros":{{.At.UnixMicro}},"workMicros":{{.Work.Microseconds}}}`

// field is a field of a stream's entries.
type field struct {
	name  string
	value renderer
}

// payloadField holds the payload of a stream's entry.
const payloadField = "payload"

func parseFields(texts []string) (fields []field, err error) {
	named := map[string]bool{payloadField: true}
	for _, text := range texts {
		name, value, found := strings.Cut(text, "=")
		switch {
		case !found || name == "":
			return nil, fmt.Errorf("--field is %q: write it as name=value, for example priority=high", text)
		case named[name]:
			return nil, fmt.Errorf("--field is %q: the entry has a field %s already: name another, or use --payload for the payload", text, name)
		}
		named[name] = true
		parsed, err := parseTemplate(fmt.Sprintf("--field is %q", text), value)
		if err != nil {
			return nil, err
		}
		fields = append(fields, field{name, parsed})
	}
	return fields, nil
}

// maker makes messages one after the other.
type maker struct {
	options
	run    string
	random *rand.Rand // of the work times
}

// randomWork tells the random numbers of work times from those of arrivals with the same seed.
const randomWork = 2

func newMaker(o options) *maker {
	return &maker{options: o, run: fmt.Sprintf("%08x", rand.Uint32()), random: rand.New(rand.NewPCG(o.seed, randomWork))}
}

// message is the message of that number. line is its payload if it was read.
func (m *maker) message(number int64, channel string, at time.Time, line *string) (message, error) {
	about := facts{Number: number, Run: m.run, Channel: channel, At: at, Work: m.draw()}
	made := message{}
	var err error
	switch {
	case line != nil:
		made.payload = *line
	case m.payload != nil:
		if made.payload, err = m.payload.render(about); err != nil {
			return message{}, fmt.Errorf("%w: the payload of message %d: %w", errPermanent, number, err)
		}
	default:
		made.payload = payload(m.run, number, m.size)
	}
	for _, f := range m.fields {
		value, err := f.value.render(about)
		if err != nil {
			return message{}, fmt.Errorf("%w: the field %s of message %d: %w", errPermanent, f.name, number, err)
		}
		made.fields = append(made.fields, f.name, value)
	}
	return made, nil
}

// draw is how long the next message is to take.
func (m *maker) draw() time.Duration {
	if m.workTime == 0 {
		return 0
	}
	return time.Duration(float64(m.workTime) * work.Work{Distribution: m.distribution.Distribution, Variation: m.distribution.Variation}.Draw(m.random))
}

// payload is a message of that size: the run and the message's number, filled up with dots.
// Of a size that is too small for them the last digits are kept.
func payload(run string, number int64, size int) string {
	text := fmt.Sprintf("%s-%012d", run, number)
	if len(text) >= size {
		return text[len(text)-size:]
	}
	return text + strings.Repeat(".", size-len(text))
}
