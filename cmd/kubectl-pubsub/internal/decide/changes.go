package decide

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// rule is what the CRD asks of a field: an error, or nil for a value that it lets through. A
// test holds the numbers against the CRD.
type rule func(value any) error

// settable are the fields of spec.autoScaling on which a decision depends.
var settable = map[string]rule{
	"enabled":               isBool,
	"policy":                oneOf(string(v1.PolicyThreshold), string(v1.PolicyUtilization)),
	"minReplicas":           within(0, 1_000_000),
	"maxReplicas":           within(1, 1_000_000),
	"targetQueueDepth":      within(1, 1_000_000_000),
	"scaleUpThreshold":      within(1, 1000),
	"scaleDownThreshold":    within(1, 100),
	"cooldownPeriod":        within(0, 86_400),
	"activationQueueDepth":  within(0, 1_000_000_000),
	"maxScaleUpStep":        step(`^[1-9][0-9]{0,3}%$`, "a percentage from 1% to 9999%"),
	"maxScaleDownStep":      step(`^([1-9][0-9]?|100)%$`, "a percentage from 1% to 100%"),
	"workerConcurrency":     within(1, 10_000),
	"utilization.target":    within(2, 99),
	"utilization.scaleUp":   within(3, 100),
	"utilization.scaleDown": within(1, 98),
	"utilization.window":    durationWithin(15*time.Second, time.Hour),
}

// Settable are the names of Overrides.Changes, in order.
func Settable() []string { return slices.Sorted(maps.Keys(settable)) }

// apply is the channel with changes of its spec.autoScaling, which have passed the rules that
// the API server has for them.
func apply(channel *v1.PubSubChannel, changes map[string]any) (*v1.PubSubChannel, error) {
	if len(changes) == 0 {
		return channel, nil
	}
	flat := map[string]any{}
	for name, value := range changes {
		flatten(flat, name, value)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(flat)) {
		errs = append(errs, check(name, flat[name]))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	fields := map[string]any{}
	if channel.Spec.AutoScaling != nil {
		if err := convert(channel.Spec.AutoScaling, &fields); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(flat)) { // utilization comes before its fields
		set(fields, strings.Split(name, "."), flat[name])
	}
	changed := channel.DeepCopy()
	changed.Spec.AutoScaling = &v1.AutoScalingSpec{}
	if err := convert(fields, changed.Spec.AutoScaling); err != nil {
		return nil, err
	}
	return changed, checkTogether(changed)
}

// flatten gives the fields of an object names of their own: utilization.target.
func flatten(flat map[string]any, name string, value any) {
	fields, object := value.(map[string]any)
	if !object {
		flat[name] = value
		return
	}
	for field, value := range fields {
		flatten(flat, name+"."+field, value)
	}
}

func check(name string, value any) error {
	rule, known := settable[name]
	if value == nil && (known || name == "utilization") {
		return nil // the default
	}
	if !known {
		return fmt.Errorf("spec.autoScaling.%s does not change a decision, or there is no such field: name one of %s", name, strings.Join(Settable(), ", "))
	}
	if err := rule(value); err != nil {
		return fmt.Errorf("spec.autoScaling.%s is %s: %w", name, asJSON(value), err)
	}
	return nil
}

// set sets a field at a path, or removes it.
func set(fields map[string]any, path []string, value any) {
	if len(path) == 1 {
		if value == nil {
			delete(fields, path[0])
			return
		}
		fields[path[0]] = value
		return
	}
	inner, ok := fields[path[0]].(map[string]any)
	if !ok {
		if value == nil {
			return
		}
		inner = map[string]any{}
		fields[path[0]] = inner
	}
	set(inner, path[1:], value)
}

// checkTogether has the rules about several fields. The policy's own are Spec.Validate's.
func checkTogether(channel *v1.PubSubChannel) error {
	p, auto := plan.Of(channel), channel.Spec.AutoScaling
	err := p.Trigger.Policy.Validate()
	if auto.Utilization != nil && auto.Policy != v1.PolicyUtilization {
		err = errors.Join(err, errors.New("spec.autoScaling.utilization configures the policy Utilization: set policy to Utilization, or utilization to null"))
	}
	for _, schedule := range auto.Schedules {
		if schedule.MinReplicas > p.Trigger.Policy.MaxReplicas {
			err = errors.Join(err, fmt.Errorf("minReplicas of the schedule %s is %d, greater than maxReplicas %d: raise maxReplicas", schedule.Name, schedule.MinReplicas, p.Trigger.Policy.MaxReplicas))
		}
	}
	queue := channel.Spec.Queue
	if queue == nil {
		return err
	}
	if auto.Enabled && queue.Type == v1.QueueTypePubSub && p.Trigger.Policy.MinReplicas < 1 {
		err = errors.Join(err, errors.New("minReplicas is 0: it must be at least 1 for a queue of type PubSub, because what is published while nobody listens is gone: raise minReplicas"))
	}
	if auto.Policy == v1.PolicyUtilization && (queue.Type == v1.QueueTypeSortedSet || queue.Type == v1.QueueTypePubSub || queue.Preset == v1.PresetArq || queue.InFlight == v1.InFlightNone) {
		err = errors.Join(err, errors.New("policy is Utilization, which needs work in flight, and a SortedSet, PubSub, Arq, and Celery with inFlight None never show it: set policy to Threshold"))
	}
	return err
}

// convert passes from one form to another by way of JSON. A number keeps all its digits.
func convert(from, to any) error {
	data, err := json.Marshal(from)
	if err != nil {
		return fmt.Errorf("reading spec.autoScaling: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(to); err != nil {
		return fmt.Errorf("reading spec.autoScaling: %w", err)
	}
	return nil
}

func asJSON(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(data)
}

func isBool(value any) error {
	if _, ok := value.(bool); !ok {
		return errors.New("it must be true or false")
	}
	return nil
}

func oneOf(known ...string) rule {
	return func(value any) error {
		if text, ok := value.(string); !ok || !slices.Contains(known, text) {
			return fmt.Errorf("it must be %s", strings.Join(known, " or "))
		}
		return nil
	}
}

// whole is a number of Go's or of JSON's, if it is a whole one.
func whole(value any) (number int64, ok bool) {
	switch value.(type) {
	case int, int32, int64, float64, json.Number:
	default:
		return 0, false
	}
	number, err := strconv.ParseInt(asJSON(value), 10, 64)
	return number, err == nil
}

func within(least, most int64) rule {
	return func(value any) error {
		if number, ok := whole(value); !ok || number < least || number > most {
			return fmt.Errorf("it must be a whole number from %d to %d", least, most)
		}
		return nil
	}
}

// mostStep is the greatest number of a step.
const mostStep = 1_000_000

func step(pattern, words string) rule {
	percentage := regexp.MustCompile(pattern)
	return func(value any) error {
		if text, ok := value.(string); ok && percentage.MatchString(text) {
			return nil
		}
		if number, ok := whole(value); ok && number >= 1 && number <= mostStep {
			return nil
		}
		return fmt.Errorf("it must be a number from 1 to %d, or %s", mostStep, words)
	}
}

// durationText is the CRD's pattern for a duration.
var durationText = regexp.MustCompile(`^([0-9]+([.][0-9]+)?(ms|s|m|h))+$`)

func durationWithin(least, most time.Duration) rule {
	return func(value any) error {
		text, ok := value.(string)
		length, err := time.ParseDuration(text)
		if !ok || err != nil || !durationText.MatchString(text) || length < least || length > most {
			return fmt.Errorf("it must be a duration from %s to %s, for example 2m", least, most)
		}
		return nil
	}
}
