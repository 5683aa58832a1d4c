package diagnosis

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

// looked is a diagnosis a while after the pods of testdata were made.
func looked() Circumstances {
	return Circumstances{Updated: 1, Logs: "kubectl logs -l x", Now: time.Date(2026, 11, 26, 2, 15, 0, 0, time.UTC)}
}

func TestWhatPodsHave(t *testing.T) {
	const run = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "
	for name, test := range map[string]struct {
		reason, cause, details string // of details the beginning
	}{
		"image-back-off":     {v1.ReasonWorkersNotStarting, "container subscriber can't be started (ErrImagePull)", `failed to pull and unpack image "example.invalid/no/such:v1": failed to resolve reference`},
		"image-pull":         {v1.ReasonWorkersNotStarting, "container subscriber can't be started (ErrImagePull)", `failed to pull and unpack image "example.invalid/no/such:v1": failed to resolve reference`},
		"image-name-invalid": {v1.ReasonWorkersNotStarting, "container subscriber can't be started (InvalidImageName)", `Failed to apply default image tag "UPPER/case:::"`},
		"image-never-pulled": {v1.ReasonWorkersNotStarting, "container subscriber can't be started (ErrImageNeverPull)", `Container image "e2e.local/absent:1" is not present`},
		"root-user":          {v1.ReasonWorkersNotStarting, "container subscriber can't be started (CreateContainerConfigError)", `container's runAsUser breaks non-root policy (pod: "rootuser-subscriber-57c8cc6cf4-…_shop(…)", container: subscriber)`},
		"secret-missing":     {v1.ReasonWorkersNotStarting, "container subscriber can't be started (CreateContainerConfigError)", `secret "missing" not found`},
		"secret-volume-missing": {v1.ReasonWorkersNotStarting, "the pod waits for its volumes or its network (ContainerCreating)",
			"the volumes need Secret missing, and kubectl get events tells what is missing"},
		"program-missing-back-off": {v1.ReasonWorkersFailing, "the program of container subscriber can't be started (StartError)", run + `exec: "/no/such/program": stat /no/such/program: no such file or directory`},
		"program-missing-run":      {v1.ReasonWorkersFailing, "the program of container subscriber can't be started (StartError)", run + `exec: "/no/such/program": stat /no/such/program: no such file or directory`},
		"mount-fails": {v1.ReasonWorkersFailing, "the program of container subscriber can't be started (StartError)",
			run + `error during container init: error mounting "/var/lib/kubelet/pods/…/volumes/kubernetes.io~empty-dir/v" to rootfs at "/pause/x": open o_path procfd: open /run/containerd/io.containerd.runtime.v2.task/k8s.io/…/rootfs`},
		"no-node":               {v1.ReasonWorkersUnschedulable, "no node takes the pod (Unschedulable)", "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."},
		"claim-missing":         {v1.ReasonWorkersUnschedulable, "no node takes the pod (Unschedulable)", `0/1 nodes are available: persistentvolumeclaim "missing" not found.`},
		"crash-back-off":        {v1.ReasonWorkersFailing, "container subscriber ends soon after each start (exit code 1)", "what it said last: kubectl logs -l x --container=subscriber --previous"},
		"crash-ended":           {v1.ReasonWorkersFailing, "container subscriber ends soon after each start (exit code 1)", "what it said last"},
		"completed-loop":        {v1.ReasonWorkersFailing, "container subscriber ends soon after each start (exit code 0)", "what it said last"},
		"init-crash-loop":       {v1.ReasonWorkersFailing, "container init ends soon after each start (exit code 1)", "what it said last: kubectl logs -l x --container=init"},
		"sidecar-crash-loop":    {v1.ReasonWorkersFailing, "container proxy ends soon after each start (exit code 1)", "what it said last: kubectl logs -l x --container=proxy"},
		"readiness-probe-fails": {v1.ReasonProgressing, "the readiness probe of container subscriber does not succeed", ""},
		"startup-probe-fails":   {v1.ReasonProgressing, "the startup probe of container subscriber does not succeed", ""},
		"well":                  {},
	} {
		t.Run(name, func(t *testing.T) {
			got := looked().Worst([]corev1.Pod{channeltest.RealPod(t, name)})
			if test.reason == "" {
				assert.Nil(t, got)
				return
			}
			require.NotNil(t, got)
			assert.Equal(t, test.reason, got.Severity.Reason())
			assert.Equal(t, test.cause, got.Cause)
			require.GreaterOrEqual(t, len(got.Details), len(test.details), got.Details)
			assert.Equal(t, test.details, got.Details[:len(test.details)])
			assert.LessOrEqual(t, len(got.Details), maxDetails+len("…")+len(": ")+len(asRootRemedy))
			assert.Equal(t, test.reason == v1.ReasonWorkersFailing, got.Failed)
			assert.EqualValues(t, 1, got.Workers)
		})
	}
}

