package broker

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// secretShare is how long what was read of a Secret is good for all servers that refer to it.
	secretShare = time.Second
	// secretRate and secretBurst bound how many Secrets of one namespace are read a second, and
	// at once: so 300 Secrets can be looked at each 30 s, and no namespace takes the share of the API server's
	// requests that all have (50 a second, cmd/scaler).
	secretRate  = 10
	secretBurst = 50
	// secretFailureWait bounds how long a Secret that can't be read is left alone: it may
	// just be about to be made.
	secretFailureWait = 4 * time.Second
)

// ErrForbidden is wrapped by what Secrets returns where the scaler has no right to read the
// Secret.
var ErrForbidden = errors.New("the scaler has no right to get the Secret")

// errSecretsBusy is a read that would come too late.
var errSecretsBusy = errors.New("too many Secrets of the namespace are being read (10 a second are)")

// doubt is why a Secret is read.
type doubt int

const (
	noDoubt  doubt = iota
	newDoubt       // a server refused what the Secret had, for the first time since it took it
	oldDoubt       // it has done so before, and the Secret had nothing else
)

// secretReads reads the Secrets of all servers of a pool: what several want at a time is read
// once, and the less often the longer a Secret does not change that servers refuse.
type secretReads struct {
	source  Secrets
	now     func() time.Time
	share   time.Duration
	most    time.Duration   // between two reads of a Secret that servers refuse
	timeout time.Duration   // of one read
	ctx     context.Context //nolint:containedctx // the pool's: a read outlives the first who wants it
	running *sync.WaitGroup

	mu     sync.Mutex
	known  map[secretName]*secretRead
	limits map[string]*rate.Limiter // by namespace
	swept  time.Time
}

type secretName struct{ namespace, name string }

// secretRead is the last read of a Secret.
type secretRead struct {
	data map[string][]byte
	err  error
	at   time.Time     // when it began; zero: never
	wait time.Duration // until the next, where servers refuse what it has or it failed
	used time.Time
	busy chan struct{} // closed when the read that goes on ends; nil: none goes on
}

func newSecretReads(ctx context.Context, options Options, running *sync.WaitGroup) *secretReads {
	if options.Secrets == nil {
		return nil
	}
	return &secretReads{
		source: options.Secrets, now: options.Now, timeout: options.ReadTimeout, ctx: ctx, running: running,
		share: min(secretShare, options.SecretInterval), most: min(options.SecretInterval, DefaultSecretInterval),
		known: map[secretName]*secretRead{}, limits: map[string]*rate.Limiter{},
	}
}

// in is the Secrets for one doubt; nil where none can be read.
func (r *secretReads) in(doubt doubt) Secrets {
	if r == nil {
		return nil
	}
	return doubtedSecrets{reads: r, doubt: doubt}
}

type doubtedSecrets struct {
	reads *secretReads
	doubt doubt
}

func (d doubtedSecrets) Secret(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	return d.reads.read(ctx, secretName{namespace, name}, d.doubt)
}

// read returns what the Secret has: as it was read a moment ago, or by a read that goes on, or
// by one of its own. A deadline of ctx is honoured.
func (r *secretReads) read(ctx context.Context, name secretName, doubt doubt) (map[string][]byte, error) {
	r.mu.Lock()
	now := r.now()
	r.sweep(now)
	known, ok := r.known[name]
	if !ok {
		known = &secretRead{}
		r.known[name] = known
	}
	known.used = now
	if known.busy == nil {
		if known.answers(now, r.share, doubt) {
			defer r.mu.Unlock()
			return known.data, known.err
		}
		known.busy = make(chan struct{})
		r.running.Go(func() { r.begin(name, known, doubt) }) //nolint:contextcheck // others may wait for it longer than this caller
	}
	busy := known.busy
	r.mu.Unlock()
	select {
	case <-busy:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return known.data, known.err
}

// answers reports whether the last read will do.
func (k *secretRead) answers(now time.Time, share time.Duration, doubt doubt) bool {
	age := now.Sub(k.at)
	return !k.at.IsZero() && (age < share || (k.err != nil || doubt == oldDoubt) && age < k.wait)
}

// begin reads a Secret for all who wait for it.
func (r *secretReads) begin(name secretName, known *secretRead, doubt doubt) {
	ctx, cancel := context.WithTimeout(r.ctx, r.timeout)
	defer cancel()
	began := r.now()
	data, err := r.fetch(ctx, name)
	r.mu.Lock()
	defer r.mu.Unlock()
	first := known.at.IsZero()
	same := !first && (err != nil) == (known.err != nil) && (err != nil || maps.EqualFunc(data, known.data, bytes.Equal))
	switch {
	case err != nil && same:
		known.wait = min(max(r.share, 2*known.wait), r.most, secretFailureWait)
	case err != nil, same && doubt == newDoubt:
		known.wait = r.share
	case same && doubt == oldDoubt:
		known.wait = min(max(r.share, 2*known.wait), r.most)
	case !same:
		known.wait = 0
	}
	known.data, known.err, known.at = data, err, began
	close(known.busy)
	known.busy = nil
}

// fetch asks the source, when it is the namespace's turn.
func (r *secretReads) fetch(ctx context.Context, name secretName) (data map[string][]byte, err error) {
	defer func() { Recovered(recover(), &err) }()
	if err := r.admit(ctx, name.namespace); err != nil {
		return nil, err
	}
	return r.source.Secret(ctx, name.namespace, name.name)
}

// admit waits until the namespace may have another read.
func (r *secretReads) admit(ctx context.Context, namespace string) error {
	r.mu.Lock()
	limit, ok := r.limits[namespace]
	if !ok {
		limit = rate.NewLimiter(secretRate, secretBurst)
		r.limits[namespace] = limit
	}
	r.mu.Unlock()
	now := r.now()
	place := limit.ReserveN(now, 1)
	delay := place.DelayFrom(now)
	if delay == 0 {
		return nil
	}
	if delay >= r.timeout {
		place.CancelAt(now)
		return errSecretsBusy
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errSecretsBusy
	}
}

// trust ends the waiting for a Secret: a server took what it has.
func (r *secretReads) trust(server Server) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, secret := range server.secrets() {
		if known, ok := r.known[secretName{server.Namespace, secret.Name}]; ok && known.err == nil {
			known.wait = 0
		}
	}
}

// sweep forgets the Secrets that no server has wanted for long, and the namespaces' limits
// that nothing was read under lately. The mutex is held.
func (r *secretReads) sweep(now time.Time) {
	if now.Sub(r.swept) < 2*r.most {
		return
	}
	r.swept = now
	maps.DeleteFunc(r.known, func(_ secretName, known *secretRead) bool {
		return known.busy == nil && now.Sub(known.used) >= 2*r.most
	})
	maps.DeleteFunc(r.limits, func(_ string, limit *rate.Limiter) bool { return limit.TokensAt(now) >= secretBurst })
}
