package autoscaling

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

const (
	// envConcurrency tells our subscriber how many messages it works on at once
	// (cmd/subscriber/internal/config, EnvConcurrency).
	envConcurrency = "CONCURRENCY"
	// maxConcurrency is the most that our subscriber takes there.
	maxConcurrency = 1000
)

// WorkerConcurrency is how many messages one worker of a channel works on at once, 1 to
// 10,000: spec.autoScaling.workerConcurrency; if that is unset, CONCURRENCY of our own image's
// environment, as the pod template has it, and 1 for any other image. The error says that it is
// in the environment, but can't be read there, and what to do; the number is then 1.
func WorkerConcurrency(spec *v1.PubSubChannelSpec) (int32, error) {
	if spec.AutoScaling != nil && spec.AutoScaling.WorkerConcurrency > 0 {
		return spec.AutoScaling.WorkerConcurrency, nil
	}
	image, given, of := spec.Image, concurrency(spec.Env), "spec.env"
	if container := templatesWorker(spec.Template); container != nil {
		image = cmp.Or(container.Image, image)
		for _, env := range container.Env {
			if env.Name == envConcurrency {
				given, of = &setting{env.Value, len(env.ValueFrom) > 0 && string(env.ValueFrom) != "null"}, "spec.template"
			}
		}
	}
	if given == nil || !v1.IsSubscriber(image) {
		return 1, nil
	}
	const remedy = "set spec.autoScaling.workerConcurrency to the number of messages that one worker works on at once"
	if given.fromElsewhere {
		return 1, fmt.Errorf("the policy Utilization needs %s, which comes from elsewhere (valueFrom in %s) and is not read: %s", envConcurrency, of, remedy)
	}
	if given.value == "" { // our subscriber takes that for unset
		return 1, nil
	}
	number, err := strconv.ParseInt(given.value, 10, 32)
	if err != nil || number < 1 || number > maxConcurrency {
		return 1, fmt.Errorf("the policy Utilization needs %s, which is %q in %s: make it a whole number from 1 to %d, or %s", envConcurrency, given.value, of, maxConcurrency, remedy)
	}
	return int32(number), nil
}

// setting is CONCURRENCY of an environment.
type setting struct {
	value         string
	fromElsewhere bool // from a Secret, for example
}

// concurrency is CONCURRENCY of spec.env; nil where it is not there.
func concurrency(env []corev1.EnvVar) *setting {
	for _, e := range env {
		if e.Name == envConcurrency {
			return &setting{e.Value, e.ValueFrom != nil}
		}
	}
	return nil
}

// worker is what counts of a container here. It is decoded without the rest, whose quantities
// may be costly.
type worker struct {
	Name  string   `json:"name"`
	Image string   `json:"image"`
	Env   []envVar `json:"env"`
}

type envVar struct {
	Name      string          `json:"name"`
	Value     string          `json:"value"`
	ValueFrom json.RawMessage `json:"valueFrom"`
}

// templatesWorker is the worker's container in spec.template; nil where it has none, and for a
// template that can't be read, which the builders tell.
func templatesWorker(template *v1.PodTemplate) *worker {
	if template == nil || template.Spec == nil {
		return nil
	}
	var pod struct {
		Containers []worker `json:"containers"`
	}
	if json.Unmarshal(template.Spec.Raw, &pod) != nil {
		return nil
	}
	for i := range pod.Containers {
		if pod.Containers[i].Name == v1.SubscriberContainer {
			return &pod.Containers[i]
		}
	}
	return nil
}
