package frameworks

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
)

var tableFile = flag.String("table", "", "write what each framework and the scaler counted at each step to this file")

// step is one comparison of a test.
type step struct {
	framework, scenario, step, queue string
	states                           string // as the framework names them
	theirs, ours                     count
}

// comparisons are those of all tests, by the framework and its version.
var comparisons struct {
	sync.Mutex
	steps map[string][]step
}

func record(s step) {
	s.queue = strings.Trim(s.queue, "{}")
	comparisons.Lock()
	defer comparisons.Unlock()
	if comparisons.steps == nil {
		comparisons.steps = map[string][]step{}
	}
	comparisons.steps[s.framework] = append(comparisons.steps[s.framework], s)
}

func (c count) String() string { return fmt.Sprintf("%d + %d", c.Ready, c.InFlight) }

// String has the states in a fixed order.
func (c counts) String() string {
	var told []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		told = append(told, fmt.Sprintf("%s %d", name, c[name]))
	}
	return strings.Join(told, ", ")
}

// table is one for each framework: of each step, what the framework tells, the depth by that, and
// ours; a depth is ready + in flight. What several places had alike is told once.
func table() string {
	comparisons.Lock()
	defer comparisons.Unlock()
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(comparisons.steps)) {
		steps := comparisons.steps[name]
		times := map[step]int{}
		for _, s := range steps {
			times[s]++
		}
		slices.SortStableFunc(steps, func(a, b step) int { return strings.Compare(a.scenario, b.scenario) })
		fmt.Fprintf(&text, "\n%s\n", name)
		columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
		fmt.Fprintln(columns, "scenario\tstep\tqueue\tthe framework tells\ttheirs\tours\tplaces\t")
		for _, s := range steps {
			if times[s] == 0 {
				continue // told already
			}
			differs := ""
			if s.theirs != s.ours {
				differs = "DIFFERS"
			}
			fmt.Fprintf(columns, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", s.scenario, s.step, s.queue, s.states, s.theirs, s.ours, times[s], differs)
			delete(times, s)
		}
		_ = columns.Flush() // to memory
	}
	return text.String()
}

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if *tableFile != "" {
		if err := os.WriteFile(*tableFile, []byte(table()), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
