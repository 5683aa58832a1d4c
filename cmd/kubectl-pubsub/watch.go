package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/channels"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/follow"
)

const watchLong = `Follow what is decided about channels, and why, as it changes.

It follows the channels' statuses, so whoever may get, list and watch PubSubChannels may watch.
--live follows the scaler itself, which tells changes within a second, and needs rights in the
operator's namespace.

On a terminal it is a table that is redrawn in place; elsewhere it prints a line for each
change. Channels that are made or deleted come and go, and what fails is told in the
channel's row. Ctrl-C ends it.

Without names it follows all channels of the namespace whose autoscaling is on.`

const watchExample = `  # All channels of a namespace
  kubectl pubsub watch -n shop

  # Two channels
  kubectl pubsub watch orders invoices

  # All channels of a namespace, as the scaler reads their queues
  kubectl pubsub watch -n shop --live

  # Everything, one JSON object per change
  kubectl pubsub watch --all-namespaces -o json`

// redraw is how often a terminal's cooldowns count down.
const redraw = time.Second

// watching is one run of the command.
type watching struct {
	connection
	live          bool
	allNamespaces bool
	output        string
}

func newWatchCommand(cluster *connect.ClusterFlags) *cobra.Command {
	w := &watching{connection: connection{cluster: cluster}}
	command := &cobra.Command{
		Use:     "watch [NAME...]",
		Short:   "Follow the decisions about channels",
		Long:    watchLong,
		Example: watchExample,
		RunE:    w.run,
		ValidArgsFunction: func(command *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return w.names(command.Context()), cobra.ShellCompDirectiveNoFileComp
		},
	}
	command.Flags().BoolVar(&w.live, "live", false, "follow the scaler, and not the channels' statuses")
	command.Flags().BoolVarP(&w.allNamespaces, "all-namespaces", "A", false, "follow the channels of all namespaces")
	command.Flags().StringVarP(&w.output, "output", "o", "", "json: one object per change, on a line of its own")
	w.scaler.Bind(command.Flags())
	return command
}

func (w *watching) run(command *cobra.Command, names []string) error {
	if err := checkOutput(w.output, outputJSON); err != nil {
		return err
	}
	if w.allNamespaces && len(names) > 0 {
		return errors.New("names conflict with --all-namespaces, because they are in one namespace: set only one of the two")
	}
	selection := channels.Selection{Names: names}
	if !w.allNamespaces {
		var err error
		if selection.Namespace, err = w.cluster.Namespace(); err != nil {
			return err
		}
	}
	if err := w.onlyLive(w.live); err != nil {
		return err
	}
	cluster, run, done, err := w.source(selection)
	if err != nil {
		return err
	}
	defer done()
	for _, name := range names {
		if err := channels.Exists(command.Context(), cluster, types.NamespacedName{Namespace: selection.Namespace, Name: name}); err != nil {
			return err
		}
	}
	return w.follow(command.Context(), run, cluster.Now, selection, w.presenter(command, selection))
}

// source hands on updates until the context ends.
type source func(ctx context.Context, each func(follow.Update)) error

// source is where the updates come from: the channels' statuses, or the scaler.
func (w *watching) source(selection channels.Selection) (cluster *connect.Cluster, run source, done func(), err error) {
	if !w.live {
		if cluster, err = w.cluster.Connect(); err != nil {
			return nil, nil, nil, fmt.Errorf("watch needs the cluster to list the channels: %w", err)
		}
		list := func(ctx context.Context, each func(channels.Event)) error {
			return channels.FollowStatuses(ctx, cluster, selection, each)
		}
		return cluster, func(ctx context.Context, each func(follow.Update)) error {
			return follow.Statuses(ctx, list, follow.Options{Now: cluster.Now}, each)
		}, func() {}, nil
	}
	scaler, cluster, noCluster, err := w.open()
	if err != nil {
		return nil, nil, nil, err
	}
	done = func() { _ = scaler.Close() } // nothing more is asked
	if cluster == nil {
		done()
		return nil, nil, nil, fmt.Errorf("watch needs the cluster to list the channels: %w", noCluster)
	}
	list := func(ctx context.Context, each func(channels.Event)) error {
		return channels.Follow(ctx, cluster, selection, each)
	}
	return cluster, func(ctx context.Context, each func(follow.Update)) error {
		return follow.Run(ctx, list, scaler, follow.Options{Now: cluster.Now}, each)
	}, done, nil
}

// follow shows updates until the context ends, by a clock, because their ages count on.
func (w *watching) follow(ctx context.Context, run source, clock func() time.Time, selection channels.Selection, show presenter) (err error) {
	ctx, stop := context.WithCancel(ctx)
	updates, ended := make(chan follow.Update), make(chan error, 1)
	known := acquaintance{byName: len(selection.Names) > 0, heard: map[types.NamespacedName]bool{}}
	go func() {
		ended <- run(ctx, func(update follow.Update) {
			select {
			case updates <- update:
			case <-ctx.Done():
			}
		})
	}()
	defer func() {
		stop()
		if closeErr := show.close(); err == nil {
			err = closeErr
		}
	}()
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case update := <-updates:
			if known.concerns(update) {
				err = show.update(update, clock())
			}
		case <-ticker.C:
			err = show.tick(clock())
		}
		if err != nil {
			return err
		}
	}
}

// acquaintance leaves out channels that neither were named nor ever autoscaled.
type acquaintance struct {
	byName bool
	heard  map[types.NamespacedName]bool
}

func (a *acquaintance) concerns(update follow.Update) bool {
	if update.Listed || update.Err != nil || a.byName {
		return true
	}
	if update.Ending != "" && !a.heard[update.Channel] {
		return false
	}
	a.heard[update.Channel] = update.Ending == ""
	return true
}

// presenter shows updates.
type presenter interface {
	update(update follow.Update, now time.Time) error
	// tick comes every second.
	tick(now time.Time) error
	close() error
}

func (w *watching) presenter(command *cobra.Command, selection channels.Selection) presenter {
	out := command.OutOrStdout()
	if w.output == outputJSON {
		return &jsonLines{out: out, problems: warnings{out: command.ErrOrStderr()}}
	}
	if size := terminalSize(out); size != nil {
		return newScreen(out, selection, size)
	}
	return newTextLines(out, command.ErrOrStderr(), selection)
}

// terminalSize returns nil where the output is no terminal that can be drawn on.
func terminalSize(out io.Writer) func() (width, height int) {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return func() (int, int) {
		width, height, err := term.GetSize(int(file.Fd()))
		if err != nil || width < 1 || height < 1 {
			return 80, 24
		}
		return width, height
	}
}
