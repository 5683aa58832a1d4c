package demo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// sampleEvery is how often the cluster is looked at.
const sampleEvery = time.Second

// observer takes the samples.
type observer struct {
	demo     *demo
	seen     map[string]bool // events by name; from the start those that an earlier run left
	scalings []scaling       // of this run
	last     sample
}

// watch shows the story until its end, and publishes the burst when the fleet is idle.
func (d *demo) watch(ctx context.Context) (*story, error) {
	o, err := d.newObserver(ctx)
	if err != nil {
		return nil, err
	}
	d.progress.say("the queue is watched from here on, until the burst is consumed and the replicas are back at %d (about 4 minutes)\n", minReplicas)
	story, view := newStory(), d.newView()
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		now, err := o.sample(ctx, story.burst)
		if err == nil {
			story.observe(now)
			err = view.show(story)
		}
		if err == nil {
			err = story.failure()
		}
		if err == nil && story.readyForBurst() {
			story.publish(d.progress.elapsed())
			err = d.publish(ctx)
		}
		switch {
		case errors.Is(context.Cause(ctx), errDeadline):
			return story, fmt.Errorf("not done after %s: %w", limit, story.late())
		case err != nil || story.done():
			return story, err
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

func (d *demo) newView() view {
	if d.Terminal {
		return &panelView{out: d.Out, title: d.Namespace + "/" + channelName, colour: d.Colour}
	}
	return &lineView{out: d.Out}
}

// publish starts the burst.
func (d *demo) publish(ctx context.Context) error {
	burst, err := render("burst.yaml", d.values())
	if err != nil {
		return err
	}
	if !d.Terminal {
		d.progress.say("publishing %d messages (Job %s)", messages, burstJob)
	}
	if err := d.apply(ctx, burst); err != nil {
		return fmt.Errorf("publishing the burst: %w", err)
	}
	return nil
}

func (d *demo) newObserver(ctx context.Context) (*observer, error) {
	o := &observer{demo: d, seen: map[string]bool{}}
	events, err := o.events(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		o.seen[e.Metadata.Name] = true
	}
	return o, nil
}

// sample looks at everything once. A look that fails repeats the last sample, and says so
// by its depth, which is then unknown.
func (o *observer) sample(ctx context.Context, burst bool) (sample, error) {
	now, err := o.look(ctx, burst)
	if permanent := (*burstError)(nil); errors.As(err, &permanent) || ctx.Err() != nil {
		return sample{}, err
	}
	if err != nil {
		now = o.last
		now.at, now.depthUnknown = o.demo.progress.elapsed(), err
	}
	o.last = now
	return now, nil
}

func (o *observer) look(ctx context.Context, burst bool) (sample, error) {
	d := o.demo
	now := sample{at: d.progress.elapsed()}
	ready, held, err := d.queue.depth(ctx)
	now.depth = ready + held
	if err != nil {
		now.depth, now.depthUnknown = o.last.depth, err
	}
	var c channel
	if err := d.api.get(ctx, "/apis/pubsub.jawaracloud.io/v1/namespaces/"+d.Namespace+"/pubsubchannels/"+channelName, &c); err != nil {
		return now, err
	}
	now.describe(c)
	var workers deployment
	err = d.api.get(ctx, "/apis/apps/v1/namespaces/"+d.Namespace+"/deployments/"+channelName+"-subscriber", &workers)
	if err != nil && !errors.Is(err, errNotFound) {
		return now, err
	}
	now.wanted, now.existing, now.ready = workers.Spec.Replicas, workers.Status.Replicas, workers.Status.ReadyReplicas
	if now.ready < now.wanted {
		if now.troubles, err = o.troubles(ctx, "pubsubchannel="+channelName); err != nil {
			return now, err
		}
	}
	events, err := o.events(ctx)
	if err != nil {
		return now, err
	}
	o.add(events, now.at)
	now.scalings = o.scalings
	if burst {
		now.publisherState, err = o.publisher(ctx)
	}
	return now, err
}

// describe takes the words from the channel's status.
func (s *sample) describe(c channel) {
	s.phase = c.Status.Phase
	scaled := findCondition(c.Status.Conditions, "Scaled")
	s.reason, s.words = scaled.Reason, scaled.Message
	ready := findCondition(c.Status.Conditions, "Ready")
	switch ready.Status {
	case "True":
	case "":
		s.notReady = "the controller has not taken up the channel yet"
	default:
		s.notReady = ready.Reason + ": " + ready.Message
	}
}

// events are the channel's Scaled events, in no order.
func (o *observer) events(ctx context.Context) ([]event, error) {
	query := url.Values{"fieldSelector": {"involvedObject.kind=PubSubChannel,involvedObject.name=" + channelName + ",reason=Scaled"}}
	var list eventList
	err := o.demo.api.get(ctx, "/api/v1/namespaces/"+o.demo.Namespace+"/events?"+query.Encode(), &list)
	return list.Items, err
}

func (o *observer) add(events []event, at time.Duration) {
	slices.SortFunc(events, func(a, b event) int { return a.EventTime.Compare(b.EventTime) })
	for _, e := range events {
		if o.seen[e.Metadata.Name] {
			continue
		}
		o.seen[e.Metadata.Name] = true
		o.scalings = append(o.scalings, scaling{at: at, words: e.Message})
	}
}

// troubles is what is wrong with the pods that a selector selects; empty where nothing is.
func (o *observer) troubles(ctx context.Context, selector string) (string, error) {
	var pods podList
	query := url.Values{"labelSelector": {selector}}
	err := o.demo.api.get(ctx, "/api/v1/namespaces/"+o.demo.Namespace+"/pods?"+query.Encode(), &pods)
	return strings.Join(pods.troubles(), "; "), err
}

// burstError means that the burst failed, which looking again can't change.
type burstError struct{ words string }

func (e *burstError) Error() string { return e.words }

func (o *observer) publisher(ctx context.Context) (publisherState, error) {
	var burst job
	if err := o.demo.api.get(ctx, "/apis/batch/v1/namespaces/"+o.demo.Namespace+"/jobs/"+burstJob, &burst); err != nil {
		return publishing, err
	}
	if findCondition(burst.Status.Conditions, "Complete").Status == "True" {
		return published, nil
	}
	failed := findCondition(burst.Status.Conditions, "Failed")
	if failed.Status != "True" {
		troubles, err := o.troubles(ctx, "job-name="+burstJob)
		if err == nil && troubles != "" {
			err = &burstError{"the publisher can't start: " + troubles}
		}
		return publishing, err
	}
	said, err := o.demo.tools.run(ctx, "", "kubectl", "logs", "job/"+burstJob, "--namespace", o.demo.Namespace, "--tail=5")
	if err != nil {
		said = err.Error()
	}
	return publishing, &burstError{fmt.Sprintf("the publisher failed (%s: %s): %s", failed.Reason, failed.Message, said)}
}
