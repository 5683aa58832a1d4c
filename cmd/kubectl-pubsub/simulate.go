package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/simulation"
	"github.com/jawaracloud/pubsub-operator/simulation/chart"
	"github.com/jawaracloud/pubsub-operator/simulation/report"
	"github.com/jawaracloud/pubsub-operator/simulation/trace"
)

const simulateLong = `Replay arrivals against a model of the workers, and see how the policy scales them.

The policy is the scaler's own code. The HPA is a model that is compared with the HPA's own
code. The workers and their queue are a model, too. Nothing is read from a cluster. The
same command always prints the same numbers.

A trace is a built-in one (--list), or a CSV file with two columns: "time" (when
an interval begins: seconds, durations such as 1m30s, or RFC 3339) and either "arrivals"
(messages in the interval, replayed exactly) or "rate" (messages per second, replayed as a
Poisson process). An interval lasts until the next row. The last one is as long as the one
before it.

The built-in traces have their own limits, target, thresholds, cooldown and workers. For a
file, the CRD's defaults apply. A channel's manifest (-f) replaces the policy, a flag one value.

If all messages take the same time (--service-time fixed) and a worker has one at a time,
messages are modelled as a flow, which is fast. Else they are modelled one by one.

The policy is compared with (--compare):
  keda           KEDA's redis scaler with the same limits and target, and nothing else set
  keda-behavior  the same with "behavior: {}" on its HPA, which then grows faster
  step           the same thresholds and cooldown, but one replica at a time
  fixed          a fleet that never scales, of --fixed replicas
  utilization    the policy Utilization, by how busy the workers are
  threshold      the policy Threshold, where Utilization is the policy
  clairvoyant    what no real scaler can be: it knows when messages will arrive
  all, none      all of these, or none; use them alone`

const simulateExample = `  kubectl pubsub simulate --trace flash
  kubectl pubsub simulate --trace arrivals.csv -f channel.yaml --service-rate 12
  kubectl pubsub simulate --trace spike --cooldown-period 30 --max-scale-down-step 50% --svg spike.svg
  kubectl pubsub simulate --trace all -o markdown --svg-dir pictures`

// allTraces is the name that stands for all of the program's own traces.
const allTraces = "all"

// simulateOptions are the command line.
type simulateOptions struct {
	list     bool
	trace    string
	manifest string
	spec     specFlags
	model    simulation.Config // what of it has flags
	work     workFlags
	seed     uint64
	compare  []string
	output   string
	width    int
	svg      string
	svgDir   string
}

func newSimulateCommand() *cobra.Command {
	o := &simulateOptions{model: simulation.DefaultConfig(policy.DefaultSpec())}
	command := &cobra.Command{
		Use:     "simulate --trace NAME|FILE.csv",
		Short:   "Replay arrivals, and compare autoscalers",
		Long:    simulateLong,
		Example: simulateExample,
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return o.run(command)
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.trace, "trace", "", "a built-in trace, "+allTraces+" for all of them, or a CSV file")
	flags.BoolVar(&o.list, "list", false, "describe the built-in traces")
	flags.StringVarP(&o.manifest, "filename", "f", "", "manifest of a PubSubChannel, whose autoScaling is used; - for standard input")
	o.spec.bind(flags)
	o.work.bind(flags)
	flags.DurationVar(&o.model.PodStart, "pod-start", o.model.PodStart, "time from a scaling until the new workers take messages")
	flags.DurationVar(&o.model.HPASync, "hpa-sync", o.model.HPASync, "how often the HPA decides, in whole seconds")
	flags.BoolVar(&o.model.KeepsTolerance, "hpa-keeps-tolerance", true, "whether the HPA's tolerance can be set, as on Kubernetes 1.35 and later")
	flags.Int32Var(&o.model.Fixed, "fixed", 0, "replicas of the fixed fleet (default: the policy's average; flash: 20)")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the random arrivals and times")
	flags.StringSliceVar(&o.compare, "compare", []string{"keda", "step", "fixed"}, "what to compare with")
	flags.StringVarP(&o.output, "output", "o", "table", "table, json or markdown")
	flags.IntVar(&o.width, "width", 100, "characters in a line of the table's picture, from 40 to 500")
	flags.StringVar(&o.svg, "svg", "", "file to draw the picture in")
	flags.StringVar(&o.svgDir, "svg-dir", "", "existing folder in which to draw a picture for each trace, TRACE.svg")
	return command
}

func (o *simulateOptions) run(command *cobra.Command) error {
	out := command.OutOrStdout()
	if o.list {
		return listTraces(out)
	}
	others, err := o.validate()
	if err != nil {
		return err
	}
	replays, err := o.replays()
	if err != nil {
		return err
	}
	override, err := o.spec.override(command.Flags())
	if err != nil {
		return err
	}
	var manifest *policy.Spec
	if o.manifest != "" {
		spec, err := readManifest(o.manifest, command.InOrStdin())
		if err != nil {
			return err
		}
		manifest = &spec
	}
	var reports []report.Report
	for _, replay := range replays {
		if manifest != nil {
			replay = ofManifest(replay, *manifest)
		}
		config := o.model
		config.Spec = override(replay.Spec)
		o.work.apply(command.Flags(), &config, replay)
		if !command.Flags().Changed("fixed") {
			config.Fixed = replay.Fixed
		}
		if err := config.Validate(); err != nil {
			return err
		}
		if err := command.Context().Err(); err != nil {
			return err
		}
		reports = append(reports, report.New(replay.Trace, o.seed, config, others))
	}
	if err := o.draw(reports); err != nil {
		return err
	}
	return o.print(out, reports)
}

