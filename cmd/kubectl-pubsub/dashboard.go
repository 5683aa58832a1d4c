package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/program"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/feed"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/history"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/page"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/record"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/serve"
)

const dashboardLong = `Show channels live in the browser: the fleet, each channel with its decisions, and what if.

The page is served on this machine, at 127.0.0.1, from what the Kubernetes API shows you with
your own rights. Nothing runs in the cluster for it, and nothing in the cluster is changed.

The right to get, list and watch pubsubchannels is enough. What else you may read (events,
pods, scaledobjects.keda.sh) is shown as well. A namespace that you may not read is shown as
such.

The URL has a token: who knows it sees what you see, until Ctrl-C ends the command.`

const dashboardExample = `  # The channels of the context's namespace
  kubectl pubsub dashboard

  # All that you may see, with the last 6 hours from a Prometheus
  kubectl pubsub dashboard -A --prometheus http://127.0.0.1:9090

  # Two namespaces
  kubectl pubsub dashboard -n shop,bank

  # On another machine: there, then here
  kubectl pubsub dashboard --port 8090 --no-browser
  ssh -L 8090:127.0.0.1:8090 that-machine`

// showingLive is one run of dashboard.
type showingLive struct {
	cluster       *connect.ClusterFlags
	allNamespaces bool
	port          uint16
	noBrowser     bool
	prometheus    string
	history       time.Duration
}

func newDashboardCommand(cluster *connect.ClusterFlags) *cobra.Command {
	s := &showingLive{cluster: cluster}
	command := &cobra.Command{
		Use:     "dashboard",
		Short:   "Show channels live in the browser",
		Long:    dashboardLong,
		Example: dashboardExample,
		Args:    cobra.NoArgs,
		RunE:    s.run,
	}
	flags := command.Flags()
	flags.BoolVarP(&s.allNamespaces, "all-namespaces", "A", false, "the channels of all namespaces, as far as you may read them")
	flags.Uint16Var(&s.port, "port", 0, "port on 127.0.0.1 (default: one that is free)")
	flags.BoolVar(&s.noBrowser, "no-browser", false, "print the URL, and open no browser")
	flags.StringVar(&s.prometheus, "prometheus", "", "URL of a Prometheus with the scaler's metrics, for the last hours")
	flags.DurationVar(&s.history, "history", 6*time.Hour, "how much of the past is read from --prometheus")
	return command
}

func (s *showingLive) run(command *cobra.Command, _ []string) error {
	namespace, err := s.cluster.Namespace()
	if err != nil {
		return err
	}
	which, err := s.which(namespace)
	if err != nil {
		return err
	}
	cluster, err := s.cluster.Connect()
	if err != nil {
		return err
	}
	fleet := record.New(cluster.Now())
	source, err := feed.New(cluster, fleet, cluster.Now)
	if err != nil {
		return err
	}
	options := serve.Options{
		Version: program.Version(version), Cluster: cmp.Or(s.cluster.Context(), cluster.Host()), Files: page.Files(), Now: cluster.Now,
		Fleet: fleet, Surroundings: source.Surroundings,
	}
	if options.History, err = s.past(command, cluster.Now); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(command.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(s.port))))
	if err != nil {
		return fmt.Errorf("listening on 127.0.0.1: choose another --port, or leave it out: %w", err)
	}
	server := serve.New(options, listener.Addr().(*net.TCPAddr).Port) //nolint:forcetypeassert // it was asked for
	ctx, stop := context.WithCancel(command.Context())
	var following sync.WaitGroup
	defer following.Wait()
	defer stop()
	following.Go(func() { source.Run(ctx, which) })
	out := command.OutOrStdout()
	if _, err := fmt.Fprintf(out, "The dashboard is at %s; Ctrl-C ends it.\n", server.URL()); err != nil {
		return err
	}
	if !s.noBrowser && terminalSize(out) != nil {
		openBrowser(ctx, command.ErrOrStderr(), server.URL())
	}
	return server.Run(ctx, listener)
}

// which are the namespaces that are shown: all, or those of --namespace, which takes several here.
func (s *showingLive) which(given string) (feed.Options, error) {
	names := strings.Split(given, ",")
	for _, name := range names {
		if wrong := validation.IsDNS1123Label(name); len(wrong) > 0 {
			return feed.Options{}, fmt.Errorf("--namespace has %q, which is no name of a namespace: %s", name, strings.Join(wrong, "; "))
		}
	}
	if s.allNamespaces {
		return feed.Options{Own: names[0]}, nil
	}
	slices.Sort(names)
	return feed.Options{Namespaces: slices.Compact(names)}, nil
}

// past reads the last hours up to now by a clock; nil: there is no Prometheus.
func (s *showingLive) past(command *cobra.Command, clock func() time.Time) (func(context.Context, string, string) ([]protocol.Point, error), error) {
	if s.prometheus == "" {
		if command.Flags().Changed("history") {
			return nil, fmt.Errorf("--history is %s, which nothing can be read for without --prometheus: set it, or leave --history out", s.history)
		}
		return nil, nil
	}
	source, err := history.New(s.prometheus, s.history)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, namespace, name string) ([]protocol.Point, error) {
		return source.Points(ctx, namespace, name, clock())
	}, nil
}

// openBrowser opens the user's browser. If there is none, the URL is on the screen all the same.
func openBrowser(ctx context.Context, problems io.Writer, url string) {
	name, args := "xdg-open", []string{url}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	}
	// Its own context and process group: a browser that this starts stays when Ctrl-C ends the dashboard.
	browser := exec.CommandContext(context.WithoutCancel(ctx), name, args...)
	setApart(browser)
	if err := browser.Start(); err != nil {
		fmt.Fprintf(problems, "no browser was opened (%s can't be started): open the URL yourself, or use --no-browser\n", name)
		return
	}
	go func() { _ = browser.Wait() }() // so that no zombie stays; what it says is its own affair
}
