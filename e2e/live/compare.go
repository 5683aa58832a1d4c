package live

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jawaracloud/pubsub-operator/simulation/chart"
)

// policyNames are the policies in the order in which they are shown, and what they are called.
var policyNames = [][2]string{{"threshold", "Threshold"}, {"utilization", "Utilization"}, {"keda", "KEDA redis scaler"}}

// Compare writes a table and a picture of a trace's runs that are in a folder, one for each policy
// that was run.
func Compare(dir, traceName string) error {
	var results []Result
	depth := chart.Panel{Title: "messages, waiting and in flight"}
	replicas := chart.Panel{Title: "replicas"}
	seconds := 0
	for _, name := range policyNames {
		folder := filepath.Join(dir, traceName+"-"+name[0])
		text, err := os.ReadFile(filepath.Join(folder, "result.json"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var result Result
		if err == nil {
			err = json.Unmarshal(text, &result)
		}
		if err != nil {
			return fmt.Errorf("the results of an earlier run in %s: %w: delete the folder, and run it again", folder, err)
		}
		columns, err := readColumns(filepath.Join(folder, "seconds.csv"))
		if err != nil {
			return err
		}
		results = append(results, result)
		depth.Series = append(depth.Series, chart.Series{Name: name[1], Values: columns[1]})
		replicas.Series = append(replicas.Series, chart.Series{Name: name[1], Values: columns[2]})
		seconds = max(seconds, len(columns[0]))
	}
	if len(results) == 0 {
		return fmt.Errorf("%s has no run of %s", dir, traceName)
	}
	picture, err := chart.SVG(chart.Figure{
		Title: traceName + ", measured on a local node", Length: time.Duration(seconds) * time.Second, Panels: []chart.Panel{depth, replicas},
	})
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, traceName+".svg"), picture, 0o600),
		os.WriteFile(filepath.Join(dir, traceName+".md"), []byte(comparison(results)), 0o600),
	)
}

// readColumns are the four columns of seconds.csv or messages.csv.
func readColumns(file string) (columns [4][]float64, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return columns, err
	}
	rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil {
		return columns, fmt.Errorf("%s: %w", file, err)
	}
	for _, row := range rows[1:] {
		for i := range columns {
			value, err := strconv.ParseFloat(row[i], 64)
			if err != nil {
				return columns, fmt.Errorf("%s: %w", file, err)
			}
			columns[i] = append(columns[i], value)
		}
	}
	return columns, nil
}

// comparison is the table in Markdown: each figure as measured, and as the simulation has it.
func comparison(results []Result) string {
	text := &strings.Builder{}
	text.WriteString("| policy | | p50 wait | p99 wait | mean wait | replica-hours | scalings | most replicas | lost | load average |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		name := r.Policy
		for _, known := range policyNames {
			if known[0] == r.Policy {
				name = known[1]
			}
		}
		fmt.Fprintf(text, "| %s | measured | %s | %d | %.1f |\n", name, cells(r.Live), r.Messages.Lost, r.LoadAverage)
		fmt.Fprintf(text, "| | simulated | %s | | |\n", cells(r.Simulation.figures()))
		l, s := r.Live, r.Simulation.figures()
		fmt.Fprintf(text, "| | off by | %s | %s | %s | %s | %s | %s | | |\n", offBy(s.P50, l.P50), offBy(s.P99, l.P99), offBy(s.Mean, l.Mean),
			offBy(s.ReplicaHours, l.ReplicaHours), offBy(float64(s.Scalings), float64(l.Scalings)), offBy(float64(s.MostReplicas), float64(l.MostReplicas)))
	}
	return text.String()
}

func cells(f figures) string {
	return fmt.Sprintf("%.1f s | %.1f s | %.1f s | %.2f | %d | %d", f.P50, f.P99, f.Mean, f.ReplicaHours, f.Scalings, f.MostReplicas)
}
