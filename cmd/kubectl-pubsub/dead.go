package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/channels"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/letters"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/view"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

const deadLong = `Show, give back or remove the messages that a channel's default workers gave up.

A message becomes a dead letter if the handler refuses it, or after MAX_DELIVERIES. The
letters are on the channel's Redis or DragonFly server. The address, TLS and keys come from
the channel. If the server can't be reached from here, forward a port to it and name that
with --redis.

Credentials come from the environment: REDIS_USERNAME, REDIS_PASSWORD (or _FILE), and for
TLS REDIS_TLS_CA_FILE, REDIS_TLS_CERT_FILE, REDIS_TLS_KEY_FILE, REDIS_TLS_SERVER_NAME.`

const deadExample = `  # What was given up, and why?
  kubectl port-forward -n shop svc/dragonfly 6379 &
  kubectl pubsub dead list orders -n shop --redis 127.0.0.1:6379

  # Give one letter back, or all
  kubectl pubsub dead requeue orders 5f0c-1 -n shop --redis 127.0.0.1:6379
  kubectl pubsub dead requeue orders --all -n shop --redis 127.0.0.1:6379

  # Remove all for good
  kubectl pubsub dead purge orders --all --yes -n shop --redis 127.0.0.1:6379`

func newDeadCommand(cluster *connect.ClusterFlags) *cobra.Command {
	f := &deadFlags{cluster: cluster}
	command := &cobra.Command{
		Use: "dead", Short: "Show, give back or remove messages that workers gave up", Long: deadLong, Example: deadExample,
		Args: cobra.NoArgs,
	}
	command.PersistentFlags().StringVar(&f.redis, "redis", "", "the `host:port` of the server, in place of the channel's: for a forwarded port")
	command.PersistentFlags().StringVarP(&f.output, "output", "o", "", "json")
	command.AddCommand(newDeadListCommand(f), newDeadRequeueCommand(f), newDeadPurgeCommand(f))
	return command
}

func newDeadListCommand(f *deadFlags) *cobra.Command {
	var limit int64
	command := &cobra.Command{
		Use: "list CHANNEL", Short: "Show dead letters, the newest first", Example: deadExample,
		Args: cobra.ExactArgs(1), ValidArgsFunction: f.complete,
		RunE: func(command *cobra.Command, args []string) error {
			if limit < 0 {
				return fmt.Errorf("--limit is %d: it must be a number of letters, or 0 for all", limit)
			}
			return f.with(command, args[0], func(ctx context.Context, o *letters.Office) error {
				return f.list(ctx, command, o, args[0], limit)
			})
		},
	}
	command.Flags().Int64Var(&limit, "limit", 100, "show at most this many `letters` of each queue (0: all)")
	return command
}

func newDeadRequeueCommand(f *deadFlags) *cobra.Command {
	var all bool
	command := &cobra.Command{
		Use: "requeue CHANNEL (ID... | --all)", Short: "Give dead letters back to their queue",
		Long: `Give dead letters back to their queue, as messages that were never delivered, with the same
IDs. Each letter goes back once, even if several people ask for it.`,
		Example: deadExample, Args: cobra.MinimumNArgs(1), ValidArgsFunction: f.complete,
		RunE: func(command *cobra.Command, args []string) error {
			if err := checkSelection(args[1:], all); err != nil {
				return err
			}
			return f.end(command, args, "requeued", (*letters.Office).Requeue)
		},
	}
	command.Flags().BoolVar(&all, "all", false, "all letters that there are now")
	return command
}

func newDeadPurgeCommand(f *deadFlags) *cobra.Command {
	var all, yes bool
	command := &cobra.Command{
		Use: "purge CHANNEL (ID... | --all)", Short: "Remove dead letters for good",
		Example: deadExample, Args: cobra.MinimumNArgs(1), ValidArgsFunction: f.complete,
		RunE: func(command *cobra.Command, args []string) error {
			if err := checkSelection(args[1:], all); err != nil {
				return err
			}
			if !yes {
				if err := confirm(command.InOrStdin(), command.ErrOrStderr(), args, all); err != nil {
					return err
				}
			}
			return f.end(command, args, "purged", (*letters.Office).Purge)
		},
	}
	command.Flags().BoolVar(&all, "all", false, "all letters that there are now")
	command.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return command
}

