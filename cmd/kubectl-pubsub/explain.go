package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/channels"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/view"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

const explainLong = `Show what the scaler would decide about a channel now, and why.

It shows the depth of each key, the two bounds with their formulas, how the number of
replicas is computed, the cooldown, and the answer for KEDA. The answer comes from the
scaler that KEDA asks, and from the same code. Asking changes nothing.

With --queue-depth, --replicas and --last-scaled it shows the decision for these values.`

const explainExample = `  # Why does orders have so many workers?
  kubectl pubsub explain orders -n shop

  # What if the queue had 5000 messages, and the cooldown were over?
  kubectl pubsub explain orders --queue-depth 5000 --last-scale-time never

  # What if three workers had been scaled 20 s ago?
  kubectl pubsub explain orders --replicas 3 --last-scaled 20s

  # A ScaledObject of your own
  kubectl pubsub explain --scaled-object mailer

  # For scripts
  kubectl pubsub explain orders -o json | jq .desiredReplicas`

// never is the value of --last-scale-time for a target that was never scaled.
const never = "never"

// explaining is one run of the command.
type explaining struct {
	connection
	scaledObject  string
	queueDepth    int64
	replicas      int32
	lastScaleTime string
	lastScaled    time.Duration
	output        string
}

func newExplainCommand(cluster *connect.ClusterFlags) *cobra.Command {
	e := &explaining{connection: connection{cluster: cluster}}
	command := &cobra.Command{
		Use:     "explain NAME | --scaled-object NAME",
		Short:   "Show the decision about a channel, and why",
		Long:    explainLong,
		Example: explainExample,
		Args:    cobra.MaximumNArgs(1),
		RunE:    e.run,
		ValidArgsFunction: func(command *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return e.names(command.Context()), cobra.ShellCompDirectiveNoFileComp
		},
	}
	flags := command.Flags()
	flags.StringVar(&e.scaledObject, "scaled-object", "", "explain a ScaledObject that does not belong to a PubSubChannel")
	flags.Int64Var(&e.queueDepth, "queue-depth", 0, "what if the queue had this many messages")
	flags.Int32Var(&e.replicas, "replicas", 0, "what if there were this many replicas")
	flags.StringVar(&e.lastScaleTime, "last-scale-time", "", "what if the last scaling was at this time (RFC 3339, or never)")
	flags.DurationVar(&e.lastScaled, "last-scaled", 0, "what if the last scaling was this long ago, for example 20s")
	flags.StringVarP(&e.output, "output", "o", "", "json or yaml")
	command.MarkFlagsMutuallyExclusive("last-scale-time", "last-scaled")
	e.scaler.Bind(flags)
	return command
}

func (e *explaining) run(command *cobra.Command, args []string) error {
	if err := checkOutput(e.output, outputJSON, outputYAML); err != nil {
		return err
	}
	name, err := e.name(args)
	if err != nil {
		return err
	}
	namespace, err := e.cluster.Namespace()
	if err != nil {
		return err
	}
	request, whatIf, err := e.question(command, time.Now())
	if err != nil {
		return err
	}
	request.Namespace, request.Name = namespace, name
	answer, err := e.ask(command.Context(), request)
	if err != nil {
		return err
	}
	text, err := e.render(view.Decision{Namespace: namespace, Name: name, Answer: answer, WhatIf: whatIf, Now: time.Now()})
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(command.OutOrStdout(), text)
	return err
}

func (e *explaining) name(args []string) (string, error) {
	switch {
	case len(args) == 1 && e.scaledObject == "":
		return args[0], nil
	case len(args) == 0 && e.scaledObject != "":
		return e.scaledObject, nil
	case len(args) == 1:
		return "", fmt.Errorf("PubSubChannel %q conflicts with --scaled-object %q: set only one of them", args[0], e.scaledObject)
	default:
		return "", errors.New("name a PubSubChannel (kubectl get psc lists them), or a ScaledObject with --scaled-object")
	}
}

