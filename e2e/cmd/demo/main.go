// Command demo shows the operator at work on a cluster that is up: a burst of messages, and
// replicas that follow it up and down. See package demo; `make demo` does all that must come
// before.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/jawaracloud/pubsub-operator/e2e/demo"
)

// interrupted is the exit status after Ctrl-C, as a shell has it.
const interrupted = 130

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	options := demo.Options{Out: os.Stdout}
	flag.StringVar(&options.Kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "the cluster's kubeconfig `file`")
	flag.StringVar(&options.Tools, "tools", "", "`folder` of helm, kubectl and grpcurl (what make tools-dir prints)")
	flag.StringVar(&options.Chart, "chart", "../charts/pubsub-operator", "`folder` of the operator's chart")
	flag.StringVar(&options.ImageTag, "image-tag", "", "`tag` of the images jawaracloud/pubsub-operator, subscriber and publisher, which are loaded")
	flag.StringVar(&options.Namespace, "namespace", "pubsub-demo", "`namespace` of the channel")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "demo: no arguments are taken, and there is %q\n", flag.Args())
		os.Exit(2) //nolint:gocritic // nothing is left to be cleaned up
	}
	options.Terminal = terminal(os.Stdout) && os.Getenv("CI") == "" && os.Getenv("TERM") != "dumb"
	options.Colour = os.Getenv("NO_COLOR") == ""
	err := demo.Run(ctx, options)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		os.Exit(interrupted)
	default:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// terminal tells a terminal from a file, a pipe and the null device.
func terminal(file *os.File) bool {
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err == nil && !os.SameFile(info, null)
}
