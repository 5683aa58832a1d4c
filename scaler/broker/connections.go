package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// suspicion is the least time between two readings of the Secrets after a server refused
// the credentials or the certificate.
const suspicion = time.Second

// busyWait is the time to the next attempt where too many other Secrets were read.
const busyWait = 5 * time.Second

// Connections holds the present connections to a server, and replaces them where a Secret
// changed or a master was demoted. A link is closed when the last read that uses it has
// ended. It is safe for concurrent use.
type Connections struct {
	connector *Connector
	options   Options
	server    Server
	// ctx ends all links, and what reads Secrets in the background.
	ctx     context.Context //nolint:containedctx // it is the life of the connections
	share   *share          // of the budget
	renewed func()

	mu      sync.Mutex
	current *Link
	// Reading the Secrets again:
	checking  bool
	checked   time.Time // when it last began
	due       time.Time
	suspected bool  // the server refused them
	asked     bool  // they were read again since
	failure   error // of the last time
}

// SharedBetweenNamespaces notes that a second namespace asks for the server: from now on its
// replies count for the server itself, so that none of the two depends on what else the other reads.
func (c *Connections) SharedBetweenNamespaces() { c.share.among(c.server) }

// Acquire returns the present link, after connecting where there is none. Give it back
// with Release.
func (c *Connections) Acquire() (*Link, error) {
	if present := c.use(); present != nil {
		if present.outgrown() {
			c.renew(present) // for the next read
		}
		return present, nil
	}
	m, err := c.resolve(noDoubt)
	if err != nil {
		return nil, err
	}
	opened, err := c.open(m)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil {
		c.current = opened
		c.checked = c.options.Now()
		c.due = c.checked.Add(Jittered(c.options.SecretInterval))
	} else {
		defer opened.close() // somebody was faster
	}
	c.current.users++
	return c.current, nil
}

// open readies connections with those credentials and certificates.
func (c *Connections) open(m material) (*Link, error) {
	return open(c.ctx, c.server, m, c.options, c.share)
}

func (c *Connections) use() *Link {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil {
		c.current.users++
	}
	return c.current
}

// Release gives a link back.
func (c *Connections) Release(used *Link) {
	c.mu.Lock()
	used.users--
	idle := used.retired && used.users == 0
	c.mu.Unlock()
	if idle {
		used.close()
	}
}

// renew makes new connections in the place of those of old, if those are still in use.
func (c *Connections) renew(old *Link) {
	opened, err := c.open(old.material)
	if err != nil {
		return // it could be opened before, with the same material
	}
	opened.roleRefused.Store(old.roleRefused.Load())
	if !c.replace(old, opened) {
		opened.close()
	}
}

// replace is refused where another came first.
func (c *Connections) replace(old, by *Link) bool {
	c.mu.Lock()
	if c.current != old {
		c.mu.Unlock()
		return false
	}
	c.current = by
	old.retired = true
	idle := old.users == 0
	c.mu.Unlock()
	if idle {
		old.close()
	}
	return true
}

// NoAnswer is the error of a caller that waited for a read of a node until err.
func (c *Connections) NoAnswer(node string, err error) *ReadError {
	err = fmt.Errorf("no answer yet: %w", err)
	c.mu.Lock()
	present := c.current
	c.mu.Unlock()
	if present != nil {
		err = present.Diagnose(node, err)
	}
	return &ReadError{Server: c.server, Err: err}
}

// Mend does what may mend a failed read, and returns what to tell of it. The link is nil
// where there was none.
func (c *Connections) Mend(link *Link, failure error) error {
	switch cause := causeOf(failure); {
	case cause == StaleReplica && link.cluster != nil:
		link.cluster.ReloadState(c.ctx)
	case cause == StaleReplica:
		c.renew(link) // a Service may lead elsewhere by now, and a sentinel knows the master
	case cause == Unauthorized || cause == TLSFailed:
		return c.suspect(failure)
	case link != nil && c.server.Mode == Sentinel && c.ctx.Err() == nil:
		c.renew(link) // go-redis may hold on to a sentinel that does not answer
	}
	return failure
}

