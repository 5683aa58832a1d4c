package view

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/deadletter"
)

// Letter is a dead letter, and where it is.
type Letter struct {
	deadletter.Letter
	Key   string // the queue's
	Group string // the consumer group's, of a stream; else empty
}

// widest is how many characters of a payload, or of a reason, a table shows.
const widest = 80

// Letters is a table of letters. There is a column for the key if there are several.
func Letters(letters []Letter, now time.Time) string {
	several := slices.ContainsFunc(letters, func(l Letter) bool { return l.Key != letters[0].Key })
	rows := [][]string{{"KEY", "ID", "AGE", "DELIVERIES", "WORKER", "REASON", "PAYLOAD"}}
	for _, l := range letters {
		rows = append(rows, []string{
			clean(l.Key), clean(l.ID), duration.HumanDuration(max(0, now.Sub(l.Time))), fmt.Sprint(l.Deliveries),
			clean(l.Worker), short(l.Reason), short(l.content()),
		})
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var out strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			if i > 0 || several {
				line.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)) + gap)
			}
		}
		out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return out.String()
}

// content is the payload, or all fields of an entry without one.
func (l Letter) content() string {
	if payload, ok := l.Fields["payload"]; ok {
		return payload
	}
	if l.Fields == nil {
		return l.Payload
	}
	return fmt.Sprint(l.Fields)
}

func short(text string) string {
	runes := []rune(clean(strings.ToValidUTF8(text, "\uFFFD")))
	if len(runes) > widest {
		return string(runes[:widest-1]) + "…"
	}
	return string(runes)
}

// letterJSON is a letter in JSON. What is not UTF-8 is in Base64, under another name.
type letterJSON struct {
	Key           string            `json:"key"`
	Group         string            `json:"group,omitempty"`
	ID            string            `json:"id"`
	Time          time.Time         `json:"time"`
	Deliveries    int64             `json:"deliveries"`
	Worker        string            `json:"worker"`
	Reason        string            `json:"reason"`
	Payload       *string           `json:"payload,omitempty"`
	PayloadBase64 string            `json:"payloadBase64,omitempty"`
	Fields        map[string]string `json:"fields,omitempty"`
	FieldsBase64  map[string]string `json:"fieldsBase64,omitempty"`
}

// LettersJSON are the letters as JSON has them.
func LettersJSON(letters []Letter) any {
	all := make([]letterJSON, 0, len(letters))
	for _, l := range letters {
		j := letterJSON{
			Key: l.Key, Group: l.Group, ID: l.ID, Time: l.Time.UTC(), Deliveries: l.Deliveries, Worker: l.Worker, Reason: l.Reason,
		}
		switch {
		case l.Fields != nil:
			j.Fields, j.FieldsBase64 = fieldsJSON(l.Fields)
		case utf8.ValidString(l.Payload):
			j.Payload = &l.Payload
		default:
			j.PayloadBase64 = base64.StdEncoding.EncodeToString([]byte(l.Payload))
		}
		all = append(all, j)
	}
	return all
}

// fieldsJSON are the fields, with names and values in Base64 if one of them is not UTF-8.
func fieldsJSON(fields map[string]string) (plain, encoded map[string]string) {
	encoded = map[string]string{}
	valid := true
	for name, value := range fields {
		valid = valid && utf8.ValidString(name) && utf8.ValidString(value)
		encoded[base64.StdEncoding.EncodeToString([]byte(name))] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	if valid {
		return fields, nil
	}
	return nil, encoded
}
