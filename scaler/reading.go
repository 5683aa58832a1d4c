package scaler

import (
	"context"
	"net"
	"strings"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/address"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/explanation"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
)

// server is the trigger's server. A host without a dot is a Service in the namespace of the
// ScaledObject, as it is for the pods of its target. The scaler itself runs in another
// namespace.
func (s *Service) server(r *request) broker.Server {
	redis := r.trigger.Redis
	server := broker.Server{
		Mode:             redis.Mode,
		Address:          s.addresses(redis.Address, r.namespace),
		SentinelMaster:   redis.SentinelMaster,
		Database:         redis.Database,
		Username:         broker.Secret(redis.Username),
		Password:         broker.Secret(redis.Password),
		SentinelUsername: broker.Secret(redis.SentinelUsername),
		SentinelPassword: broker.Secret(redis.SentinelPassword),
	}
	if redis.TLS || redis.SentinelTLS {
		server.TLS = broker.TLS{
			Enabled:     redis.TLS,
			Sentinels:   redis.SentinelTLS,
			ServerName:  redis.TLSServerName,
			CA:          broker.Secret(redis.CA),
			Certificate: broker.Secret{Name: redis.ClientCertificate},
		}
	}
	if redis.RefersToSecrets() {
		// Without Secrets, the namespaces share the server's connections.
		server.Namespace = r.namespace
	}
	return server
}

func (s *Service) addresses(list, namespace string) string {
	if s.targets == nil || namespace == "" {
		return list
	}
	addresses, err := address.ParseList(list)
	if err != nil {
		return list // Parse has refused it before
	}
	for i := range addresses {
		host, port, err := address.Parse(addresses[i])
		if err == nil && host != "localhost" && !strings.ContainsAny(host, ".:") {
			addresses[i] = net.JoinHostPort(host+"."+namespace+".svc", port)
		}
	}
	return strings.Join(addresses, ",")
}

// The tables that connect the rooms. A value without a row is an error, never a default.
var kinds = map[trigger.QueueType]queue.Kind{
	trigger.Auto: queue.Auto, trigger.List: queue.List, trigger.Stream: queue.Stream,
	trigger.SortedSet: queue.SortedSet, trigger.PubSub: queue.PubSub,
}

var scores = map[trigger.Score]queue.Score{
	trigger.AnyScore: queue.AnyScore, trigger.UnixSeconds: queue.UnixSeconds, trigger.UnixMilliseconds: queue.UnixMilliseconds,
}

var inFlights = map[trigger.InFlight]framework.InFlight{
	trigger.InFlightOfDatabase: framework.InFlightOfDatabase, trigger.InFlightOfQueues: framework.InFlightOfQueues, trigger.InFlightNone: framework.InFlightNone,
}

var scheduleds = map[trigger.Scheduled]framework.Scheduled{
	trigger.ScheduledCount: framework.ScheduledCount, trigger.ScheduledIgnore: framework.ScheduledIgnore,
}

// queuesOf returns all queues whose depths are summed.
func queuesOf(t trigger.Trigger) ([]queue.Queue, error) {
	spec, names, age := t.Queue, t.QueueKeys(), t.Policy.MaxAge > 0
	kind, known := kinds[spec.Type]
	score, scored := scores[spec.Score]
	preset, isPreset := framework.Named(string(spec.Preset))
	if !known || !scored || isPreset != (spec.Preset != "") {
		return nil, fault("read queueType %q, preset %q and score %q", spec.Type, spec.Preset, spec.Score)
	}
	inFlight, counted := inFlights[spec.InFlight]
	scheduled, told := scheduleds[spec.Scheduled]
	if isPreset && (!counted || !told) {
		return nil, fault("count inFlight %q and scheduled %q", spec.InFlight, spec.Scheduled)
	}
	if isPreset {
		queues := queue.OfPreset(preset, spec.KeyPrefix, names, age)
		return queue.WithOptions(queues, framework.Options{
			Steps: framework.StepsOf(spec.PrioritySteps), Separator: spec.PrioritySeparator, InFlight: inFlight, Scheduled: scheduled,
		}), nil
	}
	queues := make([]queue.Queue, len(names))
	for i, name := range names {
		queues[i] = queue.Queue{Key: name, Kind: kind, Group: spec.ConsumerGroup, Score: score, Age: age}
	}
	return queues, nil
}

