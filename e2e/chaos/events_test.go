package chaos

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// fault is a kind of fault.
type fault string

// The faults, from the one that explains an extra delivery best.
const (
	oom         fault = "oom"         // the server is at maxmemory
	kill        fault = "kill"        // a worker's SIGKILL
	freeze      fault = "freeze"      // a worker's SIGSTOP, for longer than lease and message timeout
	late        fault = "late"        // what a worker sends is held for 5–60 s, its connection ends or is silent
	restart     fault = "redis"       // the server's SIGKILL; it starts again with its append-only file
	connections fault = "connections" // the server ends connections
	outage      fault = "outage"      // the handler is away
	fail20      fault = "fail20"      // the handler fails in 20 %: 429, 503, 500, no answer
	fail5       fault = "fail5"       // in 5 %
	term        fault = "term"        // a worker's SIGTERM, one after the other
	power       fault = "power"       // the server's SIGKILL; it starts again without the last that it wrote
)

var allFaults = []fault{oom, kill, freeze, late, restart, connections, outage, fail20, fail5, term}

// explaining are all, in that order.
var explaining = append([]fault{power}, allFaults...)

// parseFaults reads names that are separated by commas; "all" and "none" are such, too.
func parseFaults(text string) ([]fault, error) {
	switch text {
	case "all":
		return allFaults, nil
	case "none":
		return nil, nil
	}
	var faults []fault
	for name := range strings.SplitSeq(text, ",") {
		if !slices.Contains(allFaults, fault(name)) {
			return nil, fmt.Errorf("-faults is %q: %q is none of %v", text, name, allFaults)
		}
		faults = append(faults, fault(name))
	}
	return faults, nil
}

// lease is the longest time that a worker may be silent and keep its messages: that of lists
// (docs/subscriber.md, Delivery). A stream's is shorter with the message timeout of these tests.
const lease = 30 * time.Second

// event is a fault that was made.
type event struct {
	kind     fault
	worker   string // empty: all of them
	from, to time.Time
}

// long tells whether workers could not keep what they held.
func (e event) long() bool {
	return (e.kind == freeze || e.kind == restart) && e.to.Sub(e.from) > lease
}

// undoes tells whether the server may have forgotten what it had taken, however long that was in coming again.
func (e event) undoes() bool { return e.kind == power }

func (e event) cause() string {
	if e.long() {
		return string(e.kind) + longer
	}
	return string(e.kind)
}

const (
	longer      = ", longer than the lease"
	unexplained = "unexplained"
	// settling is within what time an accepted message is acknowledged, or has been taken
	// before: the message timeout, and what an exchange with the server may take.
	settling = messageTimeout + 5*time.Second
)

// explains tells whether the fault may be why a message came again: the worker that was first could not
// acknowledge it, or one of the two had it while another took it over.
func (e event) explains(x extra) bool {
	if e.worker != "" && e.worker != x.before.worker && (e.worker != x.after.worker || e.kind != freeze && e.kind != late) {
		return false
	}
	if e.kind == oom {
		// Messages are worked on in place: two workers may choose the same one.
		return !x.before.at.Before(e.from) && !x.after.at.After(e.to.Add(settling))
	}
	begin, end := x.before.at.Add(-settling), x.before.at.Add(settling)
	if e.long() || e.undoes() {
		// Others took over what was held, and it was done twice once that was over.
		begin, end = begin.Add(-lease), x.after.at
	}
	return !e.to.Before(begin) && !e.from.After(end)
}

// causeOf is the fault that best explains an extra delivery.
func causeOf(x extra, events []event) string {
	for _, kind := range explaining {
		for _, e := range events {
			if e.kind == kind && e.explains(x) {
				return e.cause()
			}
		}
	}
	return unexplained
}

// history is what faults there were. It is safe for concurrent use.
type history struct {
	start time.Time

	mu     sync.Mutex
	events []event
}

func (h *history) add(e event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

func (h *history) all() []event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.events)
}
