// Package deadletter keeps the messages that workers gave up, and gives them back. Each letter
// is a hash with all that is known of it. A sorted set has their IDs by time. So a burial that
// a server executes twice leaves one letter, and whoever ends a letter watches it alone,
// however many are buried meanwhile.
package deadletter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Letter is a message that was given up.
type Letter struct {
	// ID is the message's, of a stream's entry or of a list's message, and unique in its Box.
	ID string
	// Payload is a list's message, byte for byte.
	Payload string
	// Fields are those of a stream's entry; nil for a list's message.
	Fields map[string]string
	// Reason is what the handler refused the message with, or why else it was given up.
	Reason string
	// Time is when it was given up, by the server's clock, in whole milliseconds.
	Time time.Time
	// Deliveries is how often it was delivered, from 1.
	Deliveries int64
	// Worker is the consumer that gave it up.
	Worker string
	// Trimmed is set if the workers remove finished entries from the stream: this one may go at any
	// time.
	Trimmed bool
}

// Fields of a letter's hash; those of a stream's entry follow fieldPrefix.
const (
	hashPayload    = "payload"
	hashReason     = "reason"
	hashTime       = "time" // milliseconds since 1970
	hashDeliveries = "deliveries"
	hashWorker     = "worker"
	hashTrimmed    = "trimmed" // only if it is so
	fieldPrefix    = "field:"
)

// maxReason bounds a reason, in bytes: a handler's error may hold much of the message.
const maxReason = 1024

// hash is the letter as it is stored.
func (l Letter) hash() []any {
	reason := l.Reason
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	hash := []any{
		hashReason, reason, hashTime, l.Time.UnixMilli(), hashDeliveries, l.Deliveries, hashWorker, l.Worker,
	}
	if l.Fields == nil {
		return append(hash, hashPayload, l.Payload)
	}
	if l.Trimmed {
		hash = append(hash, hashTrimmed, 1)
	}
	for name, value := range l.Fields {
		hash = append(hash, fieldPrefix+name, value)
	}
	return hash
}

// errNoLetter is for a hash that is no letter.
var errNoLetter = errors.New("it is not a dead letter of this worker")

// parse reads a letter; group is that of its box.
func parse(id, group string, hash map[string]string) (Letter, error) {
	milliseconds, badTime := strconv.ParseInt(hash[hashTime], 10, 64)
	deliveries, badCount := strconv.ParseInt(hash[hashDeliveries], 10, 64)
	payload, hasPayload := hash[hashPayload]
	if badTime != nil || badCount != nil || hasPayload != (group == "") {
		return Letter{}, fmt.Errorf("letter %q: %w", id, errNoLetter)
	}
	l := Letter{
		ID: id, Payload: payload, Reason: hash[hashReason],
		Time: time.UnixMilli(milliseconds), Deliveries: deliveries, Worker: hash[hashWorker],
	}
	if group == "" {
		return l, nil
	}
	l.Fields, l.Trimmed = map[string]string{}, hash[hashTrimmed] != ""
	for name, value := range hash {
		if field, ok := strings.CutPrefix(name, fieldPrefix); ok {
			l.Fields[field] = value
		}
	}
	return l, nil
}
