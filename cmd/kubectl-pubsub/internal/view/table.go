package view

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/decide"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// Row is what is known of one channel. One of Explanation, Failure and Ending is set, or
// none where nothing is known yet.
type Row struct {
	Namespace, Name string
	Explanation     *inspectv1.ExplainResponse
	Failure         *inspectv1.Failure
	// Ending is why nothing more comes: a reason in CamelCase, and the words.
	Ending, EndingWords string
	// Heard is when this came: the cooldown counts down from then.
	Heard time.Time
	// AsOf is when that was so, for an explanation that is made from a status; the zero time: now.
	AsOf time.Time
}

// headings are the columns; NAMESPACE stands only where there may be several.
var headings = []string{"NAMESPACE", "NAME", "DEPTH", "RATE", "REPLICAS", "DESIRED", "ACTION", "REASON", "COOLDOWN", "EXPLANATION"}

// usual are the least widths of the columns, so that a table seldom shifts.
var usual = []int{0, 0, 7, 8, 0, 0, len("ScaleDown"), len("AboveUpperBound"), 0, 0}

// sentenceColumn is the last one, whose width is left open.
var sentenceColumn = len(headings) - 1

// gap is what separates columns.
const gap = "  "

// Table aligns rows that come one after the other: a column only becomes wider.
type Table struct {
	namespaces bool
	widths     []int
}

// NewTable returns a table, with a column for the namespace or without.
func NewTable(namespaces bool) *Table {
	t := &Table{namespaces: namespaces, widths: slices.Clone(usual)}
	t.fit(headings)
	return t
}

// Fit makes the columns wide enough for a row.
func (t *Table) Fit(r Row, now time.Time) { t.fit(cells(r, now)) }

func (t *Table) fit(texts []string) {
	for i, text := range texts {
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(text))
	}
}

// Header is the first line.
func (t *Table) Header() string { return t.line(headings) }

// Line is a row's line as of now.
func (t *Table) Line(r Row, now time.Time) string {
	texts := cells(r, now)
	t.fit(texts)
	return t.line(texts)
}

func (t *Table) line(texts []string) string {
	return t.columns(texts) + texts[sentenceColumn]
}

// columns are all but the sentence.
func (t *Table) columns(texts []string) string {
	var out strings.Builder
	for i, text := range texts[:sentenceColumn] {
		if i == 0 && !t.namespaces {
			continue
		}
		out.WriteString(text + strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(text)) + gap)
	}
	return out.String()
}

// short is a row's line without the sentence, and the sentence.
func (t *Table) short(r Row, now time.Time) (columns, sentence string) {
	texts := cells(r, now)
	return strings.TrimRight(t.columns(texts), " "), texts[sentenceColumn]
}

// cells has as many as there are headings.
func cells(r Row, now time.Time) []string {
	names := []string{clean(r.Namespace), clean(r.Name)}
	unknown := func(reason, words string) []string {
		return append(names, none, none, none, none, none, reason, none, clean(words))
	}
	switch e := r.Explanation; {
	case e != nil:
		reason, _ := inspect.ReasonName(e.GetReason())
		return append(names, depth(e), perSecond(e), fmt.Sprint(e.GetReplicas()), fmt.Sprint(e.GetDesiredReplicas()),
			inspect.ActionName(e.GetAction()), reason, cooldown(r, now), clean(old(r, now)+sentence(e)))
	case r.Failure != nil:
		reason := r.Failure.GetReason()
		if reason == "" {
			reason = inspect.CodeName(r.Failure)
		}
		return unknown(clean(reason), r.Failure.GetMessage())
	case r.Ending != "":
		return unknown(r.Ending, r.EndingWords)
	default:
		return unknown(none, "asking the scaler")
	}
}

func depth(e *inspectv1.ExplainResponse) string {
	if e.GetDepthIsLowerBound() {
		return fmt.Sprintf("≥%d", e.GetQueueDepth())
	}
	return fmt.Sprint(e.GetQueueDepth())
}

func perSecond(e *inspectv1.ExplainResponse) string {
	if e.MessageRate == nil {
		return none
	}
	return rate(e.GetMessageRate()) + "/s"
}

// sentence is the explanation in the form that stays true until the next one comes.
func sentence(e *inspectv1.ExplainResponse) string {
	if e.GetLastingExplanation() != "" {
		return briefly(e) + e.GetLastingExplanation()
	}
	return briefly(e) + e.GetExplanation()
}

// old says of an explanation from a status that is old how old it is.
func old(r Row, now time.Time) string {
	if !decide.IsOld(r.AsOf, now) {
		return ""
	}
	return "as of " + age(now, r.AsOf) + ": "
}

func cooldown(r Row, now time.Time) string {
	left := r.Explanation.GetCooldownLeft().AsDuration() - max(0, now.Sub(r.Heard))
	if left <= 0 {
		return none
	}
	return strings.ReplaceAll(seconds(left), " ", "")
}