// A node that has not heard of a Secret yet tries again within a minute: that is no failure of the worker's, and what
// is told of the Secret afterwards is another one.
func TestANodeThatIsBehindTakesItsTime(t *testing.T) {
	for message, want := range map[string]string{
		"failed to sync secret cache: timed out waiting for the condition":    v1.ReasonProgressing,
		"failed to sync configmap cache: timed out waiting for the condition": v1.ReasonProgressing,
		`secret "missing" not found`:                                          v1.ReasonWorkersNotStarting,
	} {
		pod := channeltest.RealPod(t, "secret-missing")
		pod.Status.ContainerStatuses[0].State.Waiting.Message = message
		got := looked().Worst([]corev1.Pod{pod})
		require.NotNil(t, got, message)
		assert.Equal(t, want, got.Severity.Reason(), message)
		assert.Contains(t, got.Details, message)
	}
}

// That workers may not be root is this operator's default, so it says how to change it: for
// each of the kubelet's words, and for nothing else.
func TestRootUsersHaveARemedy(t *testing.T) {
	for message, want := range map[string]bool{
		`container's runAsUser breaks non-root policy (pod: "p", container: subscriber)`:                                                    true,
		`container has runAsNonRoot and image will run as root (pod: "p", container: subscriber)`:                                           true,
		`container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root (pod: "p", container: subscriber)`: true,
		`secret "missing" not found`: false,
	} {
		pod := channeltest.RealPod(t, "root-user")
		pod.Status.ContainerStatuses[0].State.Waiting.Message = message
		got := looked().Worst([]corev1.Pod{pod})
		require.NotNil(t, got)
		assert.Contains(t, got.Details, message)
		for _, remedy := range []string{"USER 1000", "{runAsUser: 1000}", "{runAsNonRoot: false}"} {
			if want {
				assert.Contains(t, got.Details, remedy)
			} else {
				assert.NotContains(t, got.Details, remedy)
			}
		}
	}
}

// A loop stays one while its container runs for a moment, and is over once that has run twice
// as long as before; what ends now and then is none.
func TestWhenALoopIsOver(t *testing.T) {
	start := time.Date(2026, 11, 26, 2, 5, 59, 0, time.UTC) // of crash-running, the run before took no second
	ago := func(d time.Duration) metav1.Time { return metav1.NewTime(start.Add(-d)) }
	for name, test := range map[string]struct {
		failing bool
		ran     time.Duration // the run before; 0: as in testdata
		age     time.Duration // of the run that goes on
		want    bool
	}{
		"the moment that it runs":              {true, 0, 0, true},
		"nearly a minute":                      {true, 0, 59 * time.Second, true},
		"a minute":                             {true, 0, time.Minute, false},
		"not told of a loop":                   {false, 0, 0, false},
		"runs of three minutes":                {true, 3 * time.Minute, 5 * time.Minute, true},
		"twice as long as the run before":      {true, 3 * time.Minute, 6 * time.Minute, false},
		"one that ended after days, in a loop": {true, 72 * time.Hour, time.Second, false},
		"one that ended after days":            {false, 72 * time.Hour, time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			pod := channeltest.RealPod(t, "crash-running")
			if test.ran > 0 {
				last := pod.Status.ContainerStatuses[0].LastTerminationState.Terminated
				last.StartedAt, last.FinishedAt = ago(test.ran), ago(0)
			}
			d := looked()
			d.Failing, d.Now = test.failing, start.Add(test.age)
			assert.Equal(t, test.want, d.Worst([]corev1.Pod{pod}) != nil)
		})
	}
}

