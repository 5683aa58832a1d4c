package command

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/jawaracloud/pubsub-operator/e2e/conformance/contract"
)

// printer writes the report: text as the checks end, JSON at the end.
type printer struct {
	out     io.Writer
	options options
	began   time.Time
	width   int // of the longest name
}

func newPrinter(out io.Writer, o options) *printer {
	p := &printer{out: out, options: o, began: time.Now()}
	for _, check := range contract.Checks() {
		if o.selected(check) {
			p.width = max(p.width, len(check.Name))
		}
	}
	return p
}

// result prints one result. Why a rule is there is told where it was broken.
func (p *printer) result(r contract.Result) {
	if p.options.output != "text" {
		return
	}
	line := r.Seen
	if r.Status == contract.Skip {
		line = r.Reason
	}
	fmt.Fprintf(p.out, "%s  %-*s  %s\n", r.Status, p.width, r.Name, line)
	if r.Status == contract.Fail {
		p.detail("wrong", r.Reason)
	}
	if r.Status == contract.Fail || p.options.verbose {
		p.detail("rule", r.Rule)
		p.detail("why", r.Why)
		p.detail("see", r.Reference)
	}
}

func (p *printer) detail(what, text string) {
	fmt.Fprintf(p.out, "      %-5s  %s\n", what, text)
}

// count is how many results have each status.
func count(results []contract.Result) map[contract.Status]int {
	counts := make(map[contract.Status]int)
	for _, r := range results {
		counts[r.Status]++
	}
	return counts
}

// Report is what --output json prints.
type Report struct {
	Address     string       `json:"address"`
	KEDAVersion string       `json:"kedaVersion"`
	Seconds     float64      `json:"seconds"`
	Passed      int          `json:"passed"`
	Failed      int          `json:"failed"`
	Skipped     int          `json:"skipped"`
	Checks      []ReportLine `json:"checks"`
}

// ReportLine is one check.
type ReportLine struct {
	Name      string          `json:"name"`
	Status    contract.Status `json:"status"`
	Seen      string          `json:"seen,omitempty"`
	Reason    string          `json:"reason,omitempty"`
	Rule      string          `json:"rule"`
	Why       string          `json:"why"`
	Reference string          `json:"reference"`
	Seconds   float64         `json:"seconds"`
}

// summary ends the report.
func (p *printer) summary(results []contract.Result) error {
	counts, took := count(results), time.Since(p.began)
	if p.options.output == "text" {
		_, err := fmt.Fprintf(p.out, "\n%s, as KEDA %s sees it: %d passed, %d failed, %d skipped, in %s\n", p.options.config.Address,
			contract.KEDAVersion, counts[contract.Pass], counts[contract.Fail], counts[contract.Skip], seconds(took))
		return err
	}
	doc := Report{
		Address: p.options.config.Address, KEDAVersion: contract.KEDAVersion, Seconds: took.Seconds(),
		Passed: counts[contract.Pass], Failed: counts[contract.Fail], Skipped: counts[contract.Skip],
		Checks: []ReportLine{},
	}
	for _, r := range results {
		doc.Checks = append(doc.Checks, ReportLine{r.Name, r.Status, r.Seen, r.Reason, r.Rule, r.Why, r.Reference, r.Took.Seconds()})
	}
	encoder := json.NewEncoder(p.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(doc)
}

// printList prints the checks with their reasons.
func printList(out io.Writer, selected func(contract.Check) bool) {
	for _, check := range contract.Checks() {
		if selected(check) {
			fmt.Fprintf(out, "%s\n      rule   %s\n      why    %s\n      see    %s\n", check.Name, check.Rule, check.Why, check.Reference)
		}
	}
}
