package chaos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// mostExtra is the share of extra deliveries that is permitted, beside those of outages that are longer than
// the lease.
const mostExtra = 0.01

// report is what came of a run.
type report struct {
	text   string
	faults []string // what must not be
}

func (r *report) say(format string, values ...any) { r.text += fmt.Sprintf(format+"\n", values...) }

func (r *report) require(holds bool, format string, values ...any) {
	if !holds {
		r.faults = append(r.faults, fmt.Sprintf(format, values...))
	}
}

// report ends the workers, and says what came of the messages; cause is why not all are done, if so.
func (s *scene) report(t *testing.T, drained time.Duration, cause error) *report {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	r := &report{}
	published, ended := s.ledger.counts()
	r.say("\n%s: %d messages published, %d delivered; %d workers with CONCURRENCY %d; seed %d", s.kind, published, ended, len(s.fleet.seats), concurrency, *seed)
	r.say("faults for %s, drained %s later", time.Since(s.history.start)-drained, drained)
	r.require(cause == nil, "%v", cause)
	missing := s.ledger.missing()
	r.require(len(missing) == 0, "%d missing: %.50s", len(missing), missing)
	r.say("missing: %v", missing[:min(len(missing), 50)])
	r.require(len(s.ledger.foreign) == 0, "delivered, and never published: %.50q", s.ledger.foreign)
	r.require(s.forgetful || s.wasFull && s.kind == queue.List || len(s.ledger.renamed) == 0, "with another ID the second time: %.50q", s.ledger.renamed)
	s.reportFaults(r)
	s.reportExtra(r)
	s.reportEnds(ctx, r)
	r.say("scaler: %s", s.reader)
	r.require(s.reader.samples > 0, "the scaler read nothing")
	r.require(len(s.reader.faults) == 0, "the scaler: %.10q", s.reader.faults)
	for _, fault := range r.faults {
		r.say("FAULT: %s", fault)
	}
	return r
}

func (s *scene) reportFaults(r *report) {
	counts := map[string]int{}
	for _, e := range s.history.all() {
		fmt.Fprintf(s.fleet.log, "made: %s %s from %s to %s\n", e.kind, e.worker, e.from.Format(time.StampMilli), e.to.Format(time.StampMilli))
		counts[e.cause()]++
	}
	r.say("faults made: %s", inOrder(counts))
	r.require(len(s.injector.problems) == 0, "%q", s.injector.problems)
}

func (s *scene) reportExtra(r *report) {
	counts, events, within := map[string]int{}, s.history.all(), 0
	for _, x := range s.ledger.extraDeliveries() {
		cause := causeOf(x, events)
		counts[cause]++
		if !strings.HasSuffix(cause, longer) && cause != string(power) {
			within++
		}
		told := fmt.Sprintf("%s: %s at %s by %s, and at %s by %s", cause, x.payload,
			x.before.at.Format(time.StampMilli), x.before.worker, x.after.at.Format(time.StampMilli), x.after.worker)
		fmt.Fprintln(s.fleet.log, told)
		if cause == unexplained {
			r.say("%s", told)
		}
	}
	share := float64(within) / float64(s.ledger.total)
	r.say("extra deliveries: %d, %.3f %% without outages longer than the lease, and what the server forgot; by cause: %s", len(s.ledger.extraDeliveries()), 100*share, inOrder(counts))
	r.require(share < mostExtra, "%.2f %% of the messages came again", 100*share)
	r.require(counts[unexplained] == 0, "%d extra deliveries that no fault explains", counts[unexplained])
	r.require(counts[string(term)] == 0, "%d extra deliveries of workers that ended in order", counts[string(term)])
}

func inOrder(counts map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, counts[name]))
	}
	return strings.Join(parts, "; ")
}

// mostUncounted is how many messages of a list may not be counted. On a full server a message is removed by one
// command, and counted by the next: who is killed between the two, or loses the second's reply, counts one less for
// each slot. Anywhere else it is none.
func (s *scene) mostUncounted() int {
	if s.kind != queue.List {
		return 0
	}
	events, most := s.history.all(), 0
	for _, full := range events {
		if full.kind != oom {
			continue
		}
		for _, e := range events {
			if e.kind == oom || e.kind == term || e.to.Before(full.from) || e.from.After(full.to.Add(settling)) {
				continue
			}
			if e.worker == "" {
				most += len(s.fleet.seats) * concurrency
			} else {
				most += concurrency
			}
		}
	}
	return most
}

// reportEnds ends the workers in order, and looks at what they leave.
func (s *scene) reportEnds(ctx context.Context, r *report) {
	for _, seat := range s.fleet.seats {
		seat.mu.Lock()
		err := seat.worker.terminate()
		seat.mu.Unlock()
		r.require(err == nil, "at the end: %v", err)
	}
	left, err := s.left(ctx)
	r.require(err == nil && left == "", "when all workers had ended, there was left: %s (%v)", left, err)
	finished, err := s.finished(ctx)
	r.require(err == nil, "%v", err)
	r.say("counted by the queue: %d of %d", finished, s.ledger.total)
	r.require(finished <= s.ledger.total, "the queue counts %d of %d messages", finished, s.ledger.total)
	least := s.ledger.total - s.mostUncounted()
	r.require(finished >= least, "the queue counts %d of %d messages, which with these faults must be %d at least", finished, s.ledger.total, least)
	dead, err := s.deadLetters(ctx)
	r.require(err == nil, "%v", err)
	for number := 0; number < s.ledger.total; number += refusedEvery {
		n := dead[s.ledger.payloadOf(number)]
		r.require(n == 1, "message %d, which was refused, became %d dead letters", number, n)
		delete(dead, s.ledger.payloadOf(number))
	}
	r.require(len(dead) == 0, "dead letters of messages that were not refused: %v", dead)
}
