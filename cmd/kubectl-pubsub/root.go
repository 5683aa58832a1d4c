package main

import (
	"github.com/spf13/cobra"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/program"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
)

// version is set by the build.
var version string

const rootLong = `Why channels scale: now, live, and in a model.

dashboard shows channels live in the browser, status lists them with what is wrong, doctor
examines the installation, and pause and resume hold the number of workers.

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
		Short:         "Show why channels scale, and what is wrong",
		Long:          rootLong,
		Version:       program.Version(version),
		SilenceErrors: true, // main tells them
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true // kubectl asks for completions in its own way
	cluster.Bind(root.PersistentFlags())
	root.AddCommand(newExplainCommand(cluster), newWatchCommand(cluster), newDashboardCommand(cluster), newSimulateCommand(), newDeadCommand(cluster),
		newStatusCommand(cluster), newDoctorCommand(cluster), newPauseCommand(cluster), newResumeCommand(cluster), newConvertCommand(), newVersionCommand(cluster))
	completeNamespaces(root, cluster)
	return root
}