func (c *Connections) resolve(doubt doubt) (material, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.options.ReadTimeout)
	defer cancel()
	return resolve(ctx, c.connector.secrets.in(doubt), c.server)
}

// suspect has the Secrets read again soon: the server refused what they had. It returns
// err, or why they could not be read, which says more.
func (c *Connections) suspect(err error) error {
	if !c.server.refers() {
		return err
	}
	c.mu.Lock()
	c.suspected = true
	failure := c.failure
	c.mu.Unlock()
	c.RefreshIfDue()
	if failure != nil {
		return fmt.Errorf("%w; with the previous credentials: %w", failure, err)
	}
	return err
}

// Trust ends the suspicion: a read succeeded.
func (c *Connections) Trust() {
	c.mu.Lock()
	suspected := c.suspected
	c.suspected, c.asked = false, false
	c.mu.Unlock()
	if suspected {
		c.connector.secrets.trust(c.server)
	}
}

// RefreshIfDue reads the Secrets again, in the background, where it is time.
func (c *Connections) RefreshIfDue() {
	if !c.server.refers() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.options.Now()
	due := c.due
	if soon := c.checked.Add(min(suspicion, c.options.SecretInterval)); c.suspected && soon.Before(due) {
		due = soon
	}
	if c.current == nil || c.checking || now.Before(due) {
		return
	}
	c.checking, c.checked, c.due = true, now, now.Add(Jittered(c.options.SecretInterval))
	present, doubt := c.current, c.doubt()
	c.connector.running.Go(func() {
		err := c.checkSafely(present, doubt)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.checking = false
		c.ReportPanic(err, c.failure)
		if errors.Is(err, errSecretsBusy) { // no failure: the previous ones are as good as they were
			c.due = c.checked.Add(Jittered(min(busyWait, c.options.SecretInterval)))
			return
		}
		if err != nil && c.failure == nil && c.ctx.Err() == nil {
			c.options.Logger.Warn("credentials can't be renewed; the previous ones stay in use", "server", c.server, "error", err, "remedy", (&ReadError{Server: c.server, Err: err}).Remedy())
		}
		c.failure = err
	})
}

// doubt is why the Secrets are read again now. The mutex is held.
func (c *Connections) doubt() doubt {
	switch {
	case !c.suspected:
		return noDoubt
	case !c.asked:
		c.asked = true
		return newDoubt
	default:
		return oldDoubt
	}
}

// checkSafely survives a panic of what reads the Secrets.
func (c *Connections) checkSafely(present *Link, doubt doubt) (err error) {
	defer func() { Recovered(recover(), &err) }()
	return c.check(present, doubt)
}

// check reads the Secrets, and takes new connections where they changed. The previous ones
// stay while they work and the new ones do not.
func (c *Connections) check(present *Link, doubt doubt) error {
	m, err := c.resolve(doubt)
	if err != nil || m == present.material {
		return err
	}
	opened, err := c.open(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.options.ReadTimeout)
	defer cancel()
	if err := opened.try(ctx); err != nil && doubt == noDoubt {
		opened.close()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.due = c.checked.Add(min(suspicion, c.options.SecretInterval))
		return fmt.Errorf("the Secret changed, but what it has now does not work yet: %w", err)
	}
	if !c.replace(present, opened) {
		opened.close()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.due = c.checked // once more, beside the one that came first
		return nil
	}
	c.options.Logger.Info("credentials were renewed", "server", c.server)
	c.renewed()
	return nil
}

// ReportPanic counts a panic, if failure is one, and logs the first in a row with its stack.
// before is the failure of the last time.
func (c *Connections) ReportPanic(failure, before error) {
	var fault, another *PanicError
	if !errors.As(failure, &fault) {
		return
	}
	c.connector.panicked()
	if !errors.As(before, &another) {
		c.options.Logger.Error("fault while working for a server: please report it", "server", c.server.Address,
			"panic", fault.value, "stack", string(fault.stack))
	}
}

// Jittered is a duration by up to a twentieth shorter or longer: it spreads the work for many
// servers, and of many replicas of the scaler.
func Jittered(d time.Duration) time.Duration {
	return d - d/20 + time.Duration(rand.Int64N(int64(d/10)+1))
}
