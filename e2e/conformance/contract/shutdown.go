package contract

import (
	"context"
	"sync"
	"time"
)

var shutdownChecks = []Check{{
	Name:      "shutdown.streams",
	Rule:      "on shutdown every stream ends without an error, within 5 s (--shutdown-time)",
	Why:       "after a clean end KEDA is back in 2 s; an error doubles its wait at each restart, up to a minute, and nothing wakes a target meanwhile. A bare GracefulStop waits for streams that never end",
	Reference: "pkg/scalers/external_scaler.go: runStreamIsActive",
	needs:     []string{specAnswers},
	run:       checkShutdown,
}}

// shutdownStreams is how many streams of each kind are open at the shutdown.
const shutdownStreams = 5

func checkShutdown(ctx context.Context, p *probe) Outcome {
	if p.Shutdown == nil {
		return skip("not judged: nobody ends the scaler (--shutdown-pid, --expect-shutdown)")
	}
	for _, name := range []string{pushStaysOpen, specStreamStaysOpen} {
		if p.outcomes[name].Status == Fail {
			return skip("tells nothing new: %s failed", name)
		}
	}
	limit := p.Limits.Shutdown + p.ShutdownWait
	open, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel() // before the wait
	streams := map[*observation]string{}
	for range shutdownStreams {
		states, specs := newObservation(), newObservation()
		streams[states], streams[specs] = "StreamIsActive", "StreamMetricSpec"
		running.Go(func() { record(open, states, p.Limits.Open+2*limit, p.ref(nil), p.scaler.StreamIsActive, readActive) })
		running.Go(func() { record(open, specs, p.Limits.Open+2*limit, p.ref(nil), p.scaler.StreamMetricSpec, readSpecs) })
	}
	for o, method := range streams {
		o.opening(ctx, p.Limits.Open)
		ended := o.seen().ended
		if unimplemented(ended) {
			delete(streams, o)
		} else if ended != nil {
			return fail(method+" ended before the shutdown", "%s", describeEnd(ended))
		}
	}
	if len(streams) == 0 {
		return skip("the scaler offers no streams")
	}
	began := time.Now()
	if err := p.Shutdown(ctx); err != nil {
		return fail("the scaler could not be told to shut down", "%v", err)
	}
	return p.judgeEnds(streams, began)
}

// judgeEnds waits for the end of the streams: Limits.Shutdown, from the first end where the
// shutdown itself may take its time.
func (p *probe) judgeEnds(streams map[*observation]string, began time.Time) Outcome {
	ends := make(chan *observation, len(streams))
	for o := range streams {
		go func() { // ends with the stream, which ends with the check
			<-o.done
			ends <- o
		}()
	}
	deadline := time.After(p.Limits.Shutdown + p.ShutdownWait)
	for ended := range len(streams) {
		select {
		case o := <-ends:
			if err := o.seen().ended; !isEOF(err) {
				return fail("return nil from each stream's handler, and only then stop the server", "%s ended after %s: %s", streams[o], round(time.Since(began)), describeError(err))
			}
			if ended == 0 && p.ShutdownWait > 0 {
				deadline = time.After(p.Limits.Shutdown)
			}
		case <-deadline:
			return fail("end the streams before the server's GracefulStop, which waits for them", "%d of %d streams were open after %s", len(streams)-ended, len(streams), round(time.Since(began)))
		}
	}
	return pass("%d streams ended without an error, all after %s", len(streams), round(time.Since(began)))
}
