package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	// sampling is how often a condition is looked at.
	sampling = 500 * time.Millisecond
	// sampleTimeout bounds one look.
	sampleTimeout = time.Minute
	// unreadable is how long a condition that is to hold may not be seen, because it can't be read.
	unreadable = 2 * time.Minute
)

// samples are the looks at a condition.
type samples struct {
	held   int
	unread int // it could not be read
}

// holds samples the condition until it was seen to hold after the window. It ends at once if the condition is seen not to hold. What
// can't be read for a moment tells nothing: neither that the condition holds, nor that it does not.
func holds(ctx context.Context, window time.Duration, condition func(context.Context) error) (seen samples, err error) {
	ticker := time.NewTicker(sampling)
	defer ticker.Stop()
	began := time.Now()
	last := began // when it was last seen to hold
	for {
		attempt, cancel := context.WithTimeout(ctx, sampleTimeout)
		err := condition(attempt)
		cancel()
		now := time.Now()
		switch {
		case err == nil:
			seen.held++
			last = now
			if now.Sub(began) >= window {
				return seen, nil
			}
		case !transient(err):
			return seen, fmt.Errorf("no longer so after %.1f of %.1f s: %w", now.Sub(began).Seconds(), window.Seconds(), err)
		case now.Sub(last) >= unreadable:
			return seen, fmt.Errorf("it could not be read for %s: %w", unreadable, err)
		default:
			seen.unread++
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return seen, ctx.Err()
		}
	}
}

// transient tells whether an error is that something could not be read for now. All others, also that it is not there, are about what was
// read.
func transient(err error) bool {
	var network net.Error // also url.Error, of an API server that can't be reached
	switch {
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return true
	case apierrors.IsTimeout(err), apierrors.IsServerTimeout(err), apierrors.IsTooManyRequests(err), apierrors.IsServiceUnavailable(err),
		apierrors.IsInternalError(err):
		return true
	}
	return false
}
