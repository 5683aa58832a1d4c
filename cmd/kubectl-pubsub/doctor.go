package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/doctor"
)

// examining is one run of doctor.
type examining struct {
	connection
	output string
}

func newDoctorCommand(cluster *connect.ClusterFlags) *cobra.Command {
	e := &examining{connection: connection{cluster: cluster}}
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Examine the installation, and say what to do",
		Long: `Examine the installation: Kubernetes, the CRD, KEDA and its metrics, the operator's pods and
their versions, the leader, rights, certificates, whether the scaler answers, and how far this
machine's clock is from the cluster's.

Each finding has its remedy. It changes nothing. What you may not read is told as unknown,
with the right that is missing. The exit code is 1 if there is a problem.`,
		Args: cobra.NoArgs,
		RunE: e.run,
	}
	e.scaler.Bind(command.Flags())
	command.Flags().StringVarP(&e.output, "output", "o", "", "json")
	completeOutput(command, outputJSON)
	return command
}

func (e *examining) run(command *cobra.Command, _ []string) error {
	if err := checkOutput(e.output, outputJSON); err != nil {
		return err
	}
	scaler, cluster, noCluster, err := e.open()
	if err != nil {
		return err
	}
	defer func() { _ = scaler.Close() }() // the answer is there
	if cluster == nil {
		return fmt.Errorf("doctor needs the cluster: %w", noCluster)
	}
	findings := doctor.Examine(command.Context(), doctor.Options{Cluster: cluster, Scaler: scaler, Namespace: e.scaler.OperatorNamespace})
	problems := 0
	for _, finding := range findings {
		if finding.Severity == doctor.Problem {
			problems++
		}
	}
	if err := e.show(command, findings); err != nil {
		return err
	}
	if problems > 0 {
		return fmt.Errorf("problems found: %d", problems)
	}
	return nil
}

func (e *examining) show(command *cobra.Command, findings []doctor.Finding) error {
	if e.output == outputJSON {
		encoder := json.NewEncoder(command.OutOrStdout())
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(findings)
	}
	out := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, f := range findings {
		fmt.Fprintf(out, "%s\t%s\t%s\n", f.Severity, f.Subject, f.Message)
		if f.Remedy != "" {
			fmt.Fprintf(out, "\t\t→ %s\n", f.Remedy)
		}
	}
	return out.Flush()
}
