// Package limits is what channels may ask for by their templates and triggers, as whoever
// installs the operator has it. It is pure.
package limits

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// Flags of the controller that Limits are set by.
const (
	FlagPodSecurity                   = "pod-security"
	FlagServiceAccounts               = "allowed-service-accounts"
	FlagClusterTriggerAuthentications = "allowed-cluster-trigger-authentications"
	FlagKEDAIdentity                  = "allow-keda-identity"
)

// Limits are what channels may ask for in template and in triggers. The operator makes pods
// and ScaledObjects with its own rights, so without limits whoever may write channels could
// have what they may not make themselves. The zero value permits least but for PodSecurity,
// of which it is the default.
type Limits struct {
	// PodSecurity is the Pod Security Standard that the workers' pods must meet, in its latest
	// version: baseline (the default), restricted, or privileged, which is none.
	PodSecurity string
	// ServiceAccounts are those that workers may run as, or have a token or a certificate of:
	// patterns as of path.Match, either of a name, in any namespace, or of namespace/name. Without one,
	// workers run as their namespace's default, without its token.
	ServiceAccounts []string
	// ClusterTriggerAuthentications are those that triggers may refer to: patterns of a name,
	// for channels of any namespace, or of the channel's namespace/name.
	ClusterTriggerAuthentications []string
	// KEDAIdentity lets triggers have KEDA ask a cloud in its own name.
	KEDAIdentity bool
}

// Check says which of the limits is none, naming its flag.
func (l Limits) Check() error {
	var errs []error
	if _, err := l.podSecurity(); err != nil {
		errs = append(errs, err)
	}
	for flag, patterns := range map[string][]string{FlagServiceAccounts: l.ServiceAccounts, FlagClusterTriggerAuthentications: l.ClusterTriggerAuthentications} {
		for _, pattern := range patterns {
			if _, err := path.Match(pattern, ""); err != nil || pattern == "" || strings.Count(pattern, "/") > 1 {
				errs = append(errs, fmt.Errorf("--%s has %q: it must be a name, namespace/name, or a pattern of either, for example worker-* or shop/*", flag, pattern))
			}
		}
	}
	return errors.Join(errs...)
}

func (l Limits) podSecurity() (api.Level, error) {
	level, err := api.ParseLevel(cmp.Or(l.PodSecurity, string(api.LevelBaseline)))
	if err != nil {
		return level, fmt.Errorf("--%s is %q: it must be baseline, restricted or privileged", FlagPodSecurity, l.PodSecurity)
	}
	return level, nil
}

// podSecurityStandards evaluates pods as the API server's own admission plugin does.
var podSecurityStandards policy.Evaluator = mustEvaluator()

func mustEvaluator() policy.Evaluator {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		panic(fmt.Sprintf("the Pod Security Standards of the library contradict themselves: %v", err))
	}
	return evaluator
}

// CheckPod returns a problem where the pods that a channel's template makes are not
// permitted. What the operator makes without a template always is: it meets the restricted
// standard, and has no token.
func (l Limits) CheckPod(channel *v1.PubSubChannel, template *corev1ac.PodTemplateSpecApplyConfiguration) error {
	if channel.Spec.Template == nil {
		return nil
	}
	data, err := json.Marshal(template)
	if err != nil {
		return fmt.Errorf("checking spec.template: %w", err)
	}
	var pod corev1.PodTemplateSpec
	if err := json.Unmarshal(data, &pod); err != nil {
		return fmt.Errorf("checking spec.template: %w", err)
	}
	level, err := l.podSecurity()
	if err != nil {
		return err
	}
	refused := l.refusedSecurity(level, &pod)
	if level != api.LevelPrivileged {
		refused = append(refused, refusedPlacement(&pod.Spec)...)
	}
	return notPermitted(append(refused, l.refusedServiceAccount(channel.Namespace, &pod.Spec)...))
}

// refusedSecurity is what the Pod Security Standard forbids.
func (l Limits) refusedSecurity(level api.Level, pod *corev1.PodTemplateSpec) (refused []string) {
	version := api.LevelVersion{Level: level, Version: api.LatestVersion()}
	result := policy.AggregateCheckResults(podSecurityStandards.EvaluatePod(version, &metav1.ObjectMeta{Labels: pod.Labels, Annotations: pod.Annotations}, &pod.Spec))
	if result.Allowed {
		return nil
	}
	return []string{fmt.Sprintf("spec.template makes pods that the Pod Security Standard %s forbids: %s: %s",
		level, result.ForbiddenDetail(), remedy("take that out", "set", "podSecurity", FlagPodSecurity))}
}

