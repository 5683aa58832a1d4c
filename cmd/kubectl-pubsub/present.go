package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/channels"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/follow"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/view"
)

// endingWords describes each ending.
var endingWords = map[follow.Ending]string{
	follow.Deleted:        "the channel was deleted",
	follow.AutoscalingOff: "spec.autoScaling.enabled is false, so there are no decisions",
}

// rowOf is an update as a row of a table.
func rowOf(update follow.Update, now time.Time) view.Row {
	return view.Row{
		Namespace: update.Channel.Namespace, Name: update.Channel.Name,
		Explanation: update.Explanation, Failure: update.Failure,
		Ending: string(update.Ending), EndingWords: endingWords[update.Ending],
		Heard: now, AsOf: update.AsOf,
	}
}

func isNews(update follow.Update) bool {
	return !update.Again && (update.Explanation != nil || update.Failure != nil || update.Ending != "")
}

// nothing is the line for no channels, in the style of kubectl.
func nothing(selection channels.Selection) string {
	if selection.Namespace == "" {
		return "No PubSubChannel autoscales yet; waiting for one."
	}
	return fmt.Sprintf("No PubSubChannel in namespace %s autoscales yet; waiting for one.", selection.Namespace)
}

// warnings prints a problem once, however often it occurs.
type warnings struct {
	out  io.Writer
	last string
}

func (w *warnings) tell(err error) error {
	if w.last == err.Error() {
		return nil
	}
	w.last = err.Error()
	_, err = fmt.Fprintln(w.out, "warning:", err)
	return err
}

// textLines prints a line for each change.
type textLines struct {
	out       io.Writer
	selection channels.Selection
	problems  warnings
	table     *view.Table
	listed    bool
	any       bool // channel was told
	begun     bool
}

func newTextLines(out, problems io.Writer, selection channels.Selection) *textLines {
	return &textLines{out: out, selection: selection, problems: warnings{out: problems}, table: view.NewTable(selection.Namespace == "")}
}

func (l *textLines) update(update follow.Update, now time.Time) error {
	if update.Err != nil {
		return l.problems.tell(update.Err)
	}
	if update.Listed {
		first := !l.listed
		l.listed, l.problems.last = true, ""
		if first && !l.any && len(l.selection.Names) == 0 {
			_, err := fmt.Fprintln(l.problems.out, nothing(l.selection))
			return err
		}
		return nil
	}
	l.any = true
	row := rowOf(update, now)
	if !isNews(update) {
		l.table.Fit(row, now) // so that the columns fit all that there are from the beginning
		return nil
	}
	line := l.table.Line(row, now)
	if !l.begun {
		l.begun = true
		line = l.table.Header() + "\n" + line
	}
	_, err := fmt.Fprintln(l.out, line)
	return err
}

func (l *textLines) tick(time.Time) error { return nil }
func (l *textLines) close() error         { return nil }

// jsonLines prints an object for each change.
type jsonLines struct {
	out      io.Writer
	problems warnings
}

// change is such an object. One of explanation, failure and ending is there.
type change struct {
	Time        string          `json:"time"`           // RFC 3339
	AsOf        string          `json:"asOf,omitempty"` // RFC 3339: of when the status is that it was decided from
	Namespace   string          `json:"namespace"`
	Name        string          `json:"name"`
	Explanation json.RawMessage `json:"explanation,omitempty"` // an ExplainResponse
	Failure     json.RawMessage `json:"failure,omitempty"`     // a Failure
	Ending      follow.Ending   `json:"ending,omitempty"`
}

func (l *jsonLines) update(update follow.Update, _ time.Time) (err error) {
	switch {
	case update.Err != nil:
		return l.problems.tell(update.Err)
	case update.Listed:
		l.problems.last = ""
		return nil
	case !isNews(update):
		return nil
	}
	c := change{
		Time:      update.Time.UTC().Format(time.RFC3339Nano),
		Namespace: update.Channel.Namespace, Name: update.Channel.Name, Ending: update.Ending,
	}
	if !update.AsOf.IsZero() {
		c.AsOf = update.AsOf.UTC().Format(time.RFC3339)
	}
	if update.Explanation != nil {
		if c.Explanation, err = compactJSON(update.Explanation); err != nil {
			return err
		}
	}
	if update.Failure != nil {
		if c.Failure, err = compactJSON(update.Failure); err != nil {
			return err
		}
	}
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(l.out, "%s\n", data)
	return err
}

func (l *jsonLines) tick(time.Time) error { return nil }
func (l *jsonLines) close() error         { return nil }

// screen redraws a table on a terminal.
type screen struct {
	out       io.Writer
	selection channels.Selection
	size      func() (width, height int)
	rows      map[types.NamespacedName]view.Row
	listed    bool
	problem   string
	drawn     view.Screen
}

func newScreen(out io.Writer, selection channels.Selection, size func() (width, height int)) *screen {
	return &screen{out: out, selection: selection, size: size, rows: map[types.NamespacedName]view.Row{}}
}

func (s *screen) update(update follow.Update, now time.Time) error {
	switch {
	case update.Err != nil:
		s.problem = "warning: " + update.Err.Error()
	case update.Listed:
		s.listed, s.problem = true, ""
	case update.Ending != "" && len(s.selection.Names) == 0:
		delete(s.rows, update.Channel)
	default:
		s.rows[update.Channel] = rowOf(update, now)
	}
	return s.tick(now)
}

func (s *screen) tick(now time.Time) error {
	if !s.listed {
		return nil // the first frame has all rows
	}
	var notes []string
	if len(s.rows) == 0 {
		notes = append(notes, nothing(s.selection))
	}
	if s.problem != "" {
		notes = append(notes, s.problem)
	}
	width, height := s.size()
	lines := view.Lines(slices.Collect(maps.Values(s.rows)), s.selection.Namespace == "", notes, now, width, height)
	_, err := io.WriteString(s.out, s.drawn.Frame(lines, width))
	return err
}

func (s *screen) close() error {
	_, err := io.WriteString(s.out, s.drawn.End())
	return err
}
