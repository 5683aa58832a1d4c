package delivery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
)

// Format is how a message is posted.
type Format string

// The formats.
const (
	Raw                   Format = "Raw" // the payload alone
	CloudEventsBinary     Format = "CloudEventsBinary"
	CloudEventsStructured Format = "CloudEventsStructured"
)

// DefaultEventType is the type of events where neither the settings nor the entry name one.
const DefaultEventType = "io.jawaracloud.pubsub.message"

const (
	// attributePrefix begins the names of fields that are attributes of the event, as in
	// CloudEvents' Kafka binding (1.0.2, 3.2.3); there is none for Redis.
	attributePrefix = "ce_"
	structured      = "application/cloudevents+json; charset=UTF-8"
)

func isAttribute(field string) bool { return strings.HasPrefix(field, attributePrefix) }

// toEvent makes an event of the message. An entry's fields say what they want to say; an
// error is about these.
func toEvent(m source.Message, eventType, eventSource, contentType string) (event.Event, error) {
	e := event.New(event.CloudEventsVersionV1)
	mediaType, body := content(m, contentType)
	e.SetDataContentType(mediaType)
	e.SetID(text(m.ID))
	e.SetType(eventType)
	if eventSource == "" {
		eventSource = "/queues/" + url.PathEscape(m.Key)
	}
	e.SetSource(eventSource)
	e.SetSubject(text(m.Key))
	fields := m.Fields()
	if manifold(fields) {
		fields = nil // they are the data
	}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		name, ok := strings.CutPrefix(field, attributePrefix)
		if !ok {
			continue
		}
		value, _ := fields[field].(string)
		if err := setAttribute(&e, name, value); err != nil {
			return e, fmt.Errorf("field %s is %.100q: %w", field, value, err)
		}
	}
	setData(&e, body)
	var invalid event.ValidationError
	if err := e.Validate(); errors.As(err, &invalid) {
		var reasons []string
		for _, name := range slices.Sorted(maps.Keys(invalid)) {
			reasons = append(reasons, fmt.Sprintf("%s: %v", name, invalid[name]))
		}
		return e, errors.New(strings.Join(reasons, "; "))
	}
	return e, nil
}

func setAttribute(e *event.Event, name, value string) error {
	if !utf8.ValidString(value) {
		return errors.New("an attribute must be UTF-8")
	}
	switch name {
	case "specversion":
		if value != event.CloudEventsVersionV1 {
			return fmt.Errorf("this worker knows version %s alone", event.CloudEventsVersionV1)
		}
	case "id":
		e.SetID(value)
	case "type":
		e.SetType(value)
	case "source":
		e.SetSource(value)
	case "subject":
		e.SetSubject(value)
	case "dataschema":
		e.SetDataSchema(value)
	case "datacontenttype":
		if err := CheckMediaType(value); err != nil {
			return fmt.Errorf("it must be a media type: %w", err)
		}
		e.SetDataContentType(value)
	case "time":
		at, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return errors.New("it must be a time of RFC 3339")
		}
		e.SetTime(at)
	default:
		if name == "data" || name == "data_base64" {
			return errors.New("data is no attribute: publish it as the field payload")
		}
		e.SetExtension(name, value)
	}
	return nil
}

// setData keeps the bytes as they are: as text or JSON only where they are that, and the
// SDK knows their type for it (event.isJSON), else in base64.
func setData(e *event.Event, body string) {
	e.DataEncoded = []byte(body)
	switch mediaType := e.DataMediaType(); {
	case mediaType == event.ApplicationJSON, mediaType == event.TextJSON:
		e.DataBase64 = !json.Valid(e.DataEncoded)
	case strings.HasPrefix(mediaType, "text/"), mediaType == inForm:
		e.DataBase64 = !utf8.ValidString(body)
	default:
		e.DataBase64 = true
	}
}

// text is an attribute of any bytes.
func text(value string) string {
	if utf8.ValidString(value) {
		return value
	}
	return escape(value)
}

// asBinary adds an event's attributes as headers (CloudEvents' HTTP binding 1.0.2, 3.1). The
// SDK has this too, but leaves out the %XX without which some attributes are no header,
// and brings a logger with it.
func asBinary(e event.Event, header http.Header) {
	attributes := map[string]string{
		"specversion": e.SpecVersion(), "id": e.ID(), "type": e.Type(), "source": e.Source(),
		"subject": e.Subject(), "dataschema": e.DataSchema(),
	}
	if !e.Time().IsZero() {
		attributes["time"] = e.Time().Format(time.RFC3339Nano)
	}
	for name, value := range e.Extensions() {
		attributes[name], _ = value.(string) // setAttribute sets no others
	}
	for name, value := range attributes {
		if value != "" {
			header.Set("ce-"+name, escape(value))
		}
	}
	header.Set("Content-Type", e.DataContentType())
}

// asStructured is an event in JSON (CloudEvents' JSON format 1.0.2).
func asStructured(e event.Event) ([]byte, error) {
	var body bytes.Buffer
	err := event.WriteJson(&e, &body)
	return body.Bytes(), err
}