// refusedPlacement is what passes the scheduler over, or pushes others' pods out; the
// standards say nothing of it.
func refusedPlacement(pod *corev1.PodSpec) (refused []string) {
	if pod.NodeName != "" {
		refused = append(refused, fmt.Sprintf("spec.template.spec.nodeName is %q, which passes the scheduler and every taint over: %s",
			pod.NodeName, remedy("use nodeSelector", "set", "podSecurity", FlagPodSecurity)))
	}
	// Prefix of Kubernetes' own (pkg/apis/scheduling/types.go, SystemPriorityClassPrefix).
	if strings.HasPrefix(pod.PriorityClassName, "system-") {
		refused = append(refused, fmt.Sprintf("spec.template.spec.priorityClassName is %q, which is for parts of the cluster itself: %s",
			pod.PriorityClassName, remedy("use another", "set", "podSecurity", FlagPodSecurity)))
	}
	return refused
}

// refusedServiceAccount is an identity that workers may not have.
func (l Limits) refusedServiceAccount(namespace string, pod *corev1.PodSpec) (refused []string) {
	const byDefault = "default" // (Kubernetes 1.36, plugin/pkg/admission/serviceaccount, DefaultServiceAccountName)
	name := cmp.Or(pod.ServiceAccountName, pod.DeprecatedServiceAccount, byDefault)
	if permitted(l.ServiceAccounts, namespace, name) {
		return nil
	}
	refuse := func(field string, value any, what, instead string) {
		refused = append(refused, fmt.Sprintf("spec.template.spec.%s is %v: the workers of namespace %s may not %s %q: %s",
			field, value, namespace, what, name, remedy(instead, "add it to", "serviceAccounts", FlagServiceAccounts)))
	}
	if name != byDefault {
		refuse("serviceAccountName", fmt.Sprintf("%q", name), "run as", "leave it out")
	}
	// Taken away by the template, it means true.
	if ptr.Deref(pod.AutomountServiceAccountToken, true) {
		refuse("automountServiceAccountToken", true, "have a token of", "leave it out")
	}
	for _, volume := range pod.Volumes {
		if volume.Projected == nil {
			continue
		}
		if slices.ContainsFunc(volume.Projected.Sources, func(s corev1.VolumeProjection) bool { return s.ServiceAccountToken != nil }) {
			refuse("volumes "+volume.Name, "a serviceAccountToken", "have a token of", "take it out")
		}
		// A signer certifies the pod and its account, to whoever trusts that signer, the API
		// server included (k8s.io/api 0.36, certificates/v1beta1, PodCertificateRequestSpec).
		if slices.ContainsFunc(volume.Projected.Sources, func(s corev1.VolumeProjection) bool { return s.PodCertificate != nil }) {
			refuse("volumes "+volume.Name, "a podCertificate", "have a certificate of", "take it out")
		}
	}
	return refused
}

// CheckTriggers returns a problem where a channel's further triggers are not permitted.
func (l Limits) CheckTriggers(p *plan.Plan) error {
	var refused []string
	for i, trigger := range p.AutoScaling.Triggers {
		at := fmt.Sprintf("spec.autoScaling.triggers[%d]", i)
		if ref := trigger.AuthenticationRef; ref != nil && ref.Kind != "" && ref.Kind != "TriggerAuthentication" &&
			!permitted(l.ClusterTriggerAuthentications, p.Channel.Namespace, ref.Name) {
			refused = append(refused, fmt.Sprintf("%s.authenticationRef is %s %q, which channels of namespace %s may not use: %s", at, ref.Kind, ref.Name, p.Channel.Namespace,
				remedy("use a TriggerAuthentication of the namespace", "add it to", "clusterTriggerAuthentications", FlagClusterTriggerAuthentications)))
		}
		for _, key := range identityKeys {
			if value := trigger.Metadata[key]; value != "" && value != "pod" && !l.KEDAIdentity {
				refused = append(refused, fmt.Sprintf("%s.metadata.%s is %q, which has KEDA ask in its own name: %s", at, key, value,
					remedy("use an authenticationRef", "set", "kedaIdentity", FlagKEDAIdentity)))
			}
		}
	}
	return notPermitted(refused)
}

// identityKeys are those of a trigger's metadata that let KEDA use an identity of its own: a
// cloud's role of its pods, or a file in them (KEDA 2.21, pkg/scalers/aws/aws_common.go and
// gcp/gcp_common.go).
var identityKeys = []string{"identityOwner", "credentialsFromEnvFile"}

// permitted reports whether one of the patterns, which Check has seen, is of a name.
func permitted(patterns []string, namespace, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		subject := name
		if strings.Contains(pattern, "/") {
			subject = namespace + "/" + name
		}
		ok, err := path.Match(pattern, subject)
		return ok && err == nil
	})
}

// remedy says what the channel's author can do, and what the operator's administrator.
func remedy(author, change, value, flag string) string {
	return fmt.Sprintf("%s, or have whoever installs the operator %s controller.limits.%s of its chart (--%s)", author, change, value, flag)
}

func notPermitted(refused []string) error {
	if len(refused) == 0 {
		return nil
	}
	return &plan.Problem{Phase: v1.PhaseFailed, Reason: v1.ReasonNotPermitted, Message: strings.Join(refused, "\n") + "\nwhat exists already stays as it is"}
}
