// Package live runs one trace on a cluster with one policy, and says what it cost and gave: the
// replicas from the API server, each message's wait from its own timestamps, lost and extra
// messages, and beside it what the simulation predicts for the same arrivals. The load is
// the publisher, the workers are the default worker. Their handler is in this process, works
// on each message for as long as the message says, and has all times from one clock.
package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jawaracloud/pubsub-operator/simulation"
)

// Options say what is run, and where.
type Options struct {
	Kubeconfig string
	Tools      string // folder of helm and kubectl
	Chart      string // folder of the operator's chart
	ImageTag   string // of the operator's, subscriber's and publisher's images
	Namespace  string // is deleted and made again
	Handler    string // address of this machine that pods reach, and port; 0: any
	Out        string // folder of the results
	Log        io.Writer

	Trace   string
	Policy  string // the name of one of the simulation's autoscalers: threshold, utilization or keda
	Scale   float64
	Seed    uint64
	HPASync time.Duration // the cluster's
}

const (
	channelName = "orders"
	workersName = channelName + "-subscriber"
	jobName     = channelName + "-load"
)

// policies are those that can be run live, by the manifest that makes the workers.
var policies = map[string]string{"threshold": "channel.yaml", "utilization": "channel.yaml", "keda": "keda.yaml"}

// live is one run.
type live struct {
	Options
	scenario   scenario
	autoscaler *simulation.Autoscaler
	programs   programs
	client     client.Client
	values     values
	recorder   *recorder
	sampler    *sampler
	began      time.Time // of the program, for the log

	hpaFirstSaw *int32 // see Result
}

// Run runs a trace, and writes its results below Options.Out.
func Run(ctx context.Context, o Options) error {
	l := &live{Options: o, programs: programs{o.Tools, o.Kubeconfig}, recorder: &recorder{now: time.Now}, began: time.Now()}
	var err error
	if l.scenario, err = newScenario(o.Trace, o.Scale); err != nil {
		return err
	}
	if policies[o.Policy] == "" {
		return fmt.Errorf("--policy is %q: set it to threshold, utilization or keda", o.Policy)
	}
	l.autoscaler, _ = simulation.ByName(o.Policy)
	if err := l.connect(); err != nil {
		return err
	}
	url, stop, err := l.recorder.listen(ctx, o.Handler)
	if err != nil {
		return fmt.Errorf("--handler is %q: set it to an address of this machine that pods reach: %w", o.Handler, err)
	}
	defer stop()
	l.values = values{
		Name: channelName, Namespace: o.Namespace, ImageTag: o.ImageTag, HandlerURL: url, Policy: o.Policy, Spec: l.scenario.Spec, Start: l.scenario.Start,
		CooldownSeconds: int(l.scenario.Spec.Cooldown / time.Second), WorkTime: l.scenario.WorkTime, Seed: o.Seed,
	}
	l.say("%s with %s: %s", o.Trace, o.Policy, l.scenario.Cut)
	if err := l.prepare(ctx); err != nil {
		return err
	}
	if o.Policy == "keda" {
		l.hpaFirstSaw = new(l.sampler.samples[len(l.sampler.samples)-1].wanted)
	}
	published, err := l.load(ctx)
	if err != nil {
		return err
	}
	events, err := l.events(ctx)
	if err != nil {
		return err
	}
	return l.report(published, events)
}

func (l *live) say(format string, args ...any) {
	fmt.Fprintf(l.Log, "[%3.0f s] %s\n", time.Since(l.began).Seconds(), fmt.Sprintf(format, args...))
}

func (l *live) connect() error {
	config, err := clientcmd.BuildConfigFromFlags("", l.Kubeconfig)
	if err != nil {
		return fmt.Errorf("--kubeconfig is %q: bring the cluster up first (make cluster-up): %w", l.Kubeconfig, err)
	}
	config.QPS, config.Burst = 50, 100
	l.client, err = client.New(config, client.Options{Scheme: scheme.Scheme})
	if err != nil {
		return fmt.Errorf("the cluster of %s does not answer: %w", l.Kubeconfig, err)
	}
	l.sampler = &sampler{client: l.client, key: client.ObjectKey{Namespace: l.Namespace, Name: workersName}, starts: map[string]podStart{}}
	return nil
}

// prepare brings up the operator, an empty queue and idle workers.
func (l *live) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Minute)
	defer cancel()
	l.say("installing the operator, image tag %s", l.ImageTag)
	_, err := l.programs.run(ctx, "", "helm", "upgrade", "--install", "pubsub-operator", l.Chart, "--namespace", "pubsub-system", "--create-namespace",
		"--set-string", "image.tag="+l.ImageTag, "--wait", "--timeout", "4m")
	if err != nil {
		return err
	}
	l.say("starting with an empty namespace %s", l.Namespace)
	if _, err := l.kubectl(ctx, "delete", "namespace", l.Namespace, "--ignore-not-found", "--wait"); err != nil {
		return err
	}
	if err := l.apply(ctx, "redis.yaml"); err != nil {
		return err
	}
	if _, err := l.kubectl(ctx, "rollout", "status", "deployment/dragonfly"); err != nil {
		return err
	}
	if err := l.apply(ctx, policies[l.Policy]); err != nil {
		return err
	}
	l.say("waiting for idle workers, %d at least, and for their HPA", l.scenario.Spec.MinReplicas)
	return l.until(ctx, func(ctx context.Context) (string, error) {
		if err := l.sampler.look(ctx, time.Now()); err != nil {
			return "", client.IgnoreNotFound(err)
		}
		last := l.sampler.samples[len(l.sampler.samples)-1]
		if last.wanted < l.scenario.Spec.MinReplicas || last.ready != last.wanted {
			return "", nil // more than the minimum is possible: an HPA's first answer may be of an earlier run's queue
		}
		return l.kubectl(ctx, "get", "hpa", "keda-hpa-"+channelName, "--ignore-not-found", "--output=jsonpath={.status.currentMetrics[0].type}")
	})
}

