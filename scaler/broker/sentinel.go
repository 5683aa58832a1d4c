package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/address"
)

// sentinels tell where the master is. go-redis has a client for that, too; but it takes
// parts of a sentinel's answers for there without a look, in goroutines of its own, where a
// panic ends the process: get-master-addr-by-name with one element is enough.
type sentinels struct {
	master string // the name under which they know it
	client func(address string) *redis.SentinelClient
	// timeout is for the answer of one.
	timeout time.Duration

	mu        sync.Mutex
	addresses []string // those named, then those found
	asked     bool     // for the other sentinels
	chosen    *redis.SentinelClient
	closed    bool
}

// where asks the sentinel that answered the last time; where it does not, all of them at
// once.
func (s *sentinels) where(ctx context.Context) (string, error) {
	s.mu.Lock()
	chosen := s.chosen
	s.mu.Unlock()
	if chosen != nil {
		master, err := s.ask(ctx, chosen)
		if err == nil || ctx.Err() != nil {
			return master, err
		}
		s.leave(chosen)
	}
	return s.askAll(ctx)
}

func (s *sentinels) ask(ctx context.Context, sentinel *redis.SentinelClient) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	parts, err := sentinel.GetMasterAddrByName(ctx, s.master).Result()
	if err != nil {
		return "", &sentinelError{err}
	}
	if len(parts) != 2 {
		return "", &MasterAddressError{Parts: len(parts)}
	}
	master := net.JoinHostPort(parts[0], parts[1])
	if _, _, err := address.Parse(master); err != nil {
		return "", &MasterAddressError{Parts: len(parts), Err: err}
	}
	return master, nil
}

// sentinelError marks an error as a sentinel's, or of the connection to one: what to do about it
// is something else than if it were the master's.
type sentinelError struct{ err error }

func (e *sentinelError) Error() string { return e.err.Error() }
func (e *sentinelError) Unwrap() error { return e.err }

// MasterAddressError is a sentinel's answer that is no address of a master.
type MasterAddressError struct {
	Parts int   // of the answer; an address has two, host and port
	Err   error // what is wrong with the address, of two parts
}

func (e *MasterAddressError) Unwrap() error { return e.Err }

func (e *MasterAddressError) Error() string {
	text := fmt.Sprintf("a sentinel answers with %d parts of an address instead of host and port", e.Parts)
	if e.Err != nil {
		text = fmt.Sprintf("a sentinel names a master at no valid address: %v", e.Err)
	}
	return text + ": check that redisAddress leads to sentinels, and which address the master announces to them"
}

// askAll takes the first answer.
func (s *sentinels) askAll(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	addresses := slices.Clone(s.addresses)
	s.mu.Unlock()
	type answer struct {
		master string
		err    error
	}
	answers := make(chan answer, len(addresses))
	for _, at := range addresses {
		go func() {
			var a answer
			client := s.client(at)
			defer func() {
				if Recovered(recover(), &a.err) || a.err != nil || !s.choose(client) {
					_ = client.Close() // it has nothing that could be lost
				}
				answers <- a
			}()
			a.master, a.err = s.ask(ctx, client)
		}()
	}
	var errs []error
	for range addresses {
		a := <-answers
		if a.err == nil {
			s.findOthers(ctx)
			return a.master, nil
		}
		errs = append(errs, a.err)
	}
	return "", fmt.Errorf("none of %d sentinels tells the master: %w", len(addresses), errors.Join(errs...))
}

// choose keeps a sentinel that answered, if it is the first.
func (s *sentinels) choose(client *redis.SentinelClient) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.chosen != nil {
		return false
	}
	s.chosen = client
	return true
}

// leave forgets a sentinel that did not answer.
func (s *sentinels) leave(client *redis.SentinelClient) {
	s.mu.Lock()
	if s.chosen == client {
		s.chosen = nil
	}
	s.mu.Unlock()
	_ = client.Close() // it has nothing that could be lost
}

// findOthers has the chosen sentinel name the others, once. It is no failure where it does
// not: those that were named are enough.
func (s *sentinels) findOthers(ctx context.Context) {
	s.mu.Lock()
	chosen, asked := s.chosen, s.asked
	s.asked = true
	s.mu.Unlock()
	if chosen == nil || asked {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	others, err := chosen.Sentinels(ctx, s.master).Result()
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range others {
		at := net.JoinHostPort(other["ip"], other["port"])
		if _, _, err := address.Parse(at); err == nil && len(s.addresses) < address.MaxServers && !slices.Contains(s.addresses, at) {
			s.addresses = append(s.addresses, at)
		}
	}
}

func (s *sentinels) close() {
	s.mu.Lock()
	s.closed = true
	chosen := s.chosen
	s.chosen = nil
	s.mu.Unlock()
	if chosen != nil {
		_ = chosen.Close() // it has nothing that could be lost
	}
}
