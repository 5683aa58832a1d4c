package dashboardtest

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/tracing"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// watched is how long the page is watched for one figure.
const watched = 30 * time.Second

// BenchmarkThousandChannels measures the page while each of 1,000 channels changes every second, told in four
// messages a second, as the plugin tells it: scripting for each frame by the browser's own trace (the main
// thread's time on the processor, so that what else runs on the machine isn't counted), and the heap.
func BenchmarkThousandChannels(b *testing.B) {
	s := newServer(b, many(1000)...)
	p := open(b, s.URL, 1280, 900)
	p.untilText(".found", "1,000 channels")
	ctx, stop := context.WithCancel(b.Context())
	var changing sync.WaitGroup
	changing.Go(func() { change(ctx, b, s) })
	defer changing.Wait()
	defer stop()
	for b.Loop() {
		events := trace(p, watched)
		thread := mainThread(events)
		frames := slices.DeleteFunc(perFrame(thread, scripting), func(ms float64) bool { return ms == 0 })
		require.Greater(b, len(frames), 60, "frames with scripting")
		b.ReportMetric(percentile(frames, 0.5), "p50-script-ms/frame")
		b.ReportMetric(percentile(frames, 0.95), "p95-script-ms/frame")
		b.ReportMetric(percentile(frames, 1), "max-script-ms/frame")
		b.ReportMetric(percentile(perFrame(thread, rendering), 0.95), "p95-render-ms/frame")
		b.ReportMetric(float64(len(frames))/watched.Seconds(), "frames/s")
	}
	before := of(p, func(ctx context.Context, _ *chromedp.Target) (runtime.GetHeapUsageResult, error) {
		return chromedp.Call(ctx, runtime.GetHeapUsage, cdp.Empty{})
	})
	p.do(command(heapprofiler.CollectGarbage, cdp.Empty{}))
	after := of(p, func(ctx context.Context, _ *chromedp.Target) (runtime.GetHeapUsageResult, error) {
		return chromedp.Call(ctx, runtime.GetHeapUsage, cdp.Empty{})
	})
	total := func(heap runtime.GetHeapUsageResult) float64 {
		return (heap.UsedSize + heap.EmbedderHeapUsedSize + heap.BackingStorageSize) / 1e6
	}
	b.ReportMetric(total(before), "heap-MB")
	b.ReportMetric(total(after), "live-heap-MB")
}

// change changes a quarter of the channels each quarter of a second.
func change(ctx context.Context, b *testing.B, s *server) {
	rows := many(1000)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for round := 0; ; round++ {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			quarter := rows[round%4*250 : (round%4+1)*250]
			for i := range quarter {
				row := &quarter[i]
				depth := int64((round*37 + i*13) % 260)
				row.Depth, row.Waiting = &depth, &depth
				row.Points = []protocol.Point{{Time: now, Depth: &depth, Replicas: 1, Ready: 1, Desired: 1, LowerBound: row.LowerBound, UpperBound: row.UpperBound}}
			}
			s.push(b, protocol.Envelope{Kind: protocol.KindFleet, Fleet: &protocol.Fleet{Now: now, Rows: quarter}})
		}
	}
}

// traced is an event of the trace; times are in microseconds.
type traced struct {
	Name  string  `json:"name"`
	Phase string  `json:"ph"`
	PID   int     `json:"pid"`
	TID   int     `json:"tid"`
	Start float64 `json:"ts"`
	// Wall is how long it took, CPU how long it had a processor.
	Wall float64  `json:"dur"`
	CPU  *float64 `json:"tdur"`
}

// trace is what the browser says of itself in that time.
func trace(p *tab, length time.Duration) []traced {
	p.t.Helper()
	var mu sync.Mutex
	var events []traced
	complete := make(chan struct{})
	ctx, cancel := context.WithTimeout(p.ctx, length+4*patience)
	defer cancel()
	require.NoError(p.t, chromedp.Listen(ctx, func(event any) {
		switch event := event.(type) {
		case *tracing.EventDataCollected:
			mu.Lock()
			defer mu.Unlock()
			for _, value := range event.Value {
				var e traced
				if err := json.Unmarshal(value, &e); err == nil && e.Phase == "X" {
					events = append(events, e)
				}
			}
		case *tracing.EventTracingComplete:
			close(complete)
		}
	}))
	p.do(command(tracing.Start, tracing.StartParams{TraceConfig: &tracing.TraceConfig{IncludedCategories: []string{"devtools.timeline", "disabled-by-default-devtools.timeline", "v8", "blink.user_timing"}}}))
	select {
	case <-time.After(length):
	case <-ctx.Done():
	}
	p.do(command(tracing.End, cdp.Empty{}))
	select {
	case <-complete:
	case <-ctx.Done():
		require.NoError(p.t, ctx.Err(), "the trace")
	}
	mu.Lock()
	defer mu.Unlock()
	return events
}

var (
	scripting = []string{"FunctionCall", "EvaluateScript", "EventDispatch", "TimerFire", "FireAnimationFrame", "RunMicrotasks", "MinorGC", "MajorGC"}
	rendering = []string{"UpdateLayoutTree", "Layout", "PrePaint", "Paint", "Layerize", "Commit"}
)

// mainThread are the events of the thread with the most scripting, in order.
func mainThread(events []traced) []traced {
	threads := map[[2]int][]traced{}
	busy := map[[2]int]float64{}
	for _, e := range events {
		key := [2]int{e.PID, e.TID}
		threads[key] = append(threads[key], e)
		if e.Name == "FireAnimationFrame" || e.Name == "FunctionCall" {
			busy[key] += e.Wall
		}
	}
	var most [2]int
	for key := range threads {
		if busy[key] > busy[most] {
			most = key
		}
	}
	thread := threads[most]
	slices.SortStableFunc(thread, func(a, b traced) int { return cmp.Compare(a.Start, b.Start) })
	return thread
}

// perFrame is how many milliseconds of such work there were until each frame, since the one before. What is within
// another such event is counted once.
func perFrame(thread []traced, names []string) []float64 {
	var frames []float64
	var until, sum float64
	for _, e := range thread {
		if slices.Contains(names, e.Name) && e.Start >= until {
			until = e.Start + e.Wall
			if e.CPU != nil {
				sum += *e.CPU
			} else {
				sum += e.Wall
			}
		}
		if e.Name == "Commit" { // the frame goes to the compositor
			frames = append(frames, sum/1000)
			sum = 0
		}
	}
	return append(frames, sum/1000)
}

// percentile of the values, which it sorts.
func percentile(values []float64, part float64) float64 {
	slices.Sort(values)
	return values[min(len(values)-1, int(part*float64(len(values))))]
}