// question is the request with the flags' overrides, and a text for each override.
func (e *explaining) question(command *cobra.Command, now time.Time) (*inspectv1.ExplainRequest, []string, error) {
	request := &inspectv1.ExplainRequest{}
	var whatIf []string
	if command.Flags().Changed("queue-depth") {
		if e.queueDepth < 0 {
			return nil, nil, fmt.Errorf("--queue-depth is %d: it must not be negative", e.queueDepth)
		}
		request.QueueDepth = &e.queueDepth
		whatIf = append(whatIf, fmt.Sprintf("queue depth %d", e.queueDepth))
	}
	if command.Flags().Changed("replicas") {
		if e.replicas < 0 || e.replicas > policy.MaxReplicasLimit {
			return nil, nil, fmt.Errorf("--replicas is %d: it must be from 0 to %d", e.replicas, policy.MaxReplicasLimit)
		}
		request.Replicas = &e.replicas
		whatIf = append(whatIf, fmt.Sprintf("replicas %d", e.replicas))
	}
	switch {
	case command.Flags().Changed("last-scaled"):
		if e.lastScaled < 0 {
			return nil, nil, fmt.Errorf("--last-scaled is %s: it says how long ago the last scaling was, so it must not be negative", e.lastScaled)
		}
		request.LastScaleTime = timestamppb.New(now.Add(-e.lastScaled))
		whatIf = append(whatIf, fmt.Sprintf("last scaling %s ago", e.lastScaled))
	case e.lastScaleTime == never:
		request.LastScaleTime = timestamppb.New(time.Unix(0, 0)) // the scaler's word for never
		whatIf = append(whatIf, "never scaled")
	case e.lastScaleTime != "":
		at, err := time.Parse(time.RFC3339, e.lastScaleTime)
		if err != nil || at.Unix() <= 0 {
			return nil, nil, fmt.Errorf("--last-scale-time is %q: it must be a time such as %s, or %s", e.lastScaleTime, now.UTC().Format(time.RFC3339), never)
		}
		request.LastScaleTime = timestamppb.New(at)
		whatIf = append(whatIf, "last scaling at "+e.lastScaleTime)
	}
	return request, whatIf, nil
}

// ask asks the scaler. It reads the channel from the cluster first, so that errors are about the
// user's own objects. With --address it does so only afterwards, because a scaler that is reached
// directly needs no cluster here.
func (e *explaining) ask(ctx context.Context, request *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
	scaler, cluster, _, err := e.open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = scaler.Close() }() // the answer is there
	key := types.NamespacedName{Namespace: request.GetNamespace(), Name: request.GetName()}
	direct := e.scaler.Address != ""
	if !direct && e.scaledObject == "" {
		if err := channels.Check(ctx, cluster, key); err != nil {
			return nil, err
		}
	}
	answer, err := scaler.Explain(ctx, request)
	var own *connect.ScalerError
	if !errors.As(err, &own) || own.Reason != inspect.TargetNotFound {
		return answer, err
	}
	if e.scaledObject != "" {
		return nil, fmt.Errorf("%w: kubectl get scaledobjects -n %s lists the existing ones", err, key.Namespace)
	}
	if direct && cluster != nil {
		// If the cluster can't tell either, the scaler's own error counts.
		if problem := channels.Check(ctx, cluster, key); channels.IsFinding(problem) {
			return nil, problem
		}
	}
	return nil, fmt.Errorf("%w: the controller creates it; kubectl describe psc %s -n %s shows why it has not", err, key.Name, key.Namespace)
}

func (e *explaining) render(d view.Decision) (string, error) {
	if e.output == "" {
		return view.Explanation(d), nil
	}
	data, err := compactJSON(d.Answer)
	if err != nil {
		return "", err
	}
	if e.output == outputYAML {
		data, err = yaml.JSONToYAML(data)
		return string(data), err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		return "", err
	}
	return out.String() + "\n", nil
}

// compactJSON is the message in protobuf's JSON form, with fields that are 0 or false too.
// protojson varies its white space on purpose, so that goes.
func compactJSON(message proto.Message) ([]byte, error) {
	data, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(message)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = json.Compact(&out, data)
	return out.Bytes(), err
}
