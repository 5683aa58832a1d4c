package trigger

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// QueueType is the kind of queue that a trigger names.
type QueueType string

// The kinds of queue.
const (
	Auto      QueueType = "Auto" // ask the server
	List      QueueType = "List"
	Stream    QueueType = "Stream"
	SortedSet QueueType = "SortedSet"
	PubSub    QueueType = "PubSub"
)

var queueTypes = []QueueType{Auto, List, Stream, SortedSet, PubSub}

// Preset is the name of a job framework whose keys are known (framework.All); empty: none.
type Preset string

// presets is what may be named, none among it.
var presets = append([]Preset{""}, presetNames(framework.All())...)

func presetNames(frameworks []framework.Framework) (names []Preset) {
	for _, f := range frameworks {
		names = append(names, Preset(f.Name))
	}
	return names
}

// Score is what the score of a sorted set's members says.
type Score string

// The meanings of a score.
const (
	AnyScore         Score = "Any"
	UnixSeconds      Score = "UnixSeconds"      // ready from that time on
	UnixMilliseconds Score = "UnixMilliseconds" // ready from that time on
)

var scores = []Score{AnyScore, UnixSeconds, UnixMilliseconds}

// InFlight says which work counts, where a preset's framework keeps that of all queues of a database together.
type InFlight string

// The work that counts.
const (
	InFlightOfDatabase InFlight = "Database" // all of it
	InFlightOfQueues   InFlight = "Queue"    // what is of the trigger's own queues
	InFlightNone       InFlight = "None"
)

// Scheduled says whether a preset's jobs count that are due, but are moved to their queue by a scheduler alone.
type Scheduled string

// Whether they count.
const (
	ScheduledCount  Scheduled = "Count"
	ScheduledIgnore Scheduled = "Ignore"
)

var scheduleds = []Scheduled{ScheduledCount, ScheduledIgnore}

var inFlights = []InFlight{InFlightOfDatabase, InFlightOfQueues, InFlightNone}

// MaxKeys is how many keys a trigger may sum.
const MaxKeys = 32

// Queue says what the queue is made of.
type Queue struct {
	Type              QueueType
	Keys              []string // nil: channelName alone
	Preset            Preset
	KeyPrefix         string  // empty: the framework's own
	PrioritySteps     []int32 // of a preset's queues, in rising order; nil: the framework's own
	InFlight          InFlight
	Scheduled         Scheduled
	PrioritySeparator string // empty: the framework's own
	ConsumerGroup     string // empty: the stream's only group
	Score             Score
}

// Equal tells whether both are made of the same.
func (q Queue) Equal(other Queue) bool {
	return q.Type == other.Type && slices.Equal(q.Keys, other.Keys) && q.Preset == other.Preset &&
		q.KeyPrefix == other.KeyPrefix && slices.Equal(q.PrioritySteps, other.PrioritySteps) && q.PrioritySeparator == other.PrioritySeparator && q.InFlight == other.InFlight && q.Scheduled == other.Scheduled && q.ConsumerGroup == other.ConsumerGroup && q.Score == other.Score
}

// QueueKeys are the keys, or the names of a preset's queues: one at least.
func (t Trigger) QueueKeys() []string {
	if len(t.Queue.Keys) > 0 {
		return t.Queue.Keys
	}
	return []string{t.ChannelName}
}

// keys reads "a,b", or a JSON array where a key has a comma in it.
func (p *parser) keys() []string {
	value := p.metadata[KeyKeys]
	if value == "" {
		return nil
	}
	var keys []string
	if strings.HasPrefix(value, "[") {
		if err := json.Unmarshal([]byte(value), &keys); err != nil {
			p.fail(KeyKeys, `what begins with "[" must be a JSON array of strings, for example ["orders","payments"]`)
			return nil
		}
	} else {
		keys = strings.Split(value, ",")
		for i := range keys {
			keys[i] = strings.TrimSpace(keys[i])
		}
	}
	sorted := slices.Sorted(slices.Values(keys))
	switch {
	case len(keys) == 0 || len(keys) > MaxKeys:
		p.fail(KeyKeys, "it must name 1 to %d keys", MaxKeys)
	case slices.Contains(keys, ""):
		p.fail(KeyKeys, "one of the keys is empty: separate them by single commas, for example orders,payments")
	case len(slices.Compact(sorted)) < len(keys):
		p.fail(KeyKeys, "a key is named twice, and would be counted twice: name each once")
	}
	return keys
}