// OOMKilled once is no loop, and again and again is one that says what it lacks.
func TestOutOfMemory(t *testing.T) {
	killed := func(ran time.Duration) *corev1.ContainerStateTerminated {
		end := time.Date(2026, 11, 26, 2, 10, 0, 0, time.UTC)
		return &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137, StartedAt: metav1.NewTime(end.Add(-ran)), FinishedAt: metav1.NewTime(end)}
	}
	pod := channeltest.RealPod(t, "crash-ended")
	status := &pod.Status.ContainerStatuses[0]
	status.State.Terminated, status.LastTerminationState.Terminated = killed(50*time.Hour), killed(70*time.Hour)
	assert.Nil(t, looked().Worst([]corev1.Pod{pod}), "three in a week")
	status.State.Terminated, status.LastTerminationState.Terminated = killed(10*time.Second), nil
	assert.Nil(t, looked().Worst([]corev1.Pod{pod}), "once")
	status.LastTerminationState.Terminated = killed(20 * time.Second)
	got := looked().Worst([]corev1.Pod{pod})
	require.NotNil(t, got)
	assert.Equal(t, "container subscriber ends soon after each start (OOMKilled)", got.Cause)
	assert.Contains(t, got.Details, "resources.limits.memory")
}

// What a worker left as its termination message may hold a password.
func TestWordsOfWorkersAreNotTold(t *testing.T) {
	pod := channeltest.RealPod(t, "crash-back-off")
	pod.Status.ContainerStatuses[0].LastTerminationState.Terminated.Message = "redis://:hunter2@db refused"
	got := looked().Worst([]corev1.Pod{pod})
	require.NotNil(t, got)
	assert.NotContains(t, got.Cause+got.Details, "hunter2")
}

// hashed makes a pod one of a template, made at a minute.
func hashed(pod corev1.Pod, hash string, minute int) corev1.Pod {
	pod.Labels = map[string]string{"pod-template-hash": hash}
	pod.CreationTimestamp = metav1.NewTime(time.Date(2026, 11, 26, 2, minute, 0, 0, time.UTC))
	return pod
}

// Of many pods the worst counts, by how many have it, and only those of the template as it is.
func TestWhichPodsCount(t *testing.T) {
	well, crash, image, node := channeltest.RealPod(t, "well"), channeltest.RealPod(t, "crash-back-off"), channeltest.RealPod(t, "image-back-off"), channeltest.RealPod(t, "no-node")
	init := channeltest.RealPod(t, "init-crash-loop")
	going, evicted, refused := crash, well, well
	going.DeletionTimestamp = ptr.To(metav1.NewTime(looked().Now))
	evicted.Status.Phase, evicted.Status.Reason, evicted.Status.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory."
	refused.Status.Phase, refused.Status.Reason, refused.Status.Message = corev1.PodFailed, "UnexpectedAdmissionError", "no device left"
	for name, test := range map[string]struct {
		updated int32
		pods    []corev1.Pod
		told    string
		cause   string // empty: none
		workers int32
		failed  bool
	}{
		"one of three":            {3, []corev1.Pod{hashed(well, "a", 0), hashed(crash, "a", 0), hashed(well, "a", 0)}, "", "container subscriber ends soon after each start (exit code 1)", 1, false},
		"all":                     {2, []corev1.Pod{hashed(crash, "a", 0), hashed(crash, "a", 0)}, "", "container subscriber ends soon after each start (exit code 1)", 2, true},
		"the worst":               {3, []corev1.Pod{hashed(node, "a", 0), hashed(image, "a", 0), hashed(node, "a", 0)}, "", "container subscriber can't be started (ErrImagePull)", 1, false},
		"what most have":          {3, []corev1.Pod{hashed(init, "a", 0), hashed(crash, "a", 0), hashed(init, "a", 0)}, "", "container init ends soon after each start (exit code 1)", 2, true},
		"what is told stays":      {3, []corev1.Pod{hashed(init, "a", 0), hashed(crash, "a", 0), hashed(init, "a", 0)}, "2 of 3 workers: container subscriber ends soon after each start (exit code 7): x", "container subscriber ends soon after each start (exit code 1)", 1, true},
		"a rollout that fails":    {1, []corev1.Pod{hashed(well, "old", 0), hashed(well, "old", 0), hashed(image, "new", 9)}, "", "container subscriber can't be started (ErrImagePull)", 1, false},
		"one that crashes":        {1, []corev1.Pod{hashed(well, "old", 0), hashed(well, "old", 0), hashed(crash, "new", 9)}, "", "container subscriber ends soon after each start (exit code 1)", 1, true},
		"one that mends":          {1, []corev1.Pod{hashed(crash, "old", 0), hashed(crash, "old", 0), hashed(well, "new", 9)}, "", "", 0, false},
		"the old one grows":       {1, []corev1.Pod{hashed(well, "old", 0), hashed(well, "old", 11), hashed(image, "new", 9)}, "", "container subscriber can't be started (ErrImagePull)", 1, false},
		"back to the one before":  {2, []corev1.Pod{hashed(well, "old", 0), hashed(well, "old", 11), hashed(image, "new", 9)}, "", "", 0, false},
		"as many of each":         {1, []corev1.Pod{hashed(well, "old", 0), hashed(image, "new", 9)}, "", "container subscriber can't be started (ErrImagePull)", 1, false},
		"what is on its way out":  {1, []corev1.Pod{hashed(going, "a", 0), hashed(well, "a", 1)}, "", "", 0, false},
		"evicted long ago":        {1, []corev1.Pod{hashed(evicted, "a", 0), hashed(well, "a", 1)}, "", "", 0, false},
		"refused by the node now": {1, []corev1.Pod{hashed(refused, "a", 14)}, "", "the node rejected the pod (UnexpectedAdmissionError)", 1, false},
		"none":                    {1, nil, "", "", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := looked()
			d.Updated, d.Told = test.updated, test.told
			got := d.Worst(test.pods)
			if test.cause == "" {
				assert.Nil(t, got)
				return
			}
			require.NotNil(t, got)
			assert.Equal(t, test.cause, got.Cause)
			assert.Equal(t, test.workers, got.Workers)
			assert.Equal(t, test.failed, got.Failed)
		})
	}
}

