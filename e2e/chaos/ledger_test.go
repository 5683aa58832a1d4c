package chaos

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// groupSize is how many messages have the same payload. They are published one after
	// the other, so that several are in work at once.
	groupSize = 20
	// refusedEvery is how often a message is one that the handler refuses.
	refusedEvery = 1000
)

// payloadOf is the payload of a message: half of them have one of their own, and the other half share
// theirs with the others of their group, unless all are distinct.
func (l *ledger) payloadOf(number int) string {
	if number%2 == 0 || l.distinct {
		return "m" + strconv.Itoa(number)
	}
	return "g" + strconv.Itoa(groupOf(number))
}

func groupOf(number int) int { return number / (2 * groupSize) }

// isRefused tells whether the handler refuses the message, which so becomes a dead letter.
func isRefused(number int) bool { return number%refusedEvery == 0 }

// delivery is one that the handler accepted, or refused for good.
type delivery struct {
	at     time.Time
	worker string
}

// outcome is what came of a message with a payload of its own.
type outcome struct {
	delivery
	id string // that it had first
}

// extra is a delivery of a message that had been delivered before.
type extra struct {
	payload       string
	before, after delivery
}

// group is what came of messages with the same payload. They are told apart by their IDs.
type group struct {
	size int
	seen map[string]delivery
	last delivery
}

// ledger knows the truth: which messages were published, and what came of each. It is safe for
// concurrent use.
type ledger struct {
	total int
	// distinct says that no message has the payload of another.
	distinct bool

	mu        sync.Mutex
	published int
	// losses is twice the number of times that the server has lost what it had confirmed, and one less while it does. recorded is what
	// it was when messages were published last: until that is the same, what the server has is not known.
	losses, recorded int

	ended   int // different messages that were accepted or refused
	unique  []outcome
	groups  []group
	extras  []extra
	foreign []string // payloads that nobody published
	renamed []string // payloads that came with another ID the second time
}

func newLedger(total int, distinct bool) *ledger {
	l := &ledger{total: total, distinct: distinct, unique: make([]outcome, total), groups: make([]group, groupOf(total)+1)}
	for number := 1; number < total && !distinct; number += 2 {
		l.groups[groupOf(number)].size++
	}
	return l
}

// publish notes that the server has confirmed so many messages, from the first one on. losses is what they were before it was asked.
func (l *ledger) publish(messages, losses int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.published, l.recorded = messages, losses
}

// undo has the server lose messages that it had confirmed: until they are published again, it is not known which.
func (l *ledger) undo(lose func()) {
	step := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.losses++
	}
	step()
	defer step()
	lose()
}

// known tells whether the counts are what the server has; if the losses are the same later, they were all the time.
func (l *ledger) known() (losses int, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.losses, l.losses%2 == 0 && l.recorded == l.losses
}

// counts are how many messages were published, and how many of them have ended.
func (l *ledger) counts() (published, ended int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.published, l.ended
}

// end notes that the handler accepted a message, or refused it for good.
func (l *ledger) end(payload, id string, d delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	number, err := strconv.Atoi(strings.TrimLeft(payload, "mg"))
	switch {
	case err == nil && payload == l.payloadOf(number) && number < l.total:
		l.endUnique(number, payload, id, d)
	case err == nil && strings.HasPrefix(payload, "g") && number < len(l.groups):
		l.endOfGroup(&l.groups[number], payload, id, d)
	default:
		l.foreign = append(l.foreign, payload)
	}
}

func (l *ledger) endUnique(number int, payload, id string, d delivery) {
	before := l.unique[number]
	if !before.at.IsZero() {
		l.extras = append(l.extras, extra{payload, before.delivery, d})
		if before.id != id {
			l.renamed = append(l.renamed, payload)
		}
		return
	}
	l.unique[number] = outcome{d, id}
	l.ended++
}

func (l *ledger) endOfGroup(g *group, payload, id string, d delivery) {
	before, again := g.seen[id]
	if !again && len(g.seen) >= g.size {
		before, again = g.last, true // its ID was another at each delivery
	}
	g.last = d
	if again {
		l.extras = append(l.extras, extra{payload, before, d})
		return
	}
	if g.seen == nil {
		g.seen = map[string]delivery{}
	}
	g.seen[id] = d
	l.ended++
}

// missing names the messages that were never delivered.
func (l *ledger) missing() (names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	step := 2
	if l.distinct {
		step = 1
	}
	for number := 0; number < l.total; number += step {
		if l.unique[number].at.IsZero() {
			names = append(names, strconv.Itoa(number))
		}
	}
	for i, g := range l.groups {
		if len(g.seen) < g.size {
			first := i*2*groupSize + 1
			names = append(names, fmt.Sprintf("%d of %d, %d…%d", g.size-len(g.seen), first, first+2, first+2*(g.size-1)))
		}
	}
	return names
}

// extraDeliveries are those so far.
func (l *ledger) extraDeliveries() []extra {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.extras)
}

// refuses tells whether the handler refuses the message with that payload.
func (l *ledger) refuses(payload string) bool {
	number, err := strconv.Atoi(strings.TrimPrefix(payload, "m"))
	return err == nil && isRefused(number)
}
