package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/utils/ptr"
	kjson "sigs.k8s.io/json"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
	"github.com/jawaracloud/pubsub-operator/translator/reading"
)

// completeTemplate adds what a channel's template asks for to the operator's pod template,
// which it changes.
func completeTemplate(p *plan.Plan, base *corev1ac.PodTemplateSpecApplyConfiguration) (*corev1ac.PodTemplateSpecApplyConfiguration, error) {
	wanted, err := readTemplate(p.Channel)
	if err != nil {
		return nil, &plan.Problem{Phase: v1.PhaseFailed, Reason: v1.ReasonInvalidSpec, Message: err.Error()}
	}
	if wanted.TopologySpreadConstraints == nil { // an empty list means none
		base.Spec.WithTopologySpreadConstraints(buildSpread(p.Channel)...)
	}
	addProbes(p, base.Spec, wanted)
	if p.Channel.Spec.Template == nil {
		return base, nil
	}
	dropEnv(base, wanted)
	merged, err := mergeTemplate(base, p.Channel.Spec.Template)
	if err != nil {
		return nil, &plan.Problem{Phase: v1.PhaseFailed, Reason: v1.ReasonInvalidSpec, Message: fmt.Sprintf("spec.template can't be merged: %v", err)}
	}
	restoreOrder(merged.Spec, base.Spec)
	return merged, nil
}

// readTemplate reads spec.template.spec strictly: a field that no PodSpec has would do
// nothing, silently.
func readTemplate(channel *v1.PubSubChannel) (corev1.PodSpec, error) {
	var pod corev1.PodSpec
	template := channel.Spec.Template
	if template == nil {
		return pod, nil
	}
	var problems []error
	if template.Metadata != nil {
		for name, value := range plan.SelectorLabels(channel) {
			if given, ok := template.Metadata.Labels[name]; ok && given != value {
				problems = append(problems, fmt.Errorf("spec.template.metadata.labels: %s is %q, but it selects the workers and is %q: leave it out", name, given, value))
			}
		}
	}
	spec := specOf(template)
	if costly := reading.TooCostly[corev1.PodSpec](spec, "spec.template.spec"); len(costly) > 0 {
		return pod, errors.Join(append(problems, costly...)...)
	}
	unknown, err := kjson.UnmarshalStrict(spec, &pod)
	if err != nil {
		unknown = []error{err}
		if named := reading.Problems[corev1.PodSpec](spec, "spec.template.spec"); len(named) > 0 {
			return pod, errors.Join(append(problems, named...)...)
		}
	}
	for _, err := range unknown {
		problems = append(problems, fmt.Errorf("spec.template.spec: %w: correct or remove it", err))
	}
	for _, container := range slices.Concat(pod.Containers, pod.InitContainers) {
		if container.Name == "" {
			problems = append(problems, fmt.Errorf("spec.template.spec: a container has no name: name the worker's %s, and any other as you like", v1.SubscriberContainer))
		}
	}
	return pod, errors.Join(append(problems, duplicates(pod)...)...)
}

// duplicates finds names that come twice: server-side apply fails over them without telling
// it from a failure of its own.
func duplicates(pod corev1.PodSpec) []error {
	var problems []error
	check := func(what string, names []string) {
		seen := map[string]bool{}
		for _, name := range names {
			if seen[name] {
				problems = append(problems, fmt.Errorf("spec.template.spec: %s %s is there twice: remove one", what, name))
			}
			seen[name] = true
		}
	}
	check("volume", names(pod.Volumes, func(v corev1.Volume) string { return v.Name }))
	check("imagePullSecret", names(pod.ImagePullSecrets, func(s corev1.LocalObjectReference) string { return s.Name }))
	check("hostAlias", names(pod.HostAliases, func(a corev1.HostAlias) string { return a.IP }))
	check("topologySpreadConstraint", names(pod.TopologySpreadConstraints, func(c corev1.TopologySpreadConstraint) string {
		return c.TopologyKey + " " + string(c.WhenUnsatisfiable)
	}))
	containers := slices.Concat(pod.Containers, pod.InitContainers)
	check("container", names(containers, func(c corev1.Container) string { return c.Name }))
	for _, c := range containers {
		check("in container "+c.Name+" env", names(c.Env, func(e corev1.EnvVar) string { return e.Name }))
		check("in container "+c.Name+" volumeMount", names(c.VolumeMounts, func(m corev1.VolumeMount) string { return m.MountPath }))
		check("in container "+c.Name+" port", names(c.Ports, func(p corev1.ContainerPort) string {
			return fmt.Sprintf("%d/%s", p.ContainerPort, protocolOf(p.Protocol))
		}))
	}
	return problems
}