// validate checks the flags that don't depend on the trace, and returns what to compare
// with.
func (o *simulateOptions) validate() ([]*simulation.Autoscaler, error) {
	var errs []error
	if o.trace == "" {
		errs = append(errs, fmt.Errorf("--trace is missing: name a CSV file, or one of %s (--list describes them)", strings.Join(trace.Names(), ", ")))
	}
	if !slices.Contains([]string{"table", "json", "markdown"}, o.output) {
		errs = append(errs, fmt.Errorf("--output is %q: it must be table, json or markdown", o.output))
	}
	if o.width < 40 || o.width > 500 {
		errs = append(errs, fmt.Errorf("--width is %d: it must be from 40 to 500", o.width))
	}
	if o.svg != "" && o.trace == allTraces {
		errs = append(errs, errors.New("--svg draws one trace, but --trace is all: use --svg-dir"))
	}
	if o.model.Fixed < 0 {
		errs = append(errs, fmt.Errorf("--fixed is %d: it must be at least 1, or left out", o.model.Fixed))
	}
	others, err := comparisons(o.compare)
	return others, errors.Join(append(errs, err)...)
}

func comparisons(names []string) ([]*simulation.Autoscaler, error) {
	known := simulation.Autoscalers()
	var others []*simulation.Autoscaler
	for _, name := range names {
		other, _ := simulation.ByName(name)
		switch {
		case name == "none" && len(names) == 1:
			return nil, nil
		case name == "all" && len(names) == 1:
			return known, nil
		case !slices.Contains(known, other):
			return nil, fmt.Errorf("--compare has %q: it must be a list of %s, or all or none alone", name, joined(known))
		case !slices.Contains(others, other):
			others = append(others, other)
		}
	}
	return others, nil
}

func joined(autoscalers []*simulation.Autoscaler) string {
	var names []string
	for _, a := range autoscalers {
		names = append(names, a.String())
	}
	return strings.Join(names, ", ")
}

// replays are the traces that were asked for, with their own settings.
func (o *simulateOptions) replays() ([]trace.BuiltIn, error) {
	if o.trace == allTraces {
		return trace.BuiltIns(), nil
	}
	if builtIn, ok := trace.Lookup(o.trace); ok {
		return []trace.BuiltIn{builtIn}, nil
	}
	file, err := os.Open(o.trace)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("--trace is %q: there is no such file, and the built-in traces are %s", o.trace, strings.Join(trace.Names(), ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the trace: %w", err)
	}
	defer file.Close() // it was only read
	t, err := trace.ReadCSV(strings.TrimSuffix(filepath.Base(o.trace), filepath.Ext(o.trace)), file)
	if err != nil {
		return nil, fmt.Errorf("reading the trace %s: %w", o.trace, err)
	}
	return []trace.BuiltIn{{Trace: t, Spec: policy.DefaultSpec()}}, nil
}

// draw writes the pictures that were asked for.
func (o *simulateOptions) draw(reports []report.Report) error {
	for _, r := range reports {
		var files []string
		if o.svg != "" {
			files = append(files, o.svg)
		}
		if o.svgDir != "" {
			files = append(files, filepath.Join(o.svgDir, r.Trace.Name+".svg"))
		}
		if len(files) == 0 {
			continue
		}
		picture, err := chart.SVG(r.Figure())
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := writeFile(file, picture); err != nil {
				return fmt.Errorf("writing the picture: %w", err)
			}
		}
	}
	return nil
}

func writeFile(name string, content []byte) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

func (o *simulateOptions) print(out io.Writer, reports []report.Report) error {
	switch o.output {
	case "json":
		return report.JSON(out, reports)
	case "markdown":
		return report.Markdown(out, reports, func(name string) string {
			switch {
			case o.svgDir != "":
				return name + ".svg"
			default:
				return o.svg
			}
		})
	}
	for i, r := range reports {
		if i > 0 {
			if _, err := fmt.Fprintln(out); err != nil {
				return err
			}
		}
		if err := r.Table(out, o.width, colored(out)); err != nil {
			return err
		}
	}
	return nil
}

// colored is whether the output is a terminal that may be coloured (https://no-color.org).
func colored(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func listTraces(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "TRACE\tLENGTH\tMESSAGES\tREPLICAS\tTARGET\tTHRESHOLDS\tCOOLDOWN\tDESCRIPTION")
	for _, b := range trace.BuiltIns() {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d–%d\t%d\t%d/%d\t%s\t%s\n", b.Name, b.Length(), millions(b.Messages()),
			b.Spec.MinReplicas, b.Spec.MaxReplicas, b.Spec.TargetQueueDepth, b.Spec.ScaleUpThreshold, b.Spec.ScaleDownThreshold, b.Spec.Cooldown, b.Description)
	}
	return table.Flush()
}

// millions prints a number of messages: "9.0M", "720".
func millions(messages float64) string {
	if messages < 100_000 {
		return fmt.Sprintf("%.0f", messages)
	}
	return fmt.Sprintf("%.1fM", messages/1e6)
}
