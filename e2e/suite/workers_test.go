//go:build e2e

package suite

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// hindrance is something that keeps a channel's workers from being up.
type hindrance struct {
	change func(*pubsubv1.PubSubChannel)
	reason string
	words  []string // of the Ready condition, and of the event
	phase  pubsubv1.Phase
}

// templateOf makes a channel's template of the worker's container as JSON.
func templateOf(container string) func(*pubsubv1.PubSubChannel) {
	return templateSpec(fmt.Sprintf(`{"containers": [{"name": "subscriber", %s}]}`, container))
}

func templateSpec(spec string) func(*pubsubv1.PubSubChannel) {
	return func(channel *pubsubv1.PubSubChannel) {
		channel.Spec.Template = &pubsubv1.PodTemplate{Spec: &runtime.RawExtension{Raw: []byte(spec)}}
	}
}

// hindrances are those of a namespace where pods are made.
var hindrances = map[string]hindrance{
	"image": {
		func(c *pubsubv1.PubSubChannel) { c.Spec.Image = "no-such-registry.invalid/worker:v1" },
		pubsubv1.ReasonWorkersNotStarting, []string{"container subscriber can't be started (ErrImagePull)", "no-such-registry.invalid/worker:v1"}, pubsubv1.PhasePending,
	},
	"root": {
		templateOf(`"securityContext": {"runAsUser": 0}`),
		pubsubv1.ReasonWorkersNotStarting, []string{"(CreateContainerConfigError)", "non-root policy"}, pubsubv1.PhasePending,
	},
	"secret-key": {
		func(c *pubsubv1.PubSubChannel) {
			c.Spec.Env = []corev1.EnvVar{{Name: "TOKEN", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: "no-such-secret"}, Key: "token",
			}}}}
		},
		pubsubv1.ReasonWorkersNotStarting, []string{"(CreateContainerConfigError)", `secret "no-such-secret" not found`}, pubsubv1.PhasePending,
	},
	"secret-volume": {
		templateSpec(`{"volumes": [{"name": "s", "secret": {"secretName": "no-such-secret"}}], "containers": [{"name": "subscriber", "volumeMounts": [{"name": "s", "mountPath": "/s"}]}]}`),
		pubsubv1.ReasonWorkersNotStarting, []string{"waits for its volumes", "Secret no-such-secret"}, pubsubv1.PhasePending,
	},
	"command": {
		templateOf(`"command": ["/no/such/program"]`),
		pubsubv1.ReasonWorkersFailing, []string{"the program of container subscriber can't be started", "/no/such/program", "no such file"}, pubsubv1.PhaseFailed,
	},
	"node": {
		templateSpec(`{"nodeSelector": {"disk": "of-glass"}}`),
		pubsubv1.ReasonWorkersUnschedulable, []string{"no node takes the pod (Unschedulable)", "nodes are available"}, pubsubv1.PhasePending,
	},
	"crash-loop": {
		func(c *pubsubv1.PubSubChannel) { setWorker(c, pubsubv1.EnvMessageTimeout, "never") },
		pubsubv1.ReasonWorkersFailing, []string{"container subscriber ends soon after each start (exit code 2)", "kubectl logs", "--previous"}, pubsubv1.PhaseFailed,
	},
	"probe": {
		templateOf(`"readinessProbe": {"tcpSocket": {"port": 9999}, "periodSeconds": 1}`),
		pubsubv1.ReasonProgressing, []string{"0 of 1 workers are ready", "the readiness probe of container subscriber does not succeed"}, pubsubv1.PhasePending,
	},
}

// Why workers are not up is told in Ready and, but for what may only take its time, by one
// event; a crash loop is told as long as it lasts, and what is mended goes on by itself. A
// rollout that does not succeed is told though the worker of before is ready.
func TestWhyWorkersAreNotReady(t *testing.T) {
	beside(t, spare, keda, scalers) // nothing here is scaled
	s := newSpaceWithRedis(t, "workers")
	s.kubectl("label", "namespace", s.name, "--overwrite", "pod-security.kubernetes.io/enforce=privileged") // or root is refused before
	for name, h := range hindrances {
		s.create(hindered(name, h.change))
	}
	for name, h := range hindrances {
		s.untilHindered(name, h)
	}
	s.assertStable(30*time.Second, "the crash loop is told for as long as it lasts", func(ctx context.Context) error {
		return s.hinderedBy(ctx, "crash-loop", hindrances["crash-loop"])
	})
	for name, h := range hindrances {
		wanted := 1
		if h.reason == pubsubv1.ReasonProgressing {
			wanted = 0
		}
		// A busy node may take so long to set up a pod that this is told first.
		told := slices.DeleteFunc(s.warnings(name), func(note string) bool {
			return !containsAll(note, h.words) && strings.Contains(note, "waits for its volumes or its network")
		})
		require.Len(t, told, wanted, "%s: %s", name, told)
	}
	s.edit("crash-loop", func(channel *pubsubv1.PubSubChannel) { channel.Spec.Env = nil })
	s.edit("image", func(channel *pubsubv1.PubSubChannel) { channel.Spec.Image = "jawaracloud/subscriber:" + env.imageTag })
	s.untilReady("crash-loop")
	s.untilReady("image")

	late := hindrances["image"]
	late.phase = pubsubv1.PhaseRunning // the worker of before goes on
	s.edit("image", late.change)
	s.untilHindered("image", late)
}

