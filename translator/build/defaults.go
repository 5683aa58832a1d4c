package build

import (
	"cmp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"

	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// completeDefaults fills in what the API server would fill in from another field. What it fills in
// is nobody's, so it would stay as it is when that other field changes or goes, and the pods
// would follow from what a channel once said. (What it fills in with a constant may stay.)
func completeDefaults(p *plan.Plan, pod *corev1ac.PodSpecApplyConfiguration) {
	completePorts(pod)
	completeServiceAccount(pod)
	for _, containers := range [][]corev1ac.ContainerApplyConfiguration{pod.Containers, pod.InitContainers} {
		for i := range containers {
			completePullPolicy(p, &containers[i])
		}
	}
	for i := range pod.Volumes {
		completeVolume(&pod.Volumes[i])
	}
}

// completeVolume makes a volume without a source the empty folder that it is to the API
// server: beside that it would take no other source later. An image always has a pull policy
// that is ours: without anything of ours in it, it would be no source at all.
func completeVolume(volume *corev1ac.VolumeApplyConfiguration) {
	source := &volume.VolumeSourceApplyConfiguration
	if image := source.Image; image != nil && image.PullPolicy == nil {
		policy := corev1.PullIfNotPresent // the API server's for no name
		if name := ptr.Deref(image.Reference, ""); name != "" {
			policy = pullPolicyOf(name)
		}
		image.WithPullPolicy(policy)
	}
	if *source == (corev1ac.VolumeSourceApplyConfiguration{}) {
		source.EmptyDir = corev1ac.EmptyDirVolumeSource()
	}
}

// completePullPolicy is the API server's rule (Kubernetes 1.36, pkg/apis/core/v1/defaults.go,
// SetDefaults_Container, and pkg/util/parsers).
// The installation's own goes with the installation's image.
func completePullPolicy(p *plan.Plan, container *corev1ac.ContainerApplyConfiguration) {
	if container.ImagePullPolicy != nil || container.Image == nil {
		return
	}
	if p.PullPolicy != "" && *container.Image == p.Image {
		container.WithImagePullPolicy(p.PullPolicy)
		return
	}
	container.WithImagePullPolicy(pullPolicyOf(*container.Image))
}

func pullPolicyOf(image string) corev1.PullPolicy {
	named, _, digest := strings.Cut(image, "@")
	_, tag, tagged := strings.Cut(named[strings.LastIndex(named, "/")+1:], ":")
	if tag == "latest" || !tagged && !digest {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

// completePorts fills in the protocol, by which server-side apply tells ports apart.
func completePorts(pod *corev1ac.PodSpecApplyConfiguration) {
	for _, containers := range [][]corev1ac.ContainerApplyConfiguration{pod.Containers, pod.InitContainers} {
		for i := range containers {
			for j := range containers[i].Ports {
				if port := &containers[i].Ports[j]; port.Protocol == nil {
					port.WithProtocol(corev1.ProtocolTCP)
				}
			}
		}
	}
}

// completeServiceAccount sets the field's deprecated name as well. The API server keeps the
// two alike, and would restore the one from the other when a template that set one is gone
// (Kubernetes 1.36, pkg/apis/core/v1/conversion.go).
func completeServiceAccount(pod *corev1ac.PodSpecApplyConfiguration) {
	if name := cmp.Or(ptr.Deref(pod.ServiceAccountName, ""), ptr.Deref(pod.DeprecatedServiceAccount, "")); name != "" {
		pod.WithServiceAccountName(name).WithDeprecatedServiceAccount(name)
	}
}
