// Command cluster brings a Kubernetes cluster with KEDA up for the end-to-end tests, and
// down again. See package cluster.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/jawaracloud/pubsub-operator/e2e/cluster"
)

const usage = `usage: cluster COMMAND [FLAGS] [ARGUMENTS]

  up               bring the cluster up, or what is missing of it
  down             end it and delete its state folder
  provider         print which provider up uses: kind or node
  status           say how each part of it is; exit status 1 unless all are well
  kubeconfig       print the path of its kubeconfig
  load TAR...      load container images, in the form of docker save
  stop-apiserver   kill its API server as a crash does; not with kind
  start-apiserver  start it again
  verify-clean     name all that a cluster left on this machine; exit status 1 if anything

flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		if ctx.Err() != nil {
			fmt.Fprintln(os.Stderr, "cluster: interrupted; run it again to go on, or cluster down to clean up")
		}
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// run runs one command; flags may come before or after the arguments.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts := cluster.Options{Out: stderr}
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage); flags.PrintDefaults() }
	flags.StringVar(&opts.Dir, "dir", "", "state `folder` (default: .cluster in the repository)")
	flags.StringVar(&opts.Tools, "tools", "", "`folder` of the built programs (default: what make tools-dir prints)")
	flags.StringVar(&opts.Provider, "provider", cluster.ProviderAuto, "auto, kind or node")
	flags.DurationVar(&opts.HPASyncPeriod, "hpa-sync-period", cluster.DefaultHPASyncPeriod, "how often the horizontal pod autoscaler runs")
	flags.StringVar(&opts.KindImage, "kind-image", "", "node `image` of the pinned kind, for another version of Kubernetes (default: its newest)")
	flags.BoolVar(&opts.KEDA, "keda", true, "install KEDA too")
	command, rest, err := parse(flags, args)
	if err != nil {
		return err
	}
	if len(rest) > 0 && command != "load" {
		return fmt.Errorf("%s takes no arguments, and got %q", command, rest)
	}
	if err := fillDir(&opts); err != nil {
		return err
	}
	// The other commands have to work in a repository that can't even run make.
	if err := fillTools(ctx, &opts); err != nil && (command == "up" || command == "status") {
		return err
	}
	c, err := cluster.New(opts)
	if err != nil {
		return err
	}
	return execute(ctx, c, command, rest, stdout)
}

// parse returns the command and its arguments.
func parse(flags *flag.FlagSet, args []string) (command string, rest []string, err error) {
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			return "", nil, err
		}
		if args = flags.Args(); len(args) > 0 {
			rest, args = append(rest, args[0]), args[1:]
		}
	}
	if len(rest) == 0 {
		flags.Usage()
		return "", nil, errors.New("which command?")
	}
	return rest[0], rest[1:], nil
}

// fillDir makes the state folder absolute, or finds it by the repository.
func fillDir(opts *cluster.Options) (err error) {
	if opts.Dir == "" {
		root, err := repository()
		if err != nil {
			return fmt.Errorf("pass --dir: %w", err)
		}
		opts.Dir = filepath.Join(root, ".cluster")
	}
	if opts.Dir, err = filepath.Abs(opts.Dir); err != nil {
		return err
	}
	// The kernel names mounts and sockets by their real paths.
	if parent, err := filepath.EvalSymlinks(filepath.Dir(opts.Dir)); err == nil {
		opts.Dir = filepath.Join(parent, filepath.Base(opts.Dir))
	}
	return nil
}

// fillTools makes the tools folder absolute, or asks the repository's makefile for it.
func fillTools(ctx context.Context, opts *cluster.Options) (err error) {
	if opts.Tools != "" {
		opts.Tools, err = filepath.Abs(opts.Tools)
		return err
	}
	root, err := repository()
	if err != nil {
		return fmt.Errorf("pass --tools: %w", err)
	}
	cmd := exec.CommandContext(ctx, "make", "--silent", "--no-print-directory", "-C", root, "-f", "e2e/binaries.mk", "tools-dir")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("pass --tools: make tools-dir: %w", err)
	}
	opts.Tools = strings.TrimSpace(string(out))
	return nil
}

// repository is the folder above the working directory that has e2e/binaries.mk.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "e2e", "binaries.mk")); err == nil {
			return dir, nil
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		return "", errors.New("the working directory is not in the repository")
	}
}

func execute(ctx context.Context, c *cluster.Cluster, command string, args []string, stdout io.Writer) error {
	switch command {
	case "up":
		return c.Up(ctx)
	case "down":
		return c.Down(ctx)
	case "provider":
		name, err := c.Provider(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintln(stdout, name)
		return nil
	case "status":
		return status(ctx, c, stdout)
	case "kubeconfig":
		if _, err := os.Stat(c.Kubeconfig()); err != nil {
			return cluster.ErrNotUp
		}
		fmt.Fprintln(stdout, c.Kubeconfig())
		return nil
	case "load":
		if len(args) == 0 {
			return errors.New("load which files?")
		}
		return c.Load(ctx, args...)
	case "stop-apiserver":
		return c.StopAPIServer(ctx)
	case "start-apiserver":
		return c.StartAPIServer(ctx)
	case "verify-clean":
		return verifyClean(ctx, c, stdout)
	}
	return fmt.Errorf("unknown command %q: see cluster --help", command)
}

func status(ctx context.Context, c *cluster.Cluster, stdout io.Writer) error {
	components, err := c.Status(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	ill := 0
	for _, component := range components {
		word := "ok"
		if !component.Healthy {
			word = "not ok"
			ill++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", component.Name, word, strings.ReplaceAll(component.Detail, "\n", " "))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if ill > 0 {
		return fmt.Errorf("%d of %d parts are not well", ill, len(components))
	}
	return nil
}

func verifyClean(ctx context.Context, c *cluster.Cluster, stdout io.Writer) error {
	found, err := c.Leftovers(ctx)
	if err != nil {
		return err
	}
	for _, what := range found {
		fmt.Fprintln(stdout, what)
	}
	if len(found) > 0 {
		return fmt.Errorf("%d things are left", len(found))
	}
	return nil
}
