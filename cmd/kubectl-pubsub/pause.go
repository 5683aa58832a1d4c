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

	allNamespaces bool
}

func newPauseCommand(cluster *connect.ClusterFlags) *cobra.Command {
	p := &pausing{selecting: selecting{connection: connection{cluster: cluster}}, paused: true}
	return p.command(&cobra.Command{
		Use:   "pause NAME... | -l SELECTOR | --all",
		Short: "Hold the number of workers of channels",
		Long: `Hold the number of workers of channels: set spec.paused.

The workers go on working, the scaler goes on deciding, and the condition Scaled says what
would be done. resume ends it.

What can't be paused does not keep the others from it: the errors tell which, and the exit code
is 1. A channel that is paused already, or that is deleted meanwhile, is no error.`,
		Example: `  kubectl pubsub pause orders -n shop
  kubectl pubsub pause -l team=shop
  kubectl pubsub pause --all --all-namespaces`,
	})
}

func newResumeCommand(cluster *connect.ClusterFlags) *cobra.Command {
	p := &pausing{selecting: selecting{connection: connection{cluster: cluster}}}
	return p.command(&cobra.Command{
		Use:   "resume NAME... | -l SELECTOR | --all",
		Short: "Let the number of workers of channels change again",
		Long: `Let the number of workers of channels change again: remove spec.paused.

Where something else pauses a channel as well, an annotation of KEDA's, it says so. What can't be
resumed does not keep the others from it: the errors tell which, and the exit code is 1.`,
		Example: `  kubectl pubsub resume orders -n shop
  kubectl pubsub resume --all -n shop`,
	})
}

func (p *pausing) command(command *cobra.Command) *cobra.Command {
	command.RunE = p.run
	command.Flags().BoolVar(&p.all, "all", false, "all channels of the namespace")
	command.Flags().BoolVarP(&p.allNamespaces, "all-namespaces", "A", false, "with --all or --selector: in all namespaces")
	p.bind(command)
	return command
}

func (p *pausing) run(command *cobra.Command, names []string) error {
	selection, err := p.selection(names)
	if err != nil {
		return err
	}
	cluster, found, err := p.of(command.Context(), selection)
	if len(found) == 0 && err == nil {
		_, err := fmt.Fprintln(command.ErrOrStderr(), p.none(selection))
		return err
	}
	errs := parts(err)
	total := len(found) + len(errs)
	for i, channel := range found {
		changed, err := channels.SetPaused(command.Context(), cluster, channel, p.paused)
		switch {
		case err == nil:
			fmt.Fprintf(command.OutOrStdout(), "pubsubchannel/%s %s\n", channel.Name, p.words(channel, changed))
		case channels.IsFinding(err) && len(names) == 0: // it was deleted, and nobody has named it
			total--
			fmt.Fprintf(command.ErrOrStderr(), "left out: %v\n", err)
		default:
			errs = append(errs, err)
		}
		if rest := found[i+1:]; err != nil && len(rest) > 0 && channels.IsHopeless(command.Context(), err) {
			errs = append(errs, fmt.Errorf("not tried: %d more", len(rest)))
			return p.failed(errs, len(errs)-1+len(rest), total)
		}
	}
	return p.failed(errs, len(errs), total)
}

// selection is which channels are asked for.
func (p *pausing) selection(names []string) (channels.Selection, error) {
	switch {
	case p.allNamespaces && len(names) > 0:
		return channels.Selection{}, errors.New("names conflict with --all-namespaces, because they are in one namespace: set only one of the two")
	case len(names) == 0 && p.selector == "" && !p.all && p.allNamespaces:
		return channels.Selection{}, errors.New("--all-namespaces says where: choose the channels there with --all or --selector")
	case len(names) == 0 && p.selector == "" && !p.all:
		return channels.Selection{}, errors.New("name channels (kubectl get psc lists them), or choose them with --selector or --all")
	case p.all && len(names)+len(p.selector) > 0:
		return channels.Selection{}, errors.New("--all conflicts with names and --selector: set only one of them")
	case p.allNamespaces:
		return channels.Selection{}, nil
	}
	namespace, err := p.cluster.Namespace()
	return channels.Selection{Namespace: namespace, Names: names}, err
}

// failed is what is told in the end of those that failed, of all that were found.
func (p *pausing) failed(errs []error, failed, total int) error {
	if len(errs) > 0 && total > 1 {
		word := "resumed"
		if p.paused {
			word = "paused"
		}
		errs = append(errs, fmt.Errorf("%d of %d channels could not be %s", failed, total, word))
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
	if p.allNamespaces {
		word += " in namespace " + channel.Namespace
	}
	if condition := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionPaused); !p.paused && condition != nil &&
		condition.Status == metav1.ConditionTrue && condition.Reason != v1.ReasonPausedBySpec {
		word += "; still held: " + strings.TrimSuffix(condition.Message, ".")
	}
	return word
}
