package queue

import (
	"strconv"
	"strings"
)

// clientBytes is how many bytes the server holds for the clients of a CLIENT LIST: those
// of that name, or all where none has it. ok is false where the list does not tell, as
// DragonFly's does not.
func clientBytes(list, name string) (bytes int64, ok bool) {
	var named int64
	anyNamed := false
	for line := range strings.Lines(list) {
		held, told, isNamed := int64(0), false, false
		for field := range strings.FieldsSeq(line) {
			key, value, _ := strings.Cut(field, "=")
			switch key {
			case "name":
				isNamed = value == name
			case "obl", "omem": // the first 16 KiB, and what goes beyond
				count, err := strconv.ParseInt(value, 10, 64)
				if err != nil || count < 0 {
					return 0, false
				}
				held, told = Sum(held, count), told || key == "omem"
			}
		}
		if !told {
			return 0, false
		}
		ok = true
		bytes = Sum(bytes, held)
		if isNamed {
			named, anyNamed = Sum(named, held), true
		}
	}
	if anyNamed {
		return named, true
	}
	return bytes, ok
}

// waitField is how many whole seconds a client lets the server wait (DragonFly from 1.39).
const waitField = "send-wait-time"

// keepUp tells by a DragonFly's CLIENT LIST whether the connections of that name keep up: none
// lets the server wait. It is false if no such connection has the field.
func keepUp(list, name string) bool {
	told := false
	for line := range strings.Lines(list) {
		isNamed, waits := false, ""
		for field := range strings.FieldsSeq(line) {
			switch key, value, _ := strings.Cut(field, "="); key {
			case "name":
				isNamed = value == name
			case waitField:
				waits = value
			}
		}
		if !isNamed || waits == "" {
			continue
		}
		if waits != "0" {
			return false
		}
		told = true
	}
	return told
}

// subscriberBytes is how many bytes a DragonFly server holds for its subscribers, by its
// INFO.
func subscriberBytes(info string) (int64, bool) {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "dispatch_queue_subscriber_bytes:"); ok {
			bytes, err := strconv.ParseInt(value, 10, 64)
			return bytes, err == nil && bytes >= 0
		}
	}
	return 0, false
}
