package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/channels"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/decide"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/view"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
)

const explainLong = `Show what is decided about a channel now, and why.

It shows the queue's depth, the two bounds with their formulas, how the number of replicas is
computed, the cooldown, and the answer for KEDA. It reads the channel alone: its status has what
the scaler last decided from, and the policy's own code decides from that. So whoever may get
PubSubChannels may ask. The status is written when something changes, within
--status-interval of the controller (15 s).

With --queue-depth, --replicas, --last-scaled and --set it shows the decision for these values.

--live asks the scaler itself, which reads the queue within a second and also tells the depth of
each key. It needs rights in the operator's namespace. A ScaledObject of your own
(--scaled-object) has no status that tells, so it needs --live. Asking changes nothing.`

const explainExample = `  # Why does orders have so many workers?
  kubectl pubsub explain orders -n shop

  # What if the queue had 5000 messages, and the cooldown were over?
  kubectl pubsub explain orders --queue-depth 5000 --last-scale-time never

  # What if three workers had been scaled 20 s ago?
  kubectl pubsub explain orders --replicas 3 --last-scaled 20s

  # What if the settings were others?
  kubectl pubsub explain orders --set targetQueueDepth=50 --set maxScaleUpStep=20%

  # Ask the scaler, also about a ScaledObject of your own
  kubectl pubsub explain orders --live
  kubectl pubsub explain --scaled-object mailer --live

  # For scripts
  kubectl pubsub explain orders -o json | jq .desiredReplicas`

// explaining is one run of the command.
type explaining struct {
	connection
	whatIf
	live         bool
	scaledObject string
	output       string
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
	flags.BoolVar(&e.live, "live", false, "ask the scaler, and not the channel's status")
	flags.StringVar(&e.scaledObject, "scaled-object", "", "explain a ScaledObject that does not belong to a PubSubChannel (with --live)")
	e.whatIf.bind(command)
	flags.StringVarP(&e.output, "output", "o", "", "json or yaml")
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
	if err := e.check(); err != nil {
		return err
	}
	namespace, err := e.cluster.Namespace()
	if err != nil {
		return err
	}
	with, words, err := e.overrides(command)
	if err != nil {
		return err
	}
	decision := view.Decision{Namespace: namespace, Name: name, WhatIf: words}
	if e.live {
		err = e.ask(command.Context(), with, &decision)
	} else {
		err = e.decide(command.Context(), with, &decision)
	}
	if err != nil {
		return err
	}
	text, err := e.render(decision)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(command.OutOrStdout(), text)
	return err
}

// check finds flags that don't go together.
func (e *explaining) check() error {
	switch {
	case e.live && len(e.set) > 0:
		return errors.New("--set conflicts with --live, because the scaler decides by the settings that there are: set only one of them")
	case !e.live && e.scaledObject != "":
		return errors.New("--scaled-object needs --live: a ScaledObject has no status that tells the decision, so the scaler is asked")
	}
	return e.onlyLive(e.live)
}

// decide decides from the channel's spec and status.
func (e *explaining) decide(ctx context.Context, with decide.Overrides, decision *view.Decision) error {
	cluster, err := e.cluster.Connect()
	if err != nil {
		return err
	}
	channel, err := channels.Read(ctx, cluster, types.NamespacedName{Namespace: decision.Namespace, Name: decision.Name})
	if err != nil {
		return err
	}
	decision.Now = cluster.Now() // after the answer, which told it
	decision.Answer, err = decide.Explain(channel, e.ago(with, decision.Now), decision.Now)
	var unknown *decide.UnknownError
	if errors.As(err, &unknown) {
		return fmt.Errorf("%w; --live asks the scaler itself", err)
	}
	decision.AsOf = asOf(channel)
	return err
}

// asOf is when what a status tells of the decision was so; nil if it tells nothing of it.
func asOf(channel *v1.PubSubChannel) *view.AsOf {
	if channel.Status.Decision == nil {
		return nil
	}
	as := &view.AsOf{Read: channel.Status.Decision.ObservedTime.Time}
	if written := channel.Status.ObservedTime; written != nil {
		as.Written = written.Time
	}
	return as
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

// ask asks the scaler. It reads the channel from the cluster first, so that errors are about the
// user's own objects. With --address it does so only afterwards, because a scaler that is reached
// directly needs no cluster here.
func (e *explaining) ask(ctx context.Context, with decide.Overrides, decision *view.Decision) error {
	scaler, cluster, _, err := e.open()
	if err != nil {
		return err
	}
	defer func() { _ = scaler.Close() }() // the answer is there
	key := types.NamespacedName{Namespace: decision.Namespace, Name: decision.Name}
	direct := e.scaler.Address != ""
	if !direct && e.scaledObject == "" {
		if err := channels.Check(ctx, cluster, key); err != nil {
			return err
		}
	}
	if e.counted { // what is some time ago for the scaler is so by the cluster's clock
		cluster.LearnTime(ctx)
	}
	decision.Answer, err = scaler.Explain(ctx, request(key, e.ago(with, cluster.Now())))
	decision.Now = cluster.Now()
	var own *connect.ScalerError
	if !errors.As(err, &own) || own.Reason != inspect.TargetNotFound {
		return err
	}
	if e.scaledObject != "" {
		return fmt.Errorf("%w: kubectl get scaledobjects -n %s lists the existing ones", err, key.Namespace)
	}
	if direct && cluster != nil {
		// If the cluster can't tell either, the scaler's own error counts.
		if problem := channels.Check(ctx, cluster, key); channels.IsFinding(problem) {
			return problem
		}
	}
	return fmt.Errorf("%w: the controller creates it; kubectl describe psc %s -n %s shows why it has not", err, key.Name, key.Namespace)
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
