package diagnosis

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// podContainer is one of a pod, with its status.
type podContainer struct {
	corev1.ContainerStatus
	probed    string // what it has to pass to be ready: "startup", "readiness" or nothing
	completes bool   // an init container, whose end with code 0 is what it is for
}

// containersOf are all containers of a pod that have a status, in the order of their start.
func containersOf(pod *corev1.Pod) []podContainer {
	specs := map[string]*corev1.Container{}
	for i := range pod.Spec.InitContainers {
		specs[pod.Spec.InitContainers[i].Name] = &pod.Spec.InitContainers[i]
	}
	for i := range pod.Spec.Containers {
		specs[pod.Spec.Containers[i].Name] = &pod.Spec.Containers[i]
	}
	var all []podContainer
	add := func(statuses []corev1.ContainerStatus, initial bool) {
		for _, status := range statuses {
			c := podContainer{ContainerStatus: status}
			if spec := specs[status.Name]; spec != nil {
				sidecar := ptr.Deref(spec.RestartPolicy, "") == corev1.ContainerRestartPolicyAlways
				c.completes = initial && !sidecar
				switch {
				case spec.StartupProbe != nil && !ptr.Deref(status.Started, false):
					c.probed = "startup"
				case spec.ReadinessProbe != nil:
					c.probed = "readiness"
				}
			}
			all = append(all, c)
		}
	}
	add(pod.Status.InitContainerStatuses, true)
	add(pod.Status.ContainerStatuses, false)
	return all
}

// ended reports whether the container is not running and should be.
func (c podContainer) ended() *corev1.ContainerStateTerminated {
	ended := c.State.Terminated
	if ended == nil || c.completes && ended.ExitCode == 0 {
		return nil
	}
	return ended
}

// What a waiting container says (Kubernetes 1.36, pkg/kubelet/kuberuntime, pkg/kubelet/images).
const (
	waitCrashLoop  = "CrashLoopBackOff"
	waitRun        = "RunContainerError"
	waitPull       = "ImagePullBackOff"
	waitCreating   = "ContainerCreating"
	waitInitialize = "PodInitializing"
)

// backOffOfPull is how an ImagePullBackOff tells what it is about; before Kubernetes 1.32 or
// so it does not. ErrImagePull and ImagePullBackOff take turns.
var backOffOfPull = regexp.MustCompile(`^Back-off pulling image ".*?": (\w+): (.*)$`)

// cacheBehind is what a busy node says of a Secret or ConfigMap that it has not been told yet; it tries again, and
// says then what is missing, if anything is (Kubernetes 1.36, pkg/kubelet/util/manager, objectCache.Get).
var cacheBehind = regexp.MustCompile(`failed to sync (secret|configmap) cache: `)

// ofContainer is what a container has; nil: nothing.
func (d Circumstances) ofContainer(pod *corev1.Pod, c podContainer) *symptom {
	last := c.LastTerminationState.Terminated
	if waiting := c.State.Waiting; waiting != nil {
		switch waiting.Reason {
		case "", waitCreating, waitInitialize:
			return nil
		case waitCrashLoop:
			return d.loop(pod, c, last)
		case waitRun: // what StartError is a moment later
			return d.loop(pod, c, &corev1.ContainerStateTerminated{Reason: endStart, Message: waiting.Message})
		case waitPull:
			if parts := backOffOfPull.FindStringSubmatch(waiting.Message); parts != nil {
				return cantStart(pod, c, parts[1], parts[2], false)
			}
			return cantStart(pod, c, "ErrImagePull", waiting.Message, true)
		default:
			if cacheBehind.MatchString(waiting.Message) {
				return &symptom{severity: TakesItsTime, cause: fmt.Sprintf("the node does not yet know what container %s needs", c.Name), details: waiting.Message}
			}
			return cantStart(pod, c, waiting.Reason, waiting.Message, false)
		}
	}
	if ended := c.ended(); ended != nil {
		if d.Failing || last != nil && lengthOf(ended) < shortRun && lengthOf(last) < shortRun {
			return d.loop(pod, c, ended)
		}
		return nil // once is no loop: it is started again at once
	}
	running := c.State.Running
	if running == nil {
		return nil
	}
	age := d.Now.Sub(running.StartedAt.Time)
	if d.Failing && last != nil && age < settledAfter(last) {
		return d.loop(pod, c, last)
	}
	if !c.Ready && c.probed != "" && age >= probePatience {
		return &symptom{severity: TakesItsTime, cause: fmt.Sprintf("the %s probe of container %s does not succeed", c.probed, c.Name)}
	}
	return nil
}

