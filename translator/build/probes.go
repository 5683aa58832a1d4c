package build

import (
	"cmp"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

const (
	// envHealthPort is where our subscriber serves /healthz and /readyz, by default
	// defaultHealthPort (cmd/subscriber/internal/config).
	envHealthPort     = "HEALTH_PORT"
	defaultHealthPort = 9091
)

// addProbes has the kubelet ask our subscriber for its health (v1.IsSubscriber). Of other images
// nobody knows where they tell it, or whether they do. A probe that the template has, or has as null, is the
// template's. A worker is restarted only after a minute without an answer: its messages would
// be delivered again.
func addProbes(p *plan.Plan, pod *corev1ac.PodSpecApplyConfiguration, wanted corev1.PodSpec) {
	var own corev1.Container // what the template says of the worker
	if at := slices.IndexFunc(wanted.Containers, func(c corev1.Container) bool { return c.Name == v1.SubscriberContainer }); at >= 0 {
		own = wanted.Containers[at]
	}
	if !v1.IsSubscriber(cmp.Or(own.Image, p.Image)) {
		return
	}
	port, known := healthPort(p.Channel.Spec.Env, own.Env, wanted)
	if !known {
		return
	}
	ask := func(path string) *corev1ac.ProbeApplyConfiguration {
		return corev1ac.Probe().WithSuccessThreshold(1).WithTimeoutSeconds(5).
			WithHTTPGet(corev1ac.HTTPGetAction().WithPath(path).WithPort(intstr.FromInt32(port)).WithScheme(corev1.URISchemeHTTP))
	}
	container := &pod.Containers[0]
	if own.LivenessProbe == nil {
		container.WithLivenessProbe(ask("/healthz").WithPeriodSeconds(10).WithFailureThreshold(6))
	}
	if own.ReadinessProbe == nil {
		container.WithReadinessProbe(ask("/readyz").WithPeriodSeconds(5).WithFailureThreshold(3))
	}
}

// healthPort is the port that the worker listens on. It is not known where the variable is not a
// port's number, such as 0 for any. Where nobody chose it, it may be another container's if there are
// any, or the node's: the worker then goes on without it.
func healthPort(channel, template []corev1.EnvVar, pod corev1.PodSpec) (port int32, known bool) {
	chosen := slices.Concat(template, channel) // the template's counts
	at := slices.IndexFunc(chosen, func(e corev1.EnvVar) bool { return e.Name == envHealthPort })
	if at < 0 || chosen[at].Value == "" && chosen[at].ValueFrom == nil {
		others := slices.ContainsFunc(pod.Containers, func(c corev1.Container) bool { return c.Name != v1.SubscriberContainer })
		return defaultHealthPort, !others && len(pod.InitContainers) == 0 && !pod.HostNetwork
	}
	number, err := strconv.ParseUint(chosen[at].Value, 10, 16)
	return int32(number), err == nil && number > 0
}
