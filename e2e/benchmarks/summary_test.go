package benchmarks

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"github.com/redis/go-redis/v9"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard()) // KEDA's
	redis.SetLogger(silent{})
	code := m.Run()
	recorded.summarize(os.Stdout)
	os.Exit(code)
}

// summary keeps what the benchmarks report, over all their runs (-count), and sets both
// sides against each other.
type summary struct {
	mu     sync.Mutex
	values map[string][]float64 // by benchmark and unit
}

var recorded = summary{values: map[string][]float64{}}

// report is b.ReportMetric, and is in the summary too.
func (s *summary) report(b *testing.B, value float64, unit string) {
	b.ReportMetric(value, unit)
	s.mu.Lock()
	defer s.mu.Unlock()
	name := strings.TrimPrefix(b.Name(), "Benchmark") + " " + unit
	s.values[name] = append(s.values[name], value)
}

// median of all runs; ok is false where there was none.
func (s *summary) median(benchmark, unit string) (value float64, ok bool) {
	values := slices.Sorted(slices.Values(s.values[benchmark+" "+unit]))
	if len(values) == 0 {
		return 0, false
	}
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle], true
	}
	return (values[middle-1] + values[middle]) / 2, true
}

// summarize prints Markdown tables: the medians, and what is asked of them.
func (s *summary) summarize(out io.Writer) {
	if len(s.values) == 0 {
		return
	}
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	p("\n| medians | channels | KEDA: CPU µs/read | scaler: CPU µs/read | KEDA ÷ scaler | connections | heap bytes/channel |")
	p("|---|---|---|---|---|---|---|")
	for _, kind := range kinds {
		for _, n := range counts {
			s.row(p, kind.name, n)
		}
	}
	p("\n| medians | |\n|---|---|")
	for _, line := range []struct{ words, benchmark, unit string }{
		{"CPU µs of a call of Depth for a watched queue", "Ask", unitAsk},
		{"GetMetrics, calls/s", "GetMetrics", "scaler-calls/s"},
		{"empty call, calls/s", "GetMetrics", "empty-calls/s"},
		{"GetMetrics, CPU µs/call, client and server", "GetMetrics", "scaler-cpu-µs/call"},
		{"empty call, CPU µs/call, client and server", "GetMetrics", "empty-cpu-µs/call"},
		{"GetMetrics, % of the empty call's throughput", "GetMetrics", unitOfEmpty},
		{"the same by CPU time, for a machine that does other work", "GetMetrics", unitCPUOfEmpty},
	} {
		if value, ok := s.median(line.benchmark, line.unit); ok {
			p("| %s | %s |", line.words, digits(value))
		}
	}
	p("\n| asked | measured | |\n|---|---|---|")
	for _, t := range s.demands() {
		verdict := "missed"
		if t.met {
			verdict = "met"
		}
		p("| %s | %s | %s |", t.words, digits(t.value), verdict)
	}
}

func (s *summary) row(p func(string, ...any), kind string, n int) {
	ours, ok := s.median(depthName(kind, n, "scaler"), unitRead)
	if !ok {
		return
	}
	connections, _ := s.median(depthName(kind, n, "scaler"), unitConnections)
	bytes, _ := s.median(depthName(kind, n, "scaler"), unitHeap)
	keda, ratio, kedaConnections, kedaBytes := "–", "–", "", ""
	if value, ok := s.median(depthName(kind, n, "keda"), unitRead); ok {
		keda, ratio = digits(value), digits(value/ours)
		c, _ := s.median(depthName(kind, n, "keda"), unitConnections)
		h, _ := s.median(depthName(kind, n, "keda"), unitHeap)
		kedaConnections, kedaBytes = digits(c)+" → ", digits(h)+" → "
	}
	p("| %s | %d | %s | %s | %s | %s%s | %s%s |", kind, n, keda, digits(ours), ratio, kedaConnections, digits(connections), kedaBytes, digits(bytes))
}

// demand is what is asked of the scaler.
type demand struct {
	words string
	value float64
	met   bool
}

func (s *summary) demands() []demand {
	var all []demand
	add := func(words string, met func(float64) bool, value float64, known ...bool) {
		if !slices.Contains(known, false) {
			all = append(all, demand{words, value, met(value)})
		}
	}
	atLeast := func(bound float64) func(float64) bool { return func(v float64) bool { return v >= bound } }
	atMost := func(bound float64) func(float64) bool { return func(v float64) bool { return v <= bound } }
	for _, n := range counts[1:] {
		keda, knownKEDA := s.median(depthName("list", n, "keda"), unitRead)
		ours, known := s.median(depthName("list", n, "scaler"), unitRead)
		add(fmt.Sprintf("CPU for one read of a list, KEDA ÷ scaler, %d channels: 20 or more", n), atLeast(20), keda/ours, knownKEDA, known)
	}
	for _, kind := range kinds {
		few, known := s.median(depthName(kind.name, counts[0], "scaler"), unitRead)
		many, knownMany := s.median(depthName(kind.name, counts[len(counts)-1], "scaler"), unitRead)
		add(fmt.Sprintf("cost of each channel (%s), %d ÷ %d channels: 1.25 or less", kind.name, counts[len(counts)-1], counts[0]), atMost(1.25), many/few, known, knownMany)
		for _, n := range counts {
			connections, known := s.median(depthName(kind.name, n, "scaler"), unitConnections)
			add(fmt.Sprintf("connections for %d channels (%s): 2 or less", n, kind.name), atMost(2), connections, known)
			bytes, known := s.median(depthName(kind.name, n, "scaler"), unitHeap)
			add(fmt.Sprintf("heap bytes of each of %d channels (%s): 4096 or less", n, kind.name), atMost(4096), bytes, known)
		}
	}
	percent, known := s.median("GetMetrics", unitOfEmpty)
	add("GetMetrics, % of the empty call's throughput: 80 or more", atLeast(80), percent, known)
	return all
}

// digits prints three significant digits, and whole numbers in full.
func digits(value float64) string {
	if value >= 100 || value == float64(int64(value)) {
		return fmt.Sprintf("%.0f", value)
	}
	return fmt.Sprintf("%.3g", value)
}