// A node that does not report any more leaves its pods as they were, and Kubernetes takes
// their readiness away.
func TestANodeThatDoesNotReport(t *testing.T) {
	pod := channeltest.RealPod(t, "well")
	pod.Spec.NodeName = "node-7"
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == corev1.PodReady {
			pod.Status.Conditions[i].Status = corev1.ConditionFalse
		}
	}
	got := looked().Worst([]corev1.Pod{pod})
	require.NotNil(t, got)
	assert.Equal(t, Trouble{Severity: TakesItsTime, Cause: "the pod's node does not report", Details: "see kubectl get node node-7", Workers: 1}, *got)
}

// A pod that has just been made has nothing yet that is worth telling.
func TestPatience(t *testing.T) {
	for name, after := range map[string]time.Duration{
		"secret-volume-missing": volumesPatience, "readiness-probe-fails": probePatience, "startup-probe-fails": probePatience,
	} {
		t.Run(name, func(t *testing.T) {
			pod := channeltest.RealPod(t, name)
			began := pod.Status.StartTime.Time
			if running := pod.Status.ContainerStatuses[0].State.Running; running != nil {
				began = running.StartedAt.Time
			}
			d := looked()
			d.Now = began.Add(after - time.Second)
			assert.Nil(t, d.Worst([]corev1.Pod{pod}))
			d.Now = began.Add(after)
			assert.NotNil(t, d.Worst([]corev1.Pod{pod}))
		})
	}
	pod := channeltest.RealPod(t, "secret-volume-missing")
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "disk"}}})
	d := looked()
	d.Now = pod.Status.StartTime.Add(claimPatience - time.Second)
	assert.Nil(t, d.Worst([]corev1.Pod{pod}), "a disk takes longer")
	d.Now = pod.Status.StartTime.Add(claimPatience)
	got := d.Worst([]corev1.Pod{pod})
	require.NotNil(t, got)
	assert.Contains(t, got.Details, "Secret missing, PersistentVolumeClaim disk")

	// A busy node takes its time for a pod that needs nothing: that was a Warning after 8 s.
	pod.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	d.Now = pod.Status.StartTime.Add(networkPatience - time.Second)
	assert.Nil(t, d.Worst([]corev1.Pod{pod}))
	d.Now = pod.Status.StartTime.Add(networkPatience)
	assert.NotNil(t, d.Worst([]corev1.Pod{pod}))
}