func renderKeys(keys []string) string {
	plain := func(key string) bool {
		return key != "" && !strings.ContainsAny(key, ",[") && strings.TrimSpace(key) == key
	}
	if slices.ContainsFunc(keys, func(key string) bool { return !plain(key) }) {
		array, err := json.Marshal(keys)
		if err == nil { // strings always can
			return string(array)
		}
	}
	return strings.Join(keys, ",")
}

// checkQueue refuses what does not go together; the rules are those of the CRD.
func (p *parser) checkQueue(t Trigger) {
	q := t.Queue
	if q.Preset != "" && q.Type != Auto {
		p.fail(KeyQueueType, "the preset %s says what the keys hold; leave queueType out", q.Preset)
	}
	if q.ConsumerGroup != "" && (q.Preset != "" || q.Type != Auto && q.Type != Stream) {
		p.fail(KeyConsumerGroup, "only a stream has consumer groups; leave it out, or set queueType to Stream and leave preset out")
	}
	if q.Score != AnyScore && (q.Preset != "" || q.Type != Auto && q.Type != SortedSet) {
		p.fail(KeyScore, "only a sorted set has scores; leave it out, or set queueType to SortedSet and leave preset out")
	}
	if f, isPreset := framework.Named(string(q.Preset)); q.KeyPrefix != "" && f.Prefix == nil {
		remedy := "leave it out, and write keys in full"
		if isPreset {
			remedy = "leave it out: the keys of " + f.Name + " have none"
		}
		prefixed := framework.Names(func(f framework.Framework) bool { return f.Prefix != nil })
		p.fail(KeyKeyPrefix, "it belongs to the presets %s; %s", joined(prefixed, "and"), remedy)
	}
	p.checkOptions(q)
	if t.Policy.MaxAge > 0 {
		p.checkMaxAge(q)
	}
	if q.Type == PubSub && t.Policy.MinReplicas == 0 {
		p.fail(KeyMinReplicas, "it must be at least 1 for queueType PubSub, because what is published while nobody listens is gone; raise it, or use a Stream")
	}
	if t.Redis.Mode == Cluster {
		p.checkClusterQueue(t)
	}
}

func (p *parser) checkMaxAge(q Queue) {
	f, isPreset := framework.Named(string(q.Preset))
	switch {
	case isPreset && !f.HasAges():
		p.fail(KeyMaxAge, noAge, f.Name)
	case !isPreset && (q.Type == List || q.Type == PubSub):
		p.fail(KeyMaxAge, noAge, "a "+string(q.Type))
	case q.Type == SortedSet && q.Score == AnyScore:
		p.fail(KeyMaxAge, "the age of a sorted set's members is known from their score only; set score to UnixSeconds or UnixMilliseconds, or leave maxAge out")
	}
}

const noAge = "nothing records when a message of %s came; leave it out, or use a Stream"

// checkClusterQueue refuses presets whose keys a cluster would spread over its nodes.
func (p *parser) checkClusterQueue(t Trigger) {
	if t.Queue.Preset == "" {
		return
	}
	f, _ := framework.Named(string(t.Queue.Preset))
	switch f.Cluster {
	case framework.OneNode:
	case framework.TaggedByUser:
		for _, name := range t.QueueKeys() {
			if !tagged(f.Render(f.Queue[0].Name, t.Queue.KeyPrefix, name)) {
				p.fail(KeyKeyPrefix, "on a cluster %s needs a hash tag, so that the keys of queue %q are on one node; make it %s, for example, or put the queue's name in braces",
					f.Name, p.shownQueue(name), f.Prefix.Tagged)
			}
		}
	case framework.TaggedByPrefix:
		if !tagged(t.Queue.KeyPrefix) {
			p.fail(KeyKeyPrefix, "on a cluster %s needs a hash tag in it, so that all its keys are on one node; make it %s, for example, here and in the workers' settings",
				f.Name, f.Prefix.Tagged)
		}
	case framework.SeveralNodes:
		p.fail(KeyPreset, "it does not work on a cluster, because its keys are on several nodes; use redisMode Standalone or Sentinel")
	default:
		p.fail(KeyPreset, "it is not known to work on a cluster; use redisMode Standalone or Sentinel")
	}
}

// tagged tells whether a key has a hash tag (Redis Cluster specification, "Hash tags").
func tagged(key string) bool {
	open := strings.IndexByte(key, '{')
	return open >= 0 && strings.IndexByte(key[open:], '}') > 1
}
