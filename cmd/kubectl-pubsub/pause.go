package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/channels"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
)

// pausing is one run of pause or resume.
type pausing struct {
	selecting
	paused bool
	all    bool
}

func newPauseCommand(cluster *connect.ClusterFlags) *cobra.Command {
	p := &pausing{selecting: selecting{connection: connection{cluster: cluster}}, paused: true}
	return p.command(&cobra.Command{
		Use:   "pause NAME... | -l SELECTOR | --all",
		Short: "Hold the number of workers of channels",
		Long: `Hold the number of workers of channels: set spec.paused.

The workers go on working, the scaler goes on deciding, and the condition Scaled says what
would be done. resume ends it.`,
		Example: `  kubectl pubsub pause orders -n shop
  kubectl pubsub pause -l team=shop`,
	})
}

func newResumeCommand(cluster *connect.ClusterFlags) *cobra.Command {
	p := &pausing{selecting: selecting{connection: connection{cluster: cluster}}}
	return p.command(&cobra.Command{
		Use:   "resume NAME... | -l SELECTOR | --all",
		Short: "Let the number of workers of channels change again",
		Long: `Let the number of workers of channels change again: remove spec.paused.

Where something else pauses a channel as well, an annotation of KEDA's, it says so.`,
		Example: `  kubectl pubsub resume orders -n shop
  kubectl pubsub resume --all -n shop`,
	})
}

func (p *pausing) command(command *cobra.Command) *cobra.Command {
	command.RunE = p.run
	command.Flags().BoolVar(&p.all, "all", false, "all channels of the namespace")
	p.bind(command)
	return command
}

func (p *pausing) run(command *cobra.Command, names []string) error {
	if len(names) == 0 && p.selector == "" && !p.all {
		return errors.New("name channels (kubectl get psc lists them), or choose them with --selector or --all")
	}
	if p.all && len(names)+len(p.selector) > 0 {
		return errors.New("--all conflicts with names and --selector: set only one of them")
	}
	cluster, found, err := p.channels(command.Context(), names)
	if err != nil {
		return err
	}
	out := command.OutOrStdout()
	if len(found) == 0 {
		_, err := fmt.Fprintln(command.ErrOrStderr(), "no channel has these labels")
		return err
	}
	var errs []error
	for _, channel := range found {
		changed, err := channels.SetPaused(command.Context(), cluster, channel, p.paused)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintf(out, "pubsubchannel/%s %s\n", channel.Name, p.words(channel, changed))
	}
	return errors.Join(errs...)
}

// words say what a channel is now.
func (p *pausing) words(channel *v1.PubSubChannel, changed bool) string {
	word := "resumed"
	if p.paused {
		word = "paused"
	}
	if !changed {
		word = "was " + word + " already"
		if !p.paused {
			word = "was not paused by spec.paused"
		}
	}
	if condition := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionPaused); !p.paused && condition != nil &&
		condition.Status == metav1.ConditionTrue && condition.Reason != v1.ReasonPausedBySpec {
		word += "; still held: " + strings.TrimSuffix(condition.Message, ".")
	}
	return word
}
