package broker

import (
	"errors"
	"runtime/debug"
	"slices"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// PanicError is a fault of the scaler's own, met while it worked for one server. What it
// was, the log tells: it may show what is not for everybody.
type PanicError struct {
	value any
	stack []byte
}

func (*PanicError) Error() string {
	return "the scaler has a fault, which it met while it read this server; its log has the details"
}

// recovered makes an error of a panic, of which value is what recover returned. The
// goroutines that work for one server must not end the process, which works for all.
func recovered(value any, err *error) bool {
	if value == nil {
		return false
	}
	*err = &PanicError{value: value, stack: debug.Stack()}
	return true
}

// panicked records a panic as the failure of a read, and begins anew: what the read had
// learned of the queues so far may be half of it only.
func (l *lane) panicked(b batch, failure error) {
	l.sampler.mu.Lock()
	own := slices.DeleteFunc(slices.Clone(b.watched), func(w *watched) bool { return w.lane != l }) // others have been handed over
	l.regroup = true
	l.sampler.mu.Unlock()
	for _, w := range own {
		w.reader = queue.NewReader(w.reader.Queue())
	}
	l.all = l.batch(l.all.watched)
	l.fail(nil, l.batch(own), failure)
}

// reportPanic counts a panic, if failure is one, and logs the first in a row with its stack.
func (o Options) reportPanic(server Server, failure, before error) {
	var fault, another *PanicError
	if !errors.As(failure, &fault) {
		return
	}
	o.Metrics.panics.Inc()
	if !errors.As(before, &another) {
		o.Logger.Error("fault while working for a server: please report it", "server", server.Address,
			"panic", fault.value, "stack", string(fault.stack))
	}
}
