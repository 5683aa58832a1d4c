package broker

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
)

const (
	// freeBytes is what the replies on each connection may hold without a share of the
	// budget, by the rule of maxRead: those of 1,000 lists. So the servers that take all of
	// the budget keep nobody else's plain queues from being read.
	freeBytes = 64 << 10
	// budgetBytes is what all replies may hold together beyond that. With what the garbage
	// collector has not freed yet it may be twice as much, and the scaler is to stay under
	// 128 MiB.
	budgetBytes = 24 << 20
	// namespaceBytes is the part of it that a namespace's servers may take: one pipeline of
	// the largest. What is left is for the others, whatever that namespace's servers send.
	namespaceBytes = maxRead
)

// budget is what the replies of all servers of a pool may hold together.
type budget struct {
	mu          sync.Mutex
	taken       int64
	byNamespace map[string]int64 // and by servers of several namespaces
}

func newBudget() *budget { return &budget{byNamespace: map[string]int64{}} }

// take returns the limit that does not allow it; 0 where all do.
func (b *budget) take(namespace string, n int64) (limit int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.byNamespace[namespace]+n > namespaceBytes:
		return namespaceBytes
	case b.taken+n > budgetBytes:
		return budgetBytes
	}
	b.taken += n
	b.byNamespace[namespace] += n
	return 0
}

func (b *budget) give(namespace string, n int64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken -= n
	if b.byNamespace[namespace] -= n; b.byNamespace[namespace] == 0 {
		delete(b.byNamespace, namespace)
	}
}

// share is what the connections of one server have of the budget: the part of the namespace
// that asked for it, and one of the server's own once another asks for it too. That one's
// reads must not depend on what the first's servers send.
type share struct {
	budget *budget

	mu    sync.Mutex
	payer string
}

func newShare(b *budget, namespace string) *share { return &share{budget: b, payer: namespace} }

// among takes note that another namespace asks for the server. No namespace has such a name.
func (s *share) among(server Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.payer = server.String()
}

func (s *share) of() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.payer
}

// ReplyBudgetError is a reply that found no room beside those of other servers.
type ReplyBudgetError struct {
	Address string
	Limit   int64 // in bytes
}

func (e *ReplyBudgetError) Error() string {
	which := "all others"
	if e.Limit == namespaceBytes {
		which = "others of its namespace"
	}
	return fmt.Sprintf("the reply of the server at %s does not fit beside %s that are being read, which may hold %d bytes together", e.Address, which, e.Limit)
}

// guard watches what a server sends on one connection, before go-redis sees it. Where it
// must not, the guard says why, from then on.
type guard struct {
	address string
	share   *share
	owner   *guards

	mu      sync.Mutex // settle comes from another goroutine than Read
	framing framing
	asked   bool   // a command was written since the last bytes came
	taken   int64  // of the budget
	payer   string // whose part that is
	failure error
}

// sending is called before a command is written.
func (g *guard) sending() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = true
}

// received is called with what was read, and returns why it must not be used.
func (g *guard) received(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failure != nil {
		return g.failure
	}
	if g.asked && g.framing.between() { // what was read before is read no more
		g.framing.begin()
		g.give()
	}
	g.asked = false
	err := g.framing.follow(p)
	if err == nil {
		err = g.take()
	}
	if err == nil {
		return nil
	}
	var limit *ReplyLimitError
	var other *NotRESPError
	switch {
	case errors.As(err, &limit):
		limit.Address = g.address
	case errors.As(err, &other):
		other.Address = g.address
	}
	g.failure = outer(err)
	g.give()
	return g.failure
}

// take takes of the budget what the replies hold by now.
func (g *guard) take() error {
	more := g.framing.held - freeBytes - g.taken
	if more <= 0 {
		return nil
	}
	if g.taken == 0 {
		g.payer = g.share.of()
	}
	if limit := g.share.budget.take(g.payer, more); limit > 0 {
		return &ReplyBudgetError{Address: g.address, Limit: limit}
	}
	g.taken += more
	return nil
}

func (g *guard) give() {
	g.share.budget.give(g.payer, g.taken)
	g.taken = 0
}

// settle gives back what replies hold that have been read to their end.
func (g *guard) settle() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.framing.between() {
		g.framing.begin()
		g.give()
	}
}

// closed gives all back.
func (g *guard) closed() {
	g.owner.remove(g)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.give()
	if g.failure == nil {
		g.failure = net.ErrClosed
	}
}

// guards are those of the connections to one server or node.
type guards struct {
	mu  sync.Mutex
	all []*guard
}

// add makes the guard of a new connection.
func (g *guards) add(address string, s *share) *guard {
	added := &guard{address: address, share: s, owner: g}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = append(g.all, added)
	return added
}

func (g *guards) remove(gone *guard) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = slices.DeleteFunc(g.all, func(other *guard) bool { return other == gone })
}

// settle is called once the replies of a round have been used.
func (g *guards) settle() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, each := range g.all {
		each.settle()
	}
}
