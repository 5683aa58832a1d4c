// Package diagnosis tells from a channel's pods, as kubelets report them, what keeps its workers
// from being up. It is pure.
package diagnosis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
)

// Trouble is the worst thing that keeps workers from being up.
type Trouble struct {
	Severity Severity
	Cause    string // what is wrong where; it stays the same while the details may change
	Details  string // a message of Kubernetes', or what to do; may be empty
	Vague    bool   // details that were told before of the same cause say more
	Workers  int32  // how many have it
	Failed   bool   // it is a crash loop, and no worker of the template as it is is well
}

// Severity ranks what a pod can have. A crash loop is the worst, because nothing but a
// change ends it.
type Severity int

const (
	TakesItsTime Severity = iota // or has a readiness probe that never succeeds: nobody can tell
	waitsForVolumes
	Unschedulable
	rejected
	NotStarting
	CrashLoop
)

// Reason is that of the Ready condition.
func (s Severity) Reason() string {
	switch s {
	case CrashLoop:
		return v1.ReasonWorkersFailing
	case NotStarting, rejected, waitsForVolumes:
		return v1.ReasonWorkersNotStarting
	case Unschedulable:
		return v1.ReasonWorkersUnschedulable
	case TakesItsTime:
	}
	return v1.ReasonProgressing
}

// symptom is what one pod has.
type symptom struct {
	severity       Severity
	cause, details string
	vague          bool
}

// Circumstances is what a trouble depends on beside the pods.
type Circumstances struct {
	Updated int32  // the Deployment's status.updatedReplicas
	Told    string // the message of Ready
	Failing bool   // Ready tells of a crash loop already
	Logs    string // the command that shows what a container said last, without the container
	Now     time.Time
}

// Worst is the worst trouble of the pods that were made from the Deployment's template as it is;
// nil where they have none. Pods of the template before are on their way out.
func (d Circumstances) Worst(pods []corev1.Pod) *Trouble {
	var symptoms []symptom
	well := false
	for _, pod := range currentPods(pods, d.Updated, d.Now) {
		s := d.ofPod(pod)
		if s == nil {
			well = well || podReady(pod)
			continue
		}
		symptoms = append(symptoms, *s)
	}
	if len(symptoms) == 0 {
		return nil
	}
	worst := slices.MaxFunc(symptoms, func(a, b symptom) int { return cmp.Compare(a.severity, b.severity) }).severity
	counts := map[string]int32{}
	for _, s := range symptoms {
		if s.severity == worst {
			counts[s.cause]++
		}
	}
	symptoms = slices.DeleteFunc(symptoms, func(s symptom) bool { return s.severity != worst })
	// What is told already stays, so that two causes don't take turns. Among pods with the
	// same cause the oldest gives the details.
	s := slices.MaxFunc(symptoms, func(a, b symptom) int {
		return cmp.Or(
			compareBool(TellsOf(d.Told, a.cause), TellsOf(d.Told, b.cause)),
			cmp.Compare(counts[a.cause], counts[b.cause]),
			cmp.Compare(b.cause, a.cause))
	})
	return &Trouble{
		Severity: worst, Cause: s.cause, Details: s.details, Vague: s.vague,
		Workers: counts[s.cause], Failed: worst == CrashLoop && !well,
	}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

// TellsOf reports whether a message of Ready is about the cause, whatever the numbers.
func TellsOf(message, cause string) bool {
	return strings.Contains(inspect.WithoutDigits(message), inspect.WithoutDigits(cause))
}

// rejectedFor is how long after its creation a pod that ended as a whole counts: a kubelet
// that refuses pods does so at once, and the ReplicaSet makes another. Those that ended
// later, evicted for example, may lie about for months.
const rejectedFor = 2 * time.Minute

// currentPods are the pods of the template as it is, oldest first. A Deployment does not tell
// its template's hash; its status tells how many pods have it. Where that does not say which,
// it is the hash whose first pod is the youngest.
func currentPods(pods []corev1.Pod, updated int32, now time.Time) []*corev1.Pod {
	byHash := map[string][]*corev1.Pod{}
	active := map[string]int32{}
	for i := range pods {
		pod := &pods[i]
		ended := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
		if pod.DeletionTimestamp != nil || ended && now.Sub(pod.CreationTimestamp.Time) > rejectedFor {
			continue
		}
		hash := pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
		byHash[hash] = append(byHash[hash], pod)
		if !ended {
			active[hash]++
		}
	}
	var current []*corev1.Pod
	for hash, group := range byHash {
		slices.SortFunc(group, func(a, b *corev1.Pod) int {
			return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
		})
		if current == nil || cmp.Or(
			compareBool(active[hash] == updated, active[hashOf(current)] == updated),
			group[0].CreationTimestamp.Compare(current[0].CreationTimestamp.Time),
			cmp.Compare(hash, hashOf(current))) > 0 {
			current = group
		}
	}
	return current
}

func hashOf(pods []*corev1.Pod) string { return pods[0].Labels[appsv1.DefaultDeploymentUniqueLabelKey] }

func podCondition(pod *corev1.Pod, kind corev1.PodConditionType) corev1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.PodCondition{Status: corev1.ConditionUnknown}
}

