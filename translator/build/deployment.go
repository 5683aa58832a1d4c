// Package build makes of a plan what the API server is asked for: a channel's Deployment, its
// PodDisruptionBudget and its ScaledObject. It is pure.
package build

import (
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// terminationGrace is what a stopped worker gets beyond messageTimeout, in seconds, to
// acknowledge what it finished and to close its connections.
const terminationGrace = 5

// ownerReference makes the channel the controller of its children, so that they go with
// it, and go first where the deletion is in the foreground.
func ownerReference(channel *v1.PubSubChannel) *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(v1.GroupVersion.String()).
		WithKind("PubSubChannel").
		WithName(channel.Name).
		WithUID(channel.UID).
		WithController(true).
		WithBlockOwnerDeletion(true)
}

// Deployment is the Deployment of a channel's workers, without spec.replicas: that
// field has an owner of its own (see translator/apply, replicas.go).
func Deployment(p *plan.Plan) (*appsv1ac.DeploymentApplyConfiguration, error) {
	container, err := buildContainer(p)
	if err != nil {
		return nil, err
	}
	pod := corev1ac.PodSpec().
		WithContainers(container).
		WithVolumes(redisVolumes(p)...).
		WithTerminationGracePeriodSeconds(int64(p.MessageTimeout) + terminationGrace).
		// Workers talk to the queue, not to Kubernetes.
		WithAutomountServiceAccountToken(false).
		// No runAsUser: the image says which user it runs as, and that differs.
		WithSecurityContext(corev1ac.PodSecurityContext().
			WithRunAsNonRoot(true).
			WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault)))
	for _, name := range p.PullSecrets {
		pod.WithImagePullSecrets(corev1ac.LocalObjectReference().WithName(name))
	}
	template, err := completeTemplate(p, corev1ac.PodTemplateSpec().
		WithLabels(plan.SelectorLabels(p.Channel)).
		WithLabels(plan.RecommendedLabels(p.Channel)).
		WithSpec(pod))
	if err != nil {
		return nil, err
	}
	completeDefaults(p, template.Spec)
	return appsv1ac.Deployment(plan.DeploymentName(p.Channel), p.Channel.Namespace).
		WithLabels(plan.SelectorLabels(p.Channel)).
		WithLabels(plan.RecommendedLabels(p.Channel)).
		WithOwnerReferences(ownerReference(p.Channel)).
		WithSpec(appsv1ac.DeploymentSpec().
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(plan.SelectorLabels(p.Channel))).
			WithTemplate(template)), nil
}

func buildContainer(p *plan.Plan) (*corev1ac.ContainerApplyConfiguration, error) {
	env, err := buildEnv(p)
	if err != nil {
		return nil, err
	}
	container := corev1ac.Container().
		WithName(v1.SubscriberContainer).
		WithImage(p.Image).
		WithEnv(env...).
		WithVolumeMounts(redisMounts(p)...).
		// What the restricted Pod Security Standard asks of any image. A read-only root
		// filesystem is not among it, and would break images that write to their own
		// files: that is their author's choice, and a pod has no place here to mount a
		// writable folder instead.
		WithSecurityContext(corev1ac.SecurityContext().
			WithAllowPrivilegeEscalation(false).
			WithCapabilities(corev1ac.Capabilities().WithDrop("ALL")))
	if resources := buildResources(p.Channel.Spec.Resources); resources != nil {
		container.WithResources(resources)
	}
	return container, nil
}

// buildResources is nil where nothing is asked for: an empty field would be owned, and
// compared, for nothing.
func buildResources(wanted corev1.ResourceRequirements) *corev1ac.ResourceRequirementsApplyConfiguration {
	if len(wanted.Limits) == 0 && len(wanted.Requests) == 0 && len(wanted.Claims) == 0 {
		return nil
	}
	resources := corev1ac.ResourceRequirements()
	if len(wanted.Limits) > 0 {
		resources.WithLimits(wanted.Limits)
	}
	if len(wanted.Requests) > 0 {
		resources.WithRequests(wanted.Requests)
	}
	for _, wanted := range wanted.Claims {
		claim := corev1ac.ResourceClaim().WithName(wanted.Name)
		if wanted.Request != "" {
			claim.WithRequest(wanted.Request)
		}
		resources.WithClaims(claim)
	}
	return resources
}

// buildEnv is what the operator tells the workers, then spec.env in its own order. Where
// both have a name only spec.env's is there: server-side apply refuses a name that comes
// twice, and $(NAME) in a value refers only to what stands before it.
func buildEnv(p *plan.Plan) ([]*corev1ac.EnvVarApplyConfiguration, error) {
	spec := p.Channel.Spec
	env := slices.DeleteFunc(operatorsEnv(p), func(e *corev1ac.EnvVarApplyConfiguration) bool {
		return slices.ContainsFunc(spec.Env, func(user corev1.EnvVar) bool { return user.Name == *e.Name })
	})
	for _, user := range spec.Env {
		// The two types have the same JSON, and the apply configuration keeps apart what
		// is unset and what is empty.
		data, err := json.Marshal(user)
		if err != nil {
			return nil, fmt.Errorf("spec.env %s: %w", user.Name, err)
		}
		e := corev1ac.EnvVar()
		if err := json.Unmarshal(data, e); err != nil {
			return nil, fmt.Errorf("spec.env %s: %w", user.Name, err)
		}
		env = append(env, e)
	}
	return env, nil
}
