// Package demo shows the whole loop on a cluster with KEDA: it installs the operator, makes
// a channel, publishes a burst of messages, and watches the replicas follow the queue up
// and back down. It ends well only if they did, and if every message was consumed.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	release         = "pubsub-operator"
	systemNamespace = "pubsub-system"

	// limit bounds everything after the preparations; the story takes about 4 minutes.
	limit = 10 * time.Minute
)

// Options say where and with what the demo runs.
type Options struct {
	Kubeconfig string    // path of the cluster's kubeconfig
	Tools      string    // folder that holds helm, kubectl and grpcurl
	Chart      string    // folder of the operator's chart
	ImageTag   string    // tag of the operator's, subscriber's and publisher's images
	Namespace  string    // where the channel goes
	Out        io.Writer // what the demo says
	// Terminal makes the live view a panel that is redrawn; else it is one line every 5 s
	// and one for each change of the replicas.
	Terminal bool
	// Colour lets the panel use colours.
	Colour bool
}

func (o *Options) validate() error {
	for _, required := range []struct{ flag, value string }{
		{"--kubeconfig", o.Kubeconfig}, {"--tools", o.Tools}, {"--chart", o.Chart}, {"--image-tag", o.ImageTag}, {"--namespace", o.Namespace},
	} {
		if required.value == "" {
			return fmt.Errorf("%s is missing", required.flag)
		}
	}
	for _, path := range []*string{&o.Kubeconfig, &o.Tools, &o.Chart} {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}
	if _, err := os.Stat(o.Kubeconfig); err != nil {
		return fmt.Errorf("--kubeconfig: %w: bring the cluster up first (make cluster-up)", err)
	}
	for _, program := range []string{"helm", "kubectl"} {
		if _, err := os.Stat(filepath.Join(o.Tools, program)); err != nil {
			return fmt.Errorf("--tools: %w: build it first (make cluster-binaries)", err)
		}
	}
	if _, err := os.Stat(filepath.Join(o.Chart, "Chart.yaml")); err != nil {
		return fmt.Errorf("--chart: %w", err)
	}
	return nil
}

// demo is one run.
type demo struct {
	Options
	tools    tools
	progress *progress
	api      *api
	queue    *queueReader
}

// Run runs the demo. Its error says what did not happen, and why as far as that can be
// seen; Out then has the state of the cluster.
func Run(ctx context.Context, options Options) error {
	if err := options.validate(); err != nil {
		return err
	}
	d := &demo{
		Options:  options,
		tools:    tools{dir: options.Tools, kubeconfig: options.Kubeconfig},
		progress: newProgress(options.Out, time.Now),
	}
	api, err := openAPI(ctx, d.tools)
	if err != nil {
		return err
	}
	defer api.close()
	d.api = api
	d.queue = newQueueReader(d.tools, options.Namespace)
	defer d.queue.close()

	story, err := d.run(ctx)
	switch {
	case err == nil:
		d.finish(ctx, story)
		return nil
	case ctx.Err() != nil:
		fmt.Fprintf(d.Out, "\nStopped. The cluster and the channel %s/%s are still there.\n", d.Namespace, channelName)
		fmt.Fprint(d.Out, d.takeDown())
		return ctx.Err()
	default:
		d.showEvidence(ctx)
		return err
	}
}

func (d *demo) run(ctx context.Context) (*story, error) {
	if err := d.installOperator(ctx); err != nil {
		return nil, err
	}
	if err := d.applyChannel(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errDeadline)
	defer cancel()
	return d.watch(ctx)
}

// errDeadline is why a story ends that took too long.
var errDeadline = errors.New("the deadline has passed")

func (d *demo) installOperator(ctx context.Context) error {
	const helmLimit = 4 * time.Minute
	name := fmt.Sprintf("installing the operator, image tag %s (helm upgrade --install %s, namespace %s)", d.ImageTag, release, systemNamespace)
	return d.progress.step(ctx, helmLimit, name, d.pods(systemNamespace), func(ctx context.Context) error {
		_, err := d.tools.run(ctx, "", "helm", "upgrade", "--install", release, d.Chart,
			"--namespace", systemNamespace, "--create-namespace", "--set-string", "image.tag="+d.ImageTag,
			"--wait", "--timeout", (helmLimit - 10*time.Second).String())
		if err != nil && strings.Contains(err.Error(), "another operation") {
			return fmt.Errorf("%w: wait for the other helm; if there is none, one was killed: helm rollback %s --namespace %s", err, release, systemNamespace)
		}
		return err
	})
}

// applyChannel brings up the Redis server and the channel, with an empty queue.
func (d *demo) applyChannel(ctx context.Context) error {
	values := d.values()
	err := d.progress.step(ctx, time.Minute, "deleting the burst of an earlier run, if there is one", nil, func(ctx context.Context) error {
		_, err := d.tools.run(ctx, "", "kubectl", "delete", "job", burstJob, "--namespace", d.Namespace, "--ignore-not-found", "--cascade=foreground", "--wait")
		return err
	})
	if err != nil {
		return err
	}
	redis, err := render("redis.yaml", values)
	if err != nil {
		return err
	}
	err = d.progress.step(ctx, 2*time.Minute, "starting a Redis server, Service dragonfly in namespace "+d.Namespace, d.pods(d.Namespace), func(ctx context.Context) error {
		if err := d.apply(ctx, redis); err != nil {
			return err
		}
		_, err := d.tools.run(ctx, "", "kubectl", "rollout", "status", "deployment/dragonfly", "--namespace", d.Namespace)
		return err
	})
	if err != nil {
		return err
	}
	err = d.progress.step(ctx, time.Minute, "emptying the queue "+queueKey, nil, d.queue.empty)
	if err != nil {
		return err
	}
	channel, err := render("channel.yaml", values)
	if err != nil {
		return err
	}
	d.progress.say("applying this channel:\n\n%s", indent(channel))
	return d.progress.step(ctx, time.Minute, "applying the channel", nil, func(ctx context.Context) error {
		return d.apply(ctx, channel)
	})
}

func (d *demo) apply(ctx context.Context, manifest string) error {
	_, err := d.tools.run(ctx, manifest, "kubectl", "apply", "--server-side", "--force-conflicts", "--field-manager=demo", "--filename=-")
	return err
}

// pods returns a function that tells in words how the namespace's pods are.
func (d *demo) pods(namespace string) func(context.Context) string {
	return func(ctx context.Context) string {
		var pods podList
		if err := d.api.get(ctx, "/api/v1/namespaces/"+namespace+"/pods", &pods); err != nil {
			return err.Error()
		}
		return pods.summary()
	}
}
