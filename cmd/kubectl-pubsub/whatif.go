package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/decide"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

// never is the value of --last-scale-time for a target that was never scaled.
const never = "never"

// whatIf are the flags for what counts in place of what is so.
type whatIf struct {
	queueDepth    int64
	replicas      int32
	lastScaleTime string
	lastScaled    time.Duration
	counted       bool // --last-scaled is given: see ago
	set           []string
}

func (w *whatIf) bind(command *cobra.Command) {
	flags := command.Flags()
	flags.Int64Var(&w.queueDepth, "queue-depth", 0, "what if the queue had this many messages")
	flags.Int32Var(&w.replicas, "replicas", 0, "what if there were this many replicas")
	flags.StringVar(&w.lastScaleTime, "last-scale-time", "", "what if the last scaling was at this time (RFC 3339, or never)")
	flags.DurationVar(&w.lastScaled, "last-scaled", 0, "what if the last scaling was this long ago, for example 20s")
	flags.StringArrayVar(&w.set, "set", nil, "what if this field of spec.autoScaling were so, for example targetQueueDepth=50; null stands for the default")
	command.MarkFlagsMutuallyExclusive("last-scale-time", "last-scaled")
	err := command.RegisterFlagCompletionFunc("set", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var names []string
		for _, name := range decide.Settable() {
			names = append(names, name+"=")
		}
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	})
	if err != nil { // only if there is no such flag
		panic(err)
	}
}

// overrides are what the flags say, but for what ago adds, and a text for each.
func (w *whatIf) overrides(command *cobra.Command) (with decide.Overrides, words []string, err error) {
	if command.Flags().Changed("queue-depth") {
		if w.queueDepth < 0 {
			return with, nil, fmt.Errorf("--queue-depth is %d: it must not be negative", w.queueDepth)
		}
		with.QueueDepth = &w.queueDepth
		words = append(words, fmt.Sprintf("queue depth %d", w.queueDepth))
	}
	if command.Flags().Changed("replicas") {
		if w.replicas < 0 || w.replicas > policy.MaxReplicasLimit {
			return with, nil, fmt.Errorf("--replicas is %d: it must be from 0 to %d", w.replicas, policy.MaxReplicasLimit)
		}
		with.Replicas = &w.replicas
		words = append(words, fmt.Sprintf("replicas %d", w.replicas))
	}
	switch {
	case command.Flags().Changed("last-scaled"):
		if w.lastScaled < 0 {
			return with, nil, fmt.Errorf("--last-scaled is %s: it says how long ago the last scaling was, so it must not be negative", w.lastScaled)
		}
		w.counted = true
		words = append(words, fmt.Sprintf("last scaling %s ago", w.lastScaled))
	case w.lastScaleTime == never:
		with.LastScale = &time.Time{}
		words = append(words, "never scaled")
	case w.lastScaleTime != "":
		at, err := time.Parse(time.RFC3339, w.lastScaleTime)
		if err != nil || at.Unix() <= 0 {
			return with, nil, fmt.Errorf("--last-scale-time is %q: it must be a time such as %s, or %s", w.lastScaleTime, time.Now().UTC().Format(time.RFC3339), never)
		}
		with.LastScale = &at
		words = append(words, "last scaling at "+w.lastScaleTime)
	}
	if with.Changes, err = w.changes(); err != nil {
		return with, nil, err
	}
	for _, set := range w.set {
		name, value, _ := strings.Cut(set, "=")
		words = append(words, name+" "+value)
	}
	return with, words, nil
}

// ago adds what counts back from now.
func (w *whatIf) ago(with decide.Overrides, now time.Time) decide.Overrides {
	if w.counted {
		with.LastScale = new(now.Add(-w.lastScaled))
	}
	return with
}

// changes are the fields of spec.autoScaling that --set names, with values as YAML has them: 50 is
// a number, 20% and 2m are texts.
func (w *whatIf) changes() (map[string]any, error) {
	changes := map[string]any{}
	for _, set := range w.set {
		name, text, ok := strings.Cut(set, "=")
		if !ok || name == "" || text == "" {
			return nil, fmt.Errorf("--set is %q: it must be a field of spec.autoScaling and its value, for example targetQueueDepth=50", set)
		}
		if _, twice := changes[name]; twice {
			return nil, fmt.Errorf("--set names %s twice: name it once", name)
		}
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			return nil, fmt.Errorf("--set is %q: its value can't be read: %w", set, err)
		}
		changes[name] = value
	}
	return changes, nil
}

// request is the question to the scaler.
func request(key types.NamespacedName, with decide.Overrides) *inspectv1.ExplainRequest {
	out := &inspectv1.ExplainRequest{Namespace: key.Namespace, Name: key.Name, QueueDepth: with.QueueDepth, Replicas: with.Replicas}
	switch {
	case with.LastScale == nil:
	case with.LastScale.IsZero():
		out.LastScaleTime = timestamppb.New(time.Unix(0, 0)) // the scaler's word for never
	default:
		out.LastScaleTime = timestamppb.New(*with.LastScale)
	}
	return out
}