func podReady(pod *corev1.Pod) bool {
	return podCondition(pod, corev1.PodReady).Status == corev1.ConditionTrue
}

// ofPod is the worst that a pod has; nil: nothing.
func (d Circumstances) ofPod(pod *corev1.Pod) *symptom {
	if pod.Status.Phase == corev1.PodFailed {
		return &symptom{severity: rejected, cause: fmt.Sprintf("the node rejected the pod (%s)", orElse(pod.Status.Reason, "Failed")),
			details: lasting(pod, pod.Status.Message)}
	}
	if c := podCondition(pod, corev1.PodScheduled); c.Status == corev1.ConditionFalse {
		return &symptom{severity: Unschedulable, cause: fmt.Sprintf("no node takes the pod (%s)", orElse(c.Reason, "Unschedulable")),
			details: lasting(pod, c.Message)}
	}
	var worst *symptom
	for _, container := range containersOf(pod) {
		if s := d.ofContainer(pod, container); s != nil && (worst == nil || s.severity > worst.severity) {
			worst = s
		}
	}
	if worst != nil && worst.severity > waitsForVolumes {
		return worst
	}
	if s := d.ofVolumes(pod); s != nil {
		return s
	}
	if worst != nil {
		return worst
	}
	c := podCondition(pod, corev1.PodReady)
	if c.Status == corev1.ConditionFalse && c.Message == "" && containersReady(pod) {
		return &symptom{severity: TakesItsTime, cause: "the pod's node does not report", details: "see kubectl get node " + pod.Spec.NodeName}
	}
	if c.Status == corev1.ConditionFalse && c.Message != "" && !strings.HasPrefix(c.Reason, "Containers") { // of the containers all was told
		return &symptom{severity: TakesItsTime, cause: fmt.Sprintf("the pod is not ready (%s)", c.Reason), details: lasting(pod, c.Message)}
	}
	return nil
}

// containersReady reports whether the kubelet reported all containers as ready. Where the pod
// is not, its node has not reported since, and Kubernetes took the pod's readiness away
// without a word (Kubernetes 1.36, pkg/controller/util/node, MarkPodsNotReady).
func containersReady(pod *corev1.Pod) bool {
	return podCondition(pod, corev1.ContainersReady).Status == corev1.ConditionTrue
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

const (
	// volumesPatience is how long volumes that need something, such as a Secret, may take
	// without being reported: only an event has the kubelet's message about them, and they
	// don't take long.
	volumesPatience = 8 * time.Second
	// networkPatience is the same for a pod whose volumes need nothing that could be missing.
	// A busy node may take that long to set up a pod, which is nothing to warn of.
	networkPatience = 30 * time.Second
	// claimPatience is the same where a disk must be attached.
	claimPatience = time.Minute
)

// ofVolumes is the symptom of a pod whose volumes, or network, are not set up.
func (d Circumstances) ofVolumes(pod *corev1.Pod) *symptom {
	var needs []string
	attached := false
	for _, volume := range pod.Spec.Volumes {
		attached = attached || volume.PersistentVolumeClaim != nil || volume.Ephemeral != nil || volume.CSI != nil
		needs = append(needs, neededBy(volume)...)
	}
	patience := volumesPatience
	switch {
	case attached:
		patience = claimPatience
	case len(needs) == 0:
		patience = networkPatience
	}
	c := podCondition(pod, corev1.PodReadyToStartContainers)
	if c.Status != corev1.ConditionFalse || pod.Status.StartTime == nil || d.Now.Sub(pod.Status.StartTime.Time) < patience {
		return nil
	}
	details := "kubectl get events tells why"
	if len(needs) > 0 {
		details = fmt.Sprintf("the volumes need %s, and kubectl get events tells what is missing", strings.Join(needs, ", "))
	}
	return &symptom{severity: waitsForVolumes, cause: "the pod waits for its volumes or its network (ContainerCreating)", details: details}
}

// neededBy names what must be there for a volume.
func neededBy(volume corev1.Volume) []string {
	optional := func(flag *bool) bool { return flag != nil && *flag }
	var needs []string
	switch {
	case volume.Secret != nil && !optional(volume.Secret.Optional):
		needs = append(needs, "Secret "+volume.Secret.SecretName)
	case volume.ConfigMap != nil && !optional(volume.ConfigMap.Optional):
		needs = append(needs, "ConfigMap "+volume.ConfigMap.Name)
	case volume.PersistentVolumeClaim != nil:
		needs = append(needs, "PersistentVolumeClaim "+volume.PersistentVolumeClaim.ClaimName)
	case volume.CSI != nil:
		needs = append(needs, "CSI driver "+volume.CSI.Driver)
	case volume.Projected != nil:
		for _, source := range volume.Projected.Sources {
			if source.Secret != nil && !optional(source.Secret.Optional) {
				needs = append(needs, "Secret "+source.Secret.Name)
			}
			if source.ConfigMap != nil && !optional(source.ConfigMap.Optional) {
				needs = append(needs, "ConfigMap "+source.ConfigMap.Name)
			}
		}
	}
	return needs
}
