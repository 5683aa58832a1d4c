package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// suspicion is the least time between two readings of the Secrets after a server refused
// the credentials or the certificate.
const suspicion = time.Second

// busyWait is the time to the next attempt where too many other Secrets were read.
const busyWait = 5 * time.Second

// links holds a sampler's present connections, and replaces them where a Secret changed or
// a master was demoted. A link is closed when the last read that uses it has ended.
type links struct {
	server  Server
	options Options
	// ctx ends all links, and what reads Secrets in the background.
	ctx     context.Context //nolint:containedctx // it is the sampler's life
	running *sync.WaitGroup
	changed func() // tells the sampler to read again, whatever the back-off

	mu      sync.Mutex
	current *link
	// Reading the Secrets again:
	checking  bool
	checked   time.Time // when it last began
	due       time.Time
	suspected bool  // the server refused them
	asked     bool  // they were read again since
	failure   error // of the last time
}

func newLinks(ctx context.Context, server Server, options Options, running *sync.WaitGroup, changed func()) *links {
	return &links{server: server, options: options, ctx: ctx, running: running, changed: changed}
}

// acquire returns the present link, after connecting where there is none. Give it back
// with release.
func (l *links) acquire() (*link, error) {
	if present := l.use(); present != nil {
		return present, nil
	}
	m, err := l.resolve(noDoubt)
	if err != nil {
		return nil, err
	}
	opened, err := open(l.ctx, l.server, m, l.options)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == nil {
		l.current = opened
		l.checked = l.options.Now()
		l.due = l.checked.Add(jittered(l.options.SecretInterval))
	} else {
		defer opened.close() // somebody was faster
	}
	l.current.users++
	return l.current, nil
}

func (l *links) use() *link {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current != nil {
		l.current.users++
	}
	return l.current
}

// release gives a link back.
func (l *links) release(used *link) {
	l.mu.Lock()
	used.users--
	idle := used.retired && used.users == 0
	l.mu.Unlock()
	if idle {
		used.close()
	}
}

// renew makes new connections in the place of those of old, if those are still in use.
func (l *links) renew(old *link) {
	opened, err := open(l.ctx, l.server, old.material, l.options)
	if err != nil {
		return // it could be opened before, with the same material
	}
	opened.roleRefused.Store(old.roleRefused.Load())
	if !l.replace(old, opened) {
		opened.close()
	}
}

// replace is refused where another came first.
func (l *links) replace(old, by *link) bool {
	l.mu.Lock()
	if l.current != old {
		l.mu.Unlock()
		return false
	}
	l.current = by
	old.retired = true
	idle := old.users == 0
	l.mu.Unlock()
	if idle {
		old.close()
	}
	return true
}

// told is what an error of a caller that waits for a read means.
func (l *links) told(node string, err error) error {
	l.mu.Lock()
	present := l.current
	l.mu.Unlock()
	if present == nil {
		return err
	}
	return present.told(node, err)
}

func (l *links) resolve(doubt doubt) (material, error) {
	ctx, cancel := context.WithTimeout(l.ctx, l.options.ReadTimeout)
	defer cancel()
	return resolve(ctx, l.options.reads.in(doubt), l.server)
}

// suspect has the Secrets read again soon: the server refused what they had. It returns
// err, or why they could not be read, which says more.
func (l *links) suspect(err error) error {
	if !l.server.refers() {
		return err
	}
	l.mu.Lock()
	l.suspected = true
	failure := l.failure
	l.mu.Unlock()
	l.checkIfDue()
	if failure != nil {
		return fmt.Errorf("%w; with those of before: %w", failure, err)
	}
	return err
}

// trust ends the suspicion: a read succeeded.
func (l *links) trust() {
	l.mu.Lock()
	suspected := l.suspected
	l.suspected, l.asked = false, false
	l.mu.Unlock()
	if suspected {
		l.options.reads.trust(l.server)
	}
}

// checkIfDue reads the Secrets again, in the background, where it is time.
func (l *links) checkIfDue() {
	if !l.server.refers() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.options.Now()
	due := l.due
	if soon := l.checked.Add(min(suspicion, l.options.SecretInterval)); l.suspected && soon.Before(due) {
		due = soon
	}
	if l.current == nil || l.checking || now.Before(due) {
		return
	}
	l.checking, l.checked, l.due = true, now, now.Add(jittered(l.options.SecretInterval))
	present, doubt := l.current, l.doubt()
	l.running.Go(func() {
		err := l.checkSafely(present, doubt)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.checking = false
		l.options.reportPanic(l.server, err, l.failure)
		if errors.Is(err, errSecretsBusy) { // no failure: those of before are as good as they were
			l.due = l.checked.Add(jittered(min(busyWait, l.options.SecretInterval)))
			return
		}
		if err != nil && l.failure == nil && l.ctx.Err() == nil {
			l.options.Logger.Warn("credentials can't be renewed; those of before stay in use", "server", l.server, "error", err)
		}
		l.failure = err
	})
}

// doubt is why the Secrets are read again now. The mutex is held.
func (l *links) doubt() doubt {
	switch {
	case !l.suspected:
		return noDoubt
	case !l.asked:
		l.asked = true
		return newDoubt
	default:
		return oldDoubt
	}
}

// checkSafely survives a panic of what reads the Secrets.
func (l *links) checkSafely(present *link, doubt doubt) (err error) {
	defer func() { recovered(recover(), &err) }()
	return l.check(present, doubt)
}

// check reads the Secrets, and takes new connections where they changed. Those of before
// stay while they work and the new ones do not.
func (l *links) check(present *link, doubt doubt) error {
	m, err := l.resolve(doubt)
	if err != nil || m == present.material {
		return err
	}
	opened, err := open(l.ctx, l.server, m, l.options)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(l.ctx, l.options.ReadTimeout)
	defer cancel()
	if err := opened.try(ctx); err != nil && doubt == noDoubt {
		opened.close()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.due = l.checked.Add(min(suspicion, l.options.SecretInterval))
		return fmt.Errorf("the Secret changed, but what it has now does not work yet: %w", err)
	}
	if !l.replace(present, opened) {
		opened.close()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.due = l.checked // once more, beside the one that came first
		return nil
	}
	l.options.Logger.Info("credentials were renewed", "server", l.server)
	l.changed()
	return nil
}