// confirm asks before letters are removed.
func confirm(in io.Reader, out io.Writer, args []string, all bool) error {
	what := fmt.Sprintf("%d dead letters", len(args)-1)
	switch {
	case all:
		what = "all dead letters"
	case len(args) == 2:
		what = "1 dead letter"
	}
	fmt.Fprintf(out, "Remove %s of %s for good? [y/N] ", what, args[0])
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was removed: answer y, or use --yes")
	}
	return nil
}

func checkSelection(ids []string, all bool) error {
	switch {
	case all && len(ids) > 0:
		return errors.New("IDs conflict with --all: set only one of the two")
	case !all && len(ids) == 0:
		return errors.New("name the letters by their IDs (kubectl pubsub dead list shows them), or use --all")
	}
	return nil
}

// deadFlags say how to reach the letters.
type deadFlags struct {
	cluster *connect.ClusterFlags
	redis   string // host:port in place of the channel's servers
	output  string
	now     func() time.Time // the cluster's clock, to which that of the channel's server is closer than this machine's
}

// open reads the channel from the cluster.
func (f *deadFlags) open(ctx context.Context, name string) (*letters.Office, error) {
	namespace, err := f.cluster.Namespace()
	if err != nil {
		return nil, err
	}
	cluster, err := f.cluster.Connect()
	if err != nil {
		return nil, err
	}
	f.now = cluster.Now
	channel, err := channels.Read(ctx, cluster, types.NamespacedName{Namespace: namespace, Name: name})
	if err != nil {
		return nil, err
	}
	return letters.Open(plan.Of(channel), f.redis, os.Getenv)
}

// with runs a command at the channel's server.
func (f *deadFlags) with(command *cobra.Command, channel string, run func(context.Context, *letters.Office) error) error {
	if err := checkOutput(f.output, outputJSON); err != nil {
		return err
	}
	o, err := f.open(command.Context(), channel)
	if err != nil {
		return err
	}
	defer o.Close()
	return o.Explain(run(command.Context(), o))
}

func (f *deadFlags) list(ctx context.Context, command *cobra.Command, o *letters.Office, channel string, limit int64) error {
	found, more, err := o.List(ctx, limit)
	if err != nil {
		return err
	}
	if f.output == outputJSON {
		return printJSON(command.OutOrStdout(), view.LettersJSON(found))
	}
	if len(found) == 0 {
		_, err := fmt.Fprintf(command.ErrOrStderr(), "%s has no dead letters\n", channel)
		return err
	}
	if more > 0 {
		fmt.Fprintf(command.ErrOrStderr(), "there are %d more: use --limit\n", more)
	}
	_, err = fmt.Fprint(command.OutOrStdout(), view.Letters(found, f.now()))
	return err
}

func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// end ends the letters of the arguments, or all, and prints which or how many they were.
func (f *deadFlags) end(command *cobra.Command, args []string, done string, end func(*letters.Office, context.Context, []string) ([]string, error)) error {
	return f.with(command, args[0], func(ctx context.Context, o *letters.Office) error {
		ended, err := end(o, ctx, args[1:])
		if f.output == outputJSON {
			return errors.Join(printJSON(command.OutOrStdout(), map[string][]string{done: ended}), err)
		}
		plural := "s"
		if len(ended) == 1 {
			plural = ""
		}
		fmt.Fprintf(command.OutOrStdout(), "%d dead letter%s %s\n", len(ended), plural, done)
		return err
	})
}

// complete names channels first, then the letters of that channel, as far as the server tells.
func (f *deadFlags) complete(command *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(command.Context(), completionTimeout)
	defer cancel()
	if len(args) == 0 {
		c := connection{cluster: f.cluster}
		return c.names(ctx), cobra.ShellCompDirectiveNoFileComp
	}
	if command.Name() == "list" {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	o, err := f.open(ctx, args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer o.Close()
	all, err := o.IDs(ctx, 100)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.DeleteFunc(all, func(id string) bool { return slices.Contains(args[1:], id) }), cobra.ShellCompDirectiveNoFileComp
}