// until looks each second until the look has an answer.
func (l *live) until(ctx context.Context, look func(context.Context) (string, error)) error {
	for {
		answer, err := look(ctx)
		if err != nil || answer != "" {
			return err
		}
		if err := wait(ctx, time.Second); err != nil {
			return fmt.Errorf("the workers are not ready, or have no HPA: %w", err)
		}
	}
}

// load publishes the trace, and follows it until all messages are done.
func (l *live) load(ctx context.Context) (published int64, err error) {
	length := l.scenario.Trace.Length()
	ctx, cancel := context.WithTimeout(ctx, 2*length+2*time.Minute)
	defer cancel()
	if err := l.writeTrace(); err != nil {
		return 0, err
	}
	if _, err := l.kubectl(ctx, "create", "configmap", channelName+"-trace", "--from-file=trace.csv="+filepath.Join(l.Out, "trace.csv")); err != nil {
		return 0, err
	}
	if last := l.sampler.samples[len(l.sampler.samples)-1]; last.wanted != l.scenario.Start {
		if _, err := l.kubectl(ctx, "scale", "deployment/"+workersName, "--replicas="+strconv.Itoa(int(l.scenario.Start))); err != nil {
			return 0, err
		}
		if _, err := l.kubectl(ctx, "rollout", "status", "deployment/"+workersName); err != nil {
			return 0, err
		}
	}
	if err := l.apply(ctx, "publisher.yaml"); err != nil {
		return 0, err
	}
	l.say("publishing for %s", length)
	return l.follow(ctx)
}

// follow takes a sample each second until the publisher has ended and all messages are done.
func (l *live) follow(ctx context.Context) (published int64, err error) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	published = -1
	for second := 0; ; second++ {
		if err := l.sampler.look(ctx, time.Now()); err != nil {
			l.say("no sample: %v", err) // the next one is a second away
		}
		if second%3 == 0 {
			if err := l.sampler.lookAtPods(ctx); err != nil {
				l.say("no look at the pods: %v", err)
			}
		}
		if second%5 == 0 && published < 0 {
			if published, err = l.published(ctx); err != nil {
				return 0, err
			}
		}
		if last := l.sampler.samples[len(l.sampler.samples)-1]; second%30 == 0 {
			l.say("%d messages done, %d replicas, %d ready, load %.1f", l.recorder.count(), last.wanted, last.ready, last.load)
		}
		if published >= 0 && int64(l.recorder.count()) >= published && accountOf(l.recorder.all(), published).Lost == 0 {
			l.say("all %d messages are done", published)
			return published, nil
		}
		select {
		case <-ctx.Done():
			if published < 0 {
				return 0, errors.New("the publisher has not ended in time")
			}
			l.say("messages are missing: the results say how many")
			return published, nil
		case <-ticker.C:
		}
	}
}

var sentMessages = regexp.MustCompile(`sent (\d+) messages in .*, (\d+) errors?(.*)`)

// published is how many messages the publisher has sent, once it has ended; -1 before.
func (l *live) published(ctx context.Context) (int64, error) {
	var job batchv1.Job
	if err := l.client.Get(ctx, client.ObjectKey{Namespace: l.Namespace, Name: jobName}, &job); err != nil {
		return -1, nil //nolint:nilerr // it is asked again
	}
	if job.Status.Succeeded == 0 && job.Status.Failed == 0 {
		return -1, nil
	}
	said, err := l.kubectl(ctx, "logs", "job/"+jobName, "--tail=20")
	if err != nil {
		return -1, err
	}
	said = strings.TrimSpace(said)
	l.say("the publisher: %s", said[strings.LastIndex(said, "\n")+1:])
	match := sentMessages.FindStringSubmatch(said)
	if match == nil || job.Status.Failed > 0 {
		return -1, fmt.Errorf("the publisher failed: %s", said)
	}
	return strconv.ParseInt(match[1], 10, 64)
}

// events are the lines of what was told about scalings: the audit trail.
func (l *live) events(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return l.kubectl(ctx, "get", "events", "--sort-by=.metadata.creationTimestamp", "--field-selector=involvedObject.kind!=Pod",
		"--output=custom-columns=TIME:.metadata.creationTimestamp,COUNT:.count,OBJECT:.involvedObject.kind,REASON:.reason,MESSAGE:.message")
}

// writeTrace writes the arrivals of each second, which the publisher replays.
func (l *live) writeTrace() error {
	if err := os.MkdirAll(l.Out, 0o750); err != nil {
		return err
	}
	text := &strings.Builder{}
	text.WriteString("time,arrivals\n")
	for second, messages := range l.scenario.Trace.Arrivals(l.Seed) {
		fmt.Fprintf(text, "%d,%d\n", second, messages)
	}
	return os.WriteFile(filepath.Join(l.Out, "trace.csv"), []byte(text.String()), 0o600)
}
