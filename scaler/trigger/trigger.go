// Package trigger converts between the metadata of a KEDA trigger and one typed struct:
// the controller renders it, the scaler parses it.
package trigger

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

// DefaultRedisAddress is where the queue is when a trigger does not say.
const DefaultRedisAddress = "dragonfly:6379"

// Trigger is the configuration of one trigger, complete and valid.
type Trigger struct {
	ChannelName string
	Queue       Queue
	Redis       Redis
	Policy      policy.Spec

	// State that the metadata may give in place of the cluster; nil where it doesn't.
	CurrentReplicas *int32
	LastScaleTime   *time.Time
}

// Parse reads and checks a trigger's metadata. Keys of KEDA's own are passed over; an
// unknown key is an error, because a misspelt one would silently mean its default. A key
// with FromEnv at its end stands for the key without: KEDA sends it with the value that
// the target container's environment has (KEDA 2.21, pkg/scalers/external_scaler.go).
// The error names each key that is wrong, its value and the remedy. It shows no value of a
// key with FromEnv at its end, none of an unknown key, and of an address no user or password.
func Parse(metadata map[string]string) (Trigger, error) {
	p := parser{metadata: metadata}
	p.fromEnv()
	p.checkEnds()
	t := Trigger{Policy: policy.DefaultSpec()}
	for _, row := range table {
		row.read(&p, &t)
	}
	p.check(t)
	if len(p.errs) == 0 {
		// Only where every number could be read: a default in place of one that
		// couldn't would give a second, misleading error.
		p.errs = append(p.errs, p.policyError(t))
	}
	if err := errors.Join(p.errs...); err != nil {
		return Trigger{}, fmt.Errorf("trigger metadata: %w", err)
	}
	return t, nil
}

// Metadata renders the trigger; Parse reads it back unchanged. Every field of the policy
// is written, so that what a ScaledObject does can be read from it alone.
func (t Trigger) Metadata() map[string]string {
	m := map[string]string{}
	for _, row := range table {
		value := row.write(t)
		if value == "" {
			continue
		}
		key := row.key
		if row.secret {
			key += FromEnvSuffix
		}
		m[key] = value
	}
	return m
}

// noLimit stands for a step without limit where leaving the key out means a default.
const noLimit = "none"

// FromEnvSuffix ends a key whose value KEDA takes from the target's environment.
const FromEnvSuffix = "FromEnv"

type parser struct {
	metadata map[string]string
	others   []string // keys that are neither ours nor KEDA's
	errs     []error
	// isFromEnv is the keys of ours whose values came from an environment: nobody is shown those.
	isFromEnv map[string]bool
}

// fromEnv puts the keys that come from an environment in the place of their own.
func (p *parser) fromEnv() {
	p.others = others(p.metadata)
	for key := range hidden {
		if p.metadata[key] != "" {
			p.fail(key, "a ScaledObject is no place for a password: name a Secret by %s%s", key, "FromSecret")
		}
	}
	if len(p.others) == 0 {
		return // as a rule: a call of KEDA's need not go through the keys twice
	}
	p.metadata = maps.Clone(p.metadata)
	for _, key := range p.others {
		if !isFromEnv(key) {
			continue
		}
		own := strings.TrimSuffix(key, FromEnvSuffix)
		if p.metadata[own] != "" {
			p.fail(own, "%s gives it too: leave one of the two out", key)
			continue
		}
		p.metadata[own] = p.metadata[key]
		if p.isFromEnv == nil {
			p.isFromEnv = map[string]bool{}
		}
		p.isFromEnv[own] = true
	}
}

// FromEnv is the sorted keys whose values come from an environment.
func FromEnv(metadata map[string]string) []string {
	return slices.DeleteFunc(others(metadata), func(key string) bool { return !isFromEnv(key) })
}

func isFromEnv(key string) bool {
	own, ok := strings.CutSuffix(key, FromEnvSuffix)
	return ok && known[own]
}

// others is the sorted keys that are neither ours nor KEDA's.
func others(metadata map[string]string) []string {
	var keys []string
	for key := range metadata {
		if !known[key] && !kedaKeys[key] {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func (p *parser) text(key, byDefault string) string {
	if value := p.metadata[key]; value != "" {
		return value
	}
	return byDefault
}

func (p *parser) number(key string, byDefault int64, bits int) int64 {
	value, ok := p.metadata[key]
	if !ok || value == "" {
		return byDefault
	}
	number, err := strconv.ParseInt(value, 10, bits)
	if err != nil {
		p.fail(key, "it must be a whole number, for example %d", byDefault)
		return byDefault
	}
	return number
}

func (p *parser) step(key string, byDefault policy.Step) policy.Step {
	value := p.metadata[key]
	switch value {
	case "":
		return byDefault
	case noLimit:
		return policy.Step{}
	}
	step, err := policy.ParseStep(value)
	if err != nil {
		p.fail(key, `it must be a number of replicas from 1, a percentage such as "20%%", or "none"`)
	}
	return step
}

// currentReplicas is what the metadata gives in place of the cluster; nil where it doesn't.
func (p *parser) currentReplicas() *int32 {
	if p.metadata[KeyCurrentReplicas] == "" {
		return nil
	}
	replicas := int32(p.number(KeyCurrentReplicas, 1, 32))
	if replicas < 0 || replicas > policy.MaxReplicasLimit {
		p.fail(KeyCurrentReplicas, "it must be from 0 to %d", policy.MaxReplicasLimit)
	}
	return &replicas
}

// lastScaleTime is what the metadata gives in place of the cluster; nil where it doesn't.
func (p *parser) lastScaleTime() *time.Time {
	value := p.metadata[KeyLastScaleTime]
	if value == "" {
		return nil
	}
	last, err := time.Parse(time.RFC3339, value)
	if err != nil {
		p.fail(KeyLastScaleTime, "it must be a time of RFC 3339, for example 2026-01-02T15:04:05Z")
		return nil
	}
	return &last
}

func (p *parser) check(t Trigger) {
	if t.ChannelName == "" {
		p.fail(KeyChannelName, "it must be the key of the list, stream or sorted set, the Pub/Sub channel, or the name of a preset's queue")
	}
	p.checkSingleLine()
	p.checkQueue(t)
	p.checkRedis(t.Redis)
	p.checkUtilization(t)
	for _, key := range p.others {
		if isFromEnv(key) {
			continue
		}
		if ours, ok := ofKEDAsRedis[strings.TrimSuffix(key, FromEnvSuffix)]; ok {
			p.fail(key, "KEDA's own redis scalers call it so; here it is %s", ours)
			continue
		}
		p.fail(key, "there is no such key; the keys are %s", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
}

// oneOf refuses what is not among the values, the first of which is the default.
func oneOf[T ~string](p *parser, key string, values []T) T {
	value := T(p.text(key, string(values[0])))
	if !slices.Contains(values, value) {
		p.fail(key, "it must be %s", anyOf(values))
		return values[0]
	}
	return value
}

// anyOf joins what is not empty: "a, b or c".
func anyOf[T ~string](values []T) string {
	var words []string
	for _, value := range values {
		if value != "" {
			words = append(words, string(value))
		}
	}
	return joined(words, "or")
}

// joined is "a, b or c", or with another word before the last.
func joined(words []string, before string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + before + " " + words[len(words)-1]
}

func (p *parser) duration(key string) time.Duration {
	value := p.metadata[key]
	if value == "" {
		return 0
	}
	duration, err := time.ParseDuration(value)
	if err != nil || duration <= 0 {
		p.fail(key, "it must be a duration with its unit, for example 90s or 5m")
		return 0
	}
	return duration
}
