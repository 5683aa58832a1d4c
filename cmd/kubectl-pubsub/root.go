package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/program"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
)

// version is set by the build.
var version string

const rootLong = `Why channels scale: now, live, and in a model.

The scaler decides how many replicas the workers of each PubSubChannel get. explain asks it
for the decision and the arithmetic behind it, now or if something were different; watch
follows its decisions; simulate replays arrivals without any cluster. dead shows, gives back
and removes the messages that the default workers gave up.

explain and watch find the scaler by the labels of its pods and forward a port to one of
them, with the client certificate of the operator's Secret. kubectl's flags for the cluster
work as they do there: --kubeconfig, --context, --namespace, --as, --server and so on.`

// newRootCommand is "kubectl pubsub". Its persistent flags are kubectl's: a command must
// not define one of the same name or the shorthand n.
func newRootCommand() *cobra.Command {
	cluster := &connect.ClusterFlags{UserAgent: "kubectl-pubsub/" + program.Version(version)}
	root := &cobra.Command{
		Use:           "kubectl-pubsub",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl pubsub"},
		Short:         "Show why channels scale",
		Long:          rootLong,
		SilenceErrors: true, // main tells them
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true // kubectl asks for completions in its own way
	cluster.Bind(root.PersistentFlags())
	root.AddCommand(newExplainCommand(cluster), newWatchCommand(cluster), newSimulateCommand(), newDeadCommand(cluster), newVersionCommand())
	return root
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the plugin's version",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(command.OutOrStdout(), program.Version(version))
			return err
		},
	}
}