// What keeps pods from being made at all is told likewise: a quota, the namespace's Pod
// Security label and a LimitRange.
func TestWhyWorkersAreNotMade(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		object client.Object // in the namespace
		change func(*pubsubv1.PubSubChannel)
		words  []string
	}{
		"pods-quota": {
			&corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}}},
			func(*pubsubv1.PubSubChannel) {}, []string{"FailedCreate", "exceeded quota"},
		},
		"pods-security": {nil, templateOf(`"securityContext": {"allowPrivilegeEscalation": true}`), []string{"FailedCreate", "violates PodSecurity"}},
		"pods-limits": {
			&corev1.LimitRange{Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
				Type: corev1.LimitTypeContainer, Max: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")},
			}}}},
			templateOf(`"resources": {"limits": {"memory": "128Mi"}}`), []string{"FailedCreate", "maximum memory usage per Container is 64Mi"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			beside(t, spare, keda, scalers) // nothing here is scaled
			s := newSpace(t, name)
			if test.object != nil {
				test.object.SetName("limit")
				test.object.SetNamespace(s.name)
				require.NoError(t, env.client.Create(t.Context(), test.object))
			}
			s.untilCounted(test.object)
			s.create(hindered("orders", test.change))
			s.untilHindered("orders", hindrance{reason: pubsubv1.ReasonDeploymentFailed, words: test.words, phase: pubsubv1.PhaseFailed})
			told := s.warnings("orders")
			require.Len(t, told, 1, told)
		})
	}
}

// untilCounted waits until a quota is in force: without a status it holds nothing down.
func (s *space) untilCounted(object client.Object) {
	s.t.Helper()
	quota, ok := object.(*corev1.ResourceQuota)
	if !ok {
		return
	}
	s.until(env.settling(), "the quota is counted", func(ctx context.Context) error {
		if err := env.client.Get(ctx, client.ObjectKeyFromObject(quota), quota); err != nil {
			return err
		}
		if len(quota.Status.Hard) == 0 {
			return fmt.Errorf("it has no status")
		}
		return nil
	})
}

// hindered is a channel of one worker without autoscaling.
func hindered(name string, change func(*pubsubv1.PubSubChannel)) *pubsubv1.PubSubChannel {
	channel := newChannel(name)
	channel.Spec.AutoScaling, channel.Spec.Replicas = nil, ptr.To[int32](1)
	change(channel)
	return channel
}

func (s *space) untilHindered(name string, h hindrance) {
	s.t.Helper()
	s.until(env.settling(), "the channel "+name+" tells "+h.reason, func(ctx context.Context) error {
		return s.hinderedBy(ctx, name, h)
	})
	if h.reason == pubsubv1.ReasonProgressing {
		return
	}
	s.until(env.settling(), "an event tells it too", func(context.Context) error {
		for _, note := range s.warnings(name) {
			if containsAll(note, h.words) {
				return nil
			}
		}
		return fmt.Errorf("warnings: %q", s.warnings(name))
	})
}

// hinderedBy is nil where Ready and the phase tell of the hindrance.
func (s *space) hinderedBy(ctx context.Context, name string, h hindrance) error {
	if err := s.conditionIs(ctx, name, pubsubv1.ConditionReady, metav1.ConditionFalse, h.reason); err != nil {
		return err
	}
	channel, err := s.channel(ctx, name)
	if err != nil {
		return err
	}
	message := meta.FindStatusCondition(channel.Status.Conditions, pubsubv1.ConditionReady).Message
	if !containsAll(message, h.words) {
		return fmt.Errorf("Ready says %q, and not %q", message, h.words)
	}
	if channel.Status.Phase != h.phase {
		return fmt.Errorf("the phase is %s, not %s", channel.Status.Phase, h.phase)
	}
	return nil
}

func containsAll(text string, words []string) bool {
	for _, part := range words {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// warnings are the notes of the warnings about a channel's workers.
func (s *space) warnings(name string) (notes []string) {
	s.t.Helper()
	var list eventsv1.EventList
	require.NoError(s.t, env.client.List(s.t.Context(), &list, client.InNamespace(s.name)))
	for _, event := range list.Items {
		if event.Regarding.Kind == "PubSubChannel" && event.Regarding.Name == name && event.Type == corev1.EventTypeWarning &&
			event.Reason != pubsubv1.EventQueueUnreadable { // there is no server, or it does not answer for a moment
			notes = append(notes, event.Reason+": "+event.Note)
		}
	}
	return notes
}
