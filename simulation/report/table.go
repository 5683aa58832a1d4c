package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/jawaracloud/pubsub-operator/simulation"
	"github.com/jawaracloud/pubsub-operator/simulation/chart"
)

// Table writes the figure and the figures for a terminal of that width.
func (r Report) Table(w io.Writer, width int, color bool) error {
	text := chart.Terminal(r.Figure(), width, color) + "\n" +
		r.settings() + "\n" + r.surroundings() + "\n\n" + aligned(append([][]string{columns}, r.rows()...))
	for _, note := range r.notes() {
		text += "\n" + note + "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

// aligned is rows with the first column to the left and the others to the right.
func aligned(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, cells := range rows {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for _, cells := range rows {
		for i, cell := range cells {
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				text.WriteString(cell + padding)
				continue
			}
			text.WriteString("   " + padding + cell)
		}
		text.WriteString("\n")
	}
	return text.String()
}

// Markdown writes the reports as a document. picture names the file of a trace's picture,
// or returns "" where there is none.
func Markdown(w io.Writer, reports []Report, picture func(name string) string) error {
	var text strings.Builder
	text.WriteString(overview(reports))
	for _, r := range reports {
		fmt.Fprintf(&text, "\n## %s\n\n%s.\n\n", r.Trace.Name, capitalized(r.Trace.Description))
		if file := picture(r.Trace.Name); file != "" {
			fmt.Fprintf(&text, "![Depth of the queue and replicas over time, %s](%s)\n\n", r.Trace.Name, file)
		}
		fmt.Fprintf(&text, "%s.\n%s.\n\n%s", capitalized(r.settings()), capitalized(r.surroundings()), markdownTable(columns, r.rows()))
		for _, note := range r.notes() {
			text.WriteString("\n" + note + "\n")
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// overview is a table of all traces, where there are several: p99 wait / replica-hours /
// scalings.
func overview(reports []Report) string {
	const title = "# Results\n\nReplayed by `kubectl pubsub simulate`.\n"
	if len(reports) < 2 {
		return title
	}
	header := []string{"trace"}
	for _, result := range reports[0].Results {
		if result.Autoscaler == simulation.Fixed {
			result.Label = "fixed fleet" // of another size in each trace
		}
		header = append(header, result.Label)
	}
	var rows [][]string
	for _, r := range reports {
		cells := []string{fmt.Sprintf("[%s](#%s)", r.Trace.Name, r.Trace.Name)}
		for _, result := range r.Results {
			cells = append(cells, fmt.Sprintf("%s / %s / %s", thousandsTenths(result.P99.Seconds()), thousandsTenths(result.ReplicaHours), thousands(float64(result.Scalings))))
		}
		rows = append(rows, cells)
	}
	return title + "\nThe wait in seconds that 99 % of the messages did not exceed / replica-hours / scalings:\n\n" + markdownTable(header, rows)
}

func markdownTable(header []string, rows [][]string) string {
	text := "| " + strings.Join(header, " | ") + " |\n|---|" + strings.Repeat("---:|", len(header)-1) + "\n"
	for _, cells := range rows {
		text += "| " + strings.Join(cells, " | ") + " |\n"
	}
	return text
}

func capitalized(text string) string {
	return strings.ToUpper(text[:1]) + text[1:]
}