func names[T any](items []T, name func(T) string) []string {
	var all []string
	for _, item := range items {
		all = append(all, name(item))
	}
	return all
}

// dropEnv takes out what the template sets itself: a merge by name would leave the value of
// one beside the valueFrom of the other.
func dropEnv(base *corev1ac.PodTemplateSpecApplyConfiguration, wanted corev1.PodSpec) {
	for _, container := range wanted.Containers {
		if container.Name != v1.SubscriberContainer {
			continue
		}
		own := &base.Spec.Containers[0]
		own.Env = slices.DeleteFunc(own.Env, func(e corev1ac.EnvVarApplyConfiguration) bool {
			return slices.ContainsFunc(container.Env, func(given corev1.EnvVar) bool { return given.Name == *e.Name })
		})
	}
}

// mergeTemplate merges by way of JSON, in which what is unset and what is empty differ.
func mergeTemplate(base *corev1ac.PodTemplateSpecApplyConfiguration, template *v1.PodTemplate) (*corev1ac.PodTemplateSpecApplyConfiguration, error) {
	original, err := json.Marshal(base)
	if err != nil {
		return nil, err
	}
	patch, err := json.Marshal(map[string]any{"metadata": ptr.Deref(template.Metadata, v1.PodMetadata{}), "spec": specOf(template)})
	if err != nil {
		return nil, err
	}
	result, err := strategicpatch.StrategicMergePatch(original, patch, corev1.PodTemplateSpec{})
	if err != nil {
		return nil, err
	}
	merged := corev1ac.PodTemplateSpec()
	if err := json.Unmarshal(result, merged); err != nil {
		return nil, err
	}
	return merged, nil
}

// specOf is spec.template.spec, which may be missing: null would take the operator's away.
func specOf(template *v1.PodTemplate) json.RawMessage {
	if template.Spec == nil || len(template.Spec.Raw) == 0 || string(template.Spec.Raw) == "null" {
		return json.RawMessage("{}")
	}
	return template.Spec.Raw
}

// restoreOrder puts what the operator made before what the template adds, which the merge
// has first: the worker is the container that kubectl logs shows unasked, and $(NAME) in an
// env's value refers only to what stands before it.
func restoreOrder(merged, base *corev1ac.PodSpecApplyConfiguration) {
	named := func(c corev1ac.ContainerApplyConfiguration) string { return ptr.Deref(c.Name, "") }
	baseFirst(merged.Containers, base.Containers, named)
	for i := range merged.Containers {
		if named(merged.Containers[i]) == v1.SubscriberContainer {
			baseFirst(merged.Containers[i].Env, base.Containers[0].Env, func(e corev1ac.EnvVarApplyConfiguration) string { return ptr.Deref(e.Name, "") })
		}
	}
}

// baseFirst sorts by the place in base; what is not there stays in its order, at the end.
func baseFirst[T any](merged, base []T, name func(T) string) {
	place := func(item T) int {
		at := slices.IndexFunc(base, func(b T) bool { return name(b) == name(item) })
		if at < 0 {
			return len(base)
		}
		return at
	}
	slices.SortStableFunc(merged, func(a, b T) int { return place(a) - place(b) })
}

func protocolOf(given corev1.Protocol) corev1.Protocol {
	if given == "" {
		return corev1.ProtocolTCP
	}
	return given
}

// buildSpread keeps workers apart, over zones and then nodes, where that is possible. It is
// there for a single worker too: adding it with the second one would restart the first.
func buildSpread(channel *v1.PubSubChannel) []*corev1ac.TopologySpreadConstraintApplyConfiguration {
	var spread []*corev1ac.TopologySpreadConstraintApplyConfiguration
	for _, key := range []string{corev1.LabelTopologyZone, corev1.LabelHostname} {
		spread = append(spread, corev1ac.TopologySpreadConstraint().
			WithMaxSkew(1).
			WithTopologyKey(key).
			WithWhenUnsatisfiable(corev1.ScheduleAnyway).
			WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(plan.SelectorLabels(channel))))
	}
	return spread
}
