package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/program"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/doctor"
)

// telling is one run of version.
type telling struct {
	connection
	client   bool
	operator string
}

func newVersionCommand(cluster *connect.ClusterFlags) *cobra.Command {
	v := &telling{connection: connection{cluster: cluster}}
	command := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of the plugin and of what runs in the cluster",
		Long: `Print the versions of the plugin, the controller, the scaler, KEDA and Kubernetes.

Those of the cluster are the tags of the images. --client prints the plugin's alone, and asks nobody.`,
		Args: cobra.NoArgs,
		RunE: v.run,
	}
	command.Flags().BoolVar(&v.client, "client", false, "only the plugin's")
	command.Flags().StringVar(&v.operator, "operator-namespace", "", "the operator's namespace (default: all are searched)")
	return command
}

func (v *telling) run(command *cobra.Command, _ []string) error {
	if v.client {
		_, err := fmt.Fprintln(command.OutOrStdout(), program.Version(version))
		return err
	}
	out := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "plugin\t%s\n", program.Version(version))
	err := v.running(command.Context(), out)
	return errors.Join(out.Flush(), err)
}

// running tells what runs. What can't be told does not keep the rest back.
func (v *telling) running(ctx context.Context, out *tabwriter.Writer) error {
	cluster, err := v.cluster.Connect()
	if err != nil {
		return err
	}
	installations, failed := cluster.Installations(ctx, v.operator)
	for _, in := range installations {
		for _, p := range []struct {
			name string
			connect.Program
		}{{"controller", in.Controller}, {"scaler", in.Scaler}} {
			fmt.Fprintf(out, "%s\t%s\t%d of %d pods ready in namespace %s\n", p.name, cmp.Or(strings.Join(p.Versions, ", "), "-"), p.Ready, p.Pods, in.Namespace)
		}
	}
	if failed == nil && len(installations) == 0 {
		fmt.Fprintln(out, "operator\t-\tnot installed")
	}
	keda, err := doctor.FindKEDA(ctx, cluster)
	switch {
	case err != nil:
		failed = errors.Join(failed, err)
	case keda == nil:
		fmt.Fprintln(out, "KEDA\t-\tnot found")
	default:
		fmt.Fprintf(out, "KEDA\t%s\t%d of %d pods ready in namespace %s\n", keda.Version, keda.Ready, keda.Wanted, keda.Namespace)
	}
	kubernetes, err := cluster.ServerVersion(ctx)
	if err != nil {
		return errors.Join(failed, err)
	}
	fmt.Fprintf(out, "Kubernetes\t%s\n", kubernetes)
	return failed
}