const (
	// shortRun is what no worker that works runs for.
	shortRun = time.Minute
	// longRun is when the kubelet starts a container again without a back-off (Kubernetes
	// 1.36, pkg/kubelet, twice MaxContainerBackOff).
	longRun = 10 * time.Minute
	// probePatience is how long a probe may fail without being told.
	probePatience = 5 * time.Second
)

// settledAfter is how long a container that was in a loop must run to be out of it: twice
// what it ran for the last time.
func settledAfter(last *corev1.ContainerStateTerminated) time.Duration {
	if lengthOf(last) >= longRun {
		return 0
	}
	return min(max(2*lengthOf(last), shortRun), longRun)
}

func lengthOf(run *corev1.ContainerStateTerminated) time.Duration {
	if run.StartedAt.Unix() <= 0 { // it could not be started: none, or 1970, as containerd has it
		return 0
	}
	return run.FinishedAt.Sub(run.StartedAt.Time)
}

// Reasons for which a container ended, beside Error and Completed.
const (
	endOOM    = "OOMKilled"
	endStart  = "StartError"         // of containerd and CRI-O
	endCantDo = "ContainerCannotRun" // of others
)

// loop is a container that ends soon after each start. The message that it left itself, in
// terminated.message, is not told: it is the worker's, and may hold a password.
func (d Circumstances) loop(pod *corev1.Pod, c podContainer, end *corev1.ContainerStateTerminated) *symptom {
	s := &symptom{severity: CrashLoop}
	how := "its exit code is not known"
	s.details = fmt.Sprintf("what it said last: %s --container=%s --previous", d.Logs, c.Name)
	switch {
	case end == nil:
	case end.Reason == endOOM:
		how = endOOM
		s.details = "it needs more memory than its limit: raise resources.limits.memory, or have it hold fewer messages at once"
	case end.Reason == endStart, end.Reason == endCantDo:
		how = end.Reason
		s.details = lasting(pod, end.Message)
	case end.Reason == "Error", end.Reason == "Completed", end.Reason == "":
		how = fmt.Sprintf("exit code %d", end.ExitCode)
	default:
		how = fmt.Sprintf("%s, exit code %d", end.Reason, end.ExitCode)
	}
	s.cause = fmt.Sprintf("container %s ends soon after each start (%s)", c.Name, how)
	if how == endStart || how == endCantDo {
		s.cause = fmt.Sprintf("the program of container %s can't be started (%s)", c.Name, how)
	}
	return s
}

func cantStart(pod *corev1.Pod, c podContainer, reason, message string, vague bool) *symptom {
	details := lasting(pod, message)
	if asRoot.MatchString(message) {
		details += ": " + asRootRemedy
	}
	return &symptom{
		severity: NotStarting, cause: fmt.Sprintf("container %s can't be started (%s)", c.Name, reason),
		details: details, vague: vague,
	}
}

// asRoot is how the kubelet refuses a container that would run as root, or whose image names
// its user by a word (Kubernetes 1.36, pkg/kubelet/kuberuntime, verifyRunAsNonRoot).
var asRoot = regexp.MustCompile(`breaks non-root policy|has runAsNonRoot and image`)

// asRootRemedy is what to do about it: that workers may not be root is a default of this operator.
const asRootRemedy = "give the image a numeric user (USER 1000), or set template.spec.securityContext to {runAsUser: 1000}, " +
	"or to {runAsNonRoot: false} if the image needs root"

// maxDetails bounds what is told of a message of Kubernetes', in bytes, so that cause and details
// fit into an event's note.
const maxDetails = 700

// identifier is what a runtime names a container by, which each start makes anew.
var identifier = regexp.MustCompile(`[0-9a-f]{32,}`)

// lasting is a message without what differs from pod to pod and from start to start.
func lasting(pod *corev1.Pod, message string) string {
	message = strings.TrimSpace(message)
	if pod.UID != "" {
		message = strings.ReplaceAll(message, string(pod.UID), "…")
	}
	if pod.Name != "" && pod.GenerateName != "" {
		message = strings.ReplaceAll(message, pod.Name, pod.GenerateName+"…")
	}
	message = identifier.ReplaceAllString(message, "…")
	if len(message) > maxDetails {
		message = strings.ToValidUTF8(message[:maxDetails], "") + "…"
	}
	return message
}
