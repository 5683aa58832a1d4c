// Command live runs a trace on a cluster that is up, with one policy, and compares it with the
// simulation. See package live; `make live` does all that must come before.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jawaracloud/pubsub-operator/e2e/cluster"
	"github.com/jawaracloud/pubsub-operator/e2e/live"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := live.Options{Log: os.Stdout}
	flag.StringVar(&o.Kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "the cluster's kubeconfig `file`")
	flag.StringVar(&o.Tools, "tools", "", "`folder` of helm and kubectl (what make tools-dir prints)")
	flag.StringVar(&o.Chart, "chart", "../charts/pubsub-operator", "`folder` of the operator's chart")
	flag.StringVar(&o.ImageTag, "image-tag", "", "`tag` of the images jawaracloud/pubsub-operator, subscriber and publisher, which are loaded")
	flag.StringVar(&o.Namespace, "namespace", "pubsub-live", "`namespace` of the run, which is deleted first")
	flag.StringVar(&o.Handler, "handler", cluster.HostAddress+":0", "`address` of this machine that pods reach, for the workers' handler")
	flag.StringVar(&o.Out, "out", "../dist/live", "`folder` of the results; each run has one of its own in it")
	flag.StringVar(&o.Trace, "trace", "flash", "flash, steady or peak")
	flag.StringVar(&o.Policy, "policy", "threshold", "threshold, utilization or keda")
	flag.Float64Var(&o.Scale, "scale", 0.1, "what the trace's rates are multiplied by; each message takes as much longer")
	flag.Uint64Var(&o.Seed, "seed", 1, "seed of the arrivals and work times")
	flag.DurationVar(&o.HPASync, "hpa-sync-period", 15*time.Second, "the HPA's sync period in the cluster")
	again := flag.Bool("again", false, "run nothing: predict the run that is in the folder once more, with the simulation as it is now")
	flag.Parse()
	all := o.Out
	o.Out = filepath.Join(all, o.Trace+"-"+o.Policy)
	var err error
	if *again {
		err = live.Again(o.Out, o.Log)
	} else {
		err = live.Run(ctx, o)
	}
	if err == nil {
		err = live.Compare(all, o.Trace)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "live:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to be cleaned up
	}
}