// reading is the sum of what was read from a trigger's queues.
type reading struct {
	queues  []queue.Queue
	samples []sampling.Sample // of each queue; none if the caller gave the depth

	kind            queue.Kind // of all queues, or mixed
	ready, inFlight int64
	lowerBound      bool
	atLeast         bool      // it is a lower bound, so nothing may shrink (queue.Depth)
	at              time.Time // when the oldest sample was read
	rate            *float64  // messages that arrive per second; nil while unknown
	rateLowerBound  bool
	oldest          time.Time // when the oldest waiting message arrived; the zero time if none waits, or if it was not read
	busy            *busy     // the work in flight over time; nil if it was not asked for, or if the caller gave the depth
	given           bool      // the caller gave the depth
}

// mixed is the kind if the queues are of several kinds.
const mixed queue.Kind = "mixed"

func (r reading) depth() int64 { return queue.Sum(r.ready, r.inFlight) }

// read reads the trigger's queues.
func (s *Service) read(ctx context.Context, r *request) (reading, error) {
	samples, err := r.inquiry.Depths(ctx)
	if err != nil {
		return reading{}, r.brokerError(err)
	}
	return sum(r.queues, samples), nil
}

func sum(queues []queue.Queue, samples []sampling.Sample) reading {
	total := reading{queues: queues, samples: samples, kind: queue.None, at: samples[0].At, busy: sumWork(queues, samples)}
	for i, sample := range samples {
		total.ready = queue.Sum(total.ready, sample.Ready)
		total.inFlight = queue.Sum(total.inFlight, sample.InFlight)
		total.lowerBound = total.lowerBound || sample.LowerBound
		total.atLeast = total.atLeast || sample.AtLeast()
		if sample.At.Before(total.at) {
			total.at = sample.At
		}
		if oldest := sample.Oldest; !oldest.IsZero() && (total.oldest.IsZero() || oldest.Before(total.oldest)) {
			total.oldest = oldest
		}
		if queues[i].IsShared() {
			continue // a message there has arrived in a queue before, and was counted there
		}
		switch {
		case sample.Kind == queue.None, sample.Kind == total.kind:
		case total.kind == queue.None:
			total.kind = sample.Kind
		default:
			total.kind = mixed
		}
		total.addRate(sample)
	}
	total.rateLowerBound = total.rateLowerBound && total.rate != nil
	return total
}

// addRate adds a queue's rate. An unknown rate makes the sum a lower bound.
func (r *reading) addRate(sample sampling.Sample) {
	if sample.Rate == nil {
		r.rateLowerBound = true
		return
	}
	rate := *sample.Rate
	if r.rate != nil {
		rate += *r.rate
	}
	r.rate = &rate
	r.rateLowerBound = r.rateLowerBound || sample.RateLowerBound
}

// summary is the reading as a decision is made from it.
func (r reading) summary(now time.Time) explanation.Reading {
	if r.given {
		return explanation.OfDepth(string(r.kind), r.ready, now)
	}
	return explanation.Reading{
		Kind: string(r.kind), Ready: r.ready, InFlight: r.inFlight,
		LowerBound: r.lowerBound, AtLeast: r.atLeast, InFlightKnown: r.showsWork(),
		At: r.at, Rate: r.rate, RateLowerBound: r.rateLowerBound, Oldest: r.oldest,
		Work: r.busy.work(), NoWork: r.busy.unknown(),
	}
}
