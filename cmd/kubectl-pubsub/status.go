package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/duration"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/channels"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/decide"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/follow"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/trouble"
)

// selecting says which channels.
type selecting struct {
	connection
	selector string
}

func (s *selecting) bind(command *cobra.Command) {
	command.Flags().StringVarP(&s.selector, "selector", "l", "", "channels with these labels, as kubectl takes them, for example team=shop")
	command.ValidArgsFunction = func(command *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return s.names(command.Context()), cobra.ShellCompDirectiveNoFileComp
	}
}

// of are the channels that the names or the selector choose. Of names, those that can be read are returned beside the
// error of the others.
func (s *selecting) of(ctx context.Context, selection channels.Selection) (*connect.Cluster, []*v1.PubSubChannel, error) {
	if len(selection.Names) > 0 && s.selector != "" {
		return nil, nil, errors.New("names conflict with --selector: set only one of them")
	}
	selector, err := labels.Parse(s.selector)
	if err != nil {
		return nil, nil, fmt.Errorf("--selector is %q: %w", s.selector, err)
	}
	cluster, err := s.cluster.Connect()
	if err != nil {
		return nil, nil, err
	}
	found, err := channels.List(ctx, cluster, selection, selector)
	return cluster, found, err
}

// none says that there is no such channel, as kubectl does: it is no error.
func (s *selecting) none(selection channels.Selection) string {
	where, with := "in any namespace", ""
	if selection.Namespace != "" {
		where = "in namespace " + selection.Namespace
	}
	if s.selector != "" {
		with = " with the labels " + s.selector
	}
	return fmt.Sprintf("there is no PubSubChannel%s %s", with, where)
}

// showing is one run of status.
type showing struct {
	selecting
	allNamespaces bool
	output        string
}

func newStatusCommand(cluster *connect.ClusterFlags) *cobra.Command {
	s := &showing{selecting: selecting{connection: connection{cluster: cluster}}}
	command := &cobra.Command{
		Use:   "status [NAME...]",
		Short: "List channels with what is wrong, the worst first",
		Long: `List channels with what is wrong, the worst first.

It reads the channels alone, and needs no connection to the scaler. For a channel that is
well the last column is the last decision, for others the first condition that is not.`,
		Example: `  kubectl pubsub status -A
  kubectl pubsub status -n shop -l team=shop
  kubectl pubsub status -o json | jq '.[] | select(.trouble)'`,
		RunE: s.run,
	}
	s.bind(command)
	command.Flags().BoolVarP(&s.allNamespaces, "all-namespaces", "A", false, "the channels of all namespaces")
	command.Flags().StringVarP(&s.output, "output", "o", "", "json")
	completeOutput(command, outputJSON)
	return command
}

// statusRow is what is told of one channel.
type statusRow struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Phase     string `json:"phase,omitempty"`
	Ready     int32  `json:"readyReplicas"`
	Replicas  int32  `json:"replicas"`
	Depth     *int64 `json:"queueDepth,omitempty"`
	// Trouble is the reason of the first condition that is not as it should be.
	Trouble string `json:"trouble,omitempty"`
	Message string `json:"message,omitempty"`
	// ObservedTime is of when the status is; absent if it tells of no decision.
	ObservedTime *time.Time `json:"observedTime,omitempty"`
	rank         trouble.Rank
}

func (s *showing) run(command *cobra.Command, names []string) error {
	if err := checkOutput(s.output, outputJSON); err != nil {
		return err
	}
	if s.allNamespaces && len(names) > 0 {
		return errors.New("names conflict with --all-namespaces, because they are in one namespace: set only one of the two")
	}
	selection := channels.Selection{Names: names}
	if !s.allNamespaces {
		var err error
		if selection.Namespace, err = s.cluster.Namespace(); err != nil {
			return err
		}
	}
	cluster, found, failed := s.of(command.Context(), selection)
	if failed != nil && len(found) == 0 {
		return failed
	}
	rows := make([]statusRow, len(found))
	for i, channel := range found {
		rows[i] = statusRowOf(channel)
	}
	slices.SortFunc(rows, func(a, b statusRow) int {
		return cmp.Or(cmp.Compare(b.rank, a.rank), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	if s.output == outputJSON {
		encoder := json.NewEncoder(command.OutOrStdout())
		encoder.SetIndent("", "  ")
		return errors.Join(encoder.Encode(rows), failed)
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(command.ErrOrStderr(), s.none(selection))
		return err
	}
	return errors.Join(s.table(command, rows, cluster.Now()), failed)
}

func (s *showing) table(command *cobra.Command, rows []statusRow, now time.Time) error {
	out := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
	head, line := "NAME\tPHASE\tREADY\tDEPTH\tREASON\tMESSAGE\n", "%[2]s\t%[3]s\t%[4]s\t%[5]s\t%[6]s\t%[7]s\n"
	if s.allNamespaces {
		head, line = "NAMESPACE\t"+head, "%[1]s\t"+line
	}
	fmt.Fprint(out, head)
	troubled, newest := 0, time.Time{}
	for _, r := range rows {
		depth := "-"
		if r.Depth != nil {
			depth = strconv.FormatInt(*r.Depth, 10)
		}
		if r.Trouble != "" {
			troubled++
		}
		first, _, _ := strings.Cut(r.Message, "\n")
		if at := r.ObservedTime; at != nil {
			if at.After(newest) {
				newest = *at
			}
			if r.Trouble == "" && decide.IsOld(*at, now) {
				first += fmt.Sprintf(" (as of %s ago)", duration.HumanDuration(now.Sub(*at)))
			}
		}
		fmt.Fprintf(out, line, r.Namespace, r.Name, cmp.Or(r.Phase, "-"), fmt.Sprintf("%d/%d", r.Ready, r.Replicas), depth, cmp.Or(r.Trouble, "-"), first)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(command.OutOrStdout(), "\n%d of %d need a look\n", troubled, len(rows)); err != nil {
		return err
	}
	if !decide.IsOld(newest, now) { // one that is new shows that the controller works
		return nil
	}
	_, err := fmt.Fprintf(command.ErrOrStderr(), "warning: %v\n", &follow.QuietError{Newest: newest})
	return err
}

// statusRowOf tells what somebody should look at.
func statusRowOf(channel *v1.PubSubChannel) statusRow {
	status, found := channel.Status, trouble.Of(channel)
	row := statusRow{
		Namespace: channel.Namespace, Name: channel.Name, Phase: string(status.Phase),
		Ready: status.ReadyReplicas, Replicas: status.Replicas, Depth: status.QueueDepth,
		Trouble: found.Reason, Message: found.Message, rank: found.Rank,
	}
	if at := decide.Observed(channel); !at.IsZero() {
		row.ObservedTime = new(at.UTC())
	}
	return row
}

// completeOutput completes the values of --output.
func completeOutput(command *cobra.Command, known ...string) {
	err := command.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(known, cobra.ShellCompDirectiveNoFileComp))
	if err != nil { // only if there is no such flag
		panic(err)
	}
}

// completeNamespaces completes --namespace of all commands.
func completeNamespaces(root *cobra.Command, cluster *connect.ClusterFlags) {
	err := root.RegisterFlagCompletionFunc("namespace", func(command *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		connected, err := cluster.Connect()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(command.Context(), completionTimeout)
		defer cancel()
		list := &corev1.NamespaceList{}
		if err := connected.Client.List(ctx, list); err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, namespace := range list.Items {
			names = append(names, namespace.Name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil { // only if there is no such flag
		panic(err)
	}
}
