//go:build e2e

package suite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/e2e/cluster"
)

const (
	// burst is how many messages come at once, for which a fleet grows; afterwards it shrinks.
	burst = 600
	// steady is how many come each second beside it.
	steady = 30
	// disturbedFor is how long they come, and pods are disturbed.
	disturbedFor = 52 * time.Second
	// disturbEvery is the time between two disturbances.
	disturbEvery = 4 * time.Second
)

// disturber disturbs the workers of both queues, one way after the other.
type disturber struct {
	s       *space
	cluster *cluster.Cluster
	made    map[string]int
	slots   int // of workers that were killed
}

// While numbered messages come to a list and to a stream, workers are killed by SIGKILL, deleted
// without a grace period, rolled out and scaled down by KEDA, and the node's containerd and kubelet are
// killed and start again. Every message is delivered, nothing is left in work, and only those come twice
// that were in the slots of workers that were killed.
func TestWorkersDisturbedUnderLoad(t *testing.T) {
	turn := beside(t, preparing)
	s := newSpaceWithRedis(t, "disturbed")
	s.startHandler()
	recorders := map[string]*recorder{}
	for key := range numbered {
		channel := newNumbered(key, "100ms")
		channel.Spec.AutoScaling.MaxReplicas = 4
		channel.Spec.AutoScaling.TargetQueueDepth = 20
		setCooldown(channel, 1)
		s.create(channel)
	}
	for key := range numbered {
		recorders[key] = s.settle(newNumbered(key, "100ms"))
	}
	turn.disturb(restartsNode, node) // others talk to their pods through containerd
	before := map[string]int{}
	for key, r := range recorders {
		s.untilFollowed(key)
		before[key] = len(r.all()) // idle fleets have shrunk
	}
	d := &disturber{s: s, made: map[string]int{}}
	var err error
	d.cluster, err = cluster.New(cluster.Options{Dir: filepath.Dir(os.Getenv("KUBECONFIG"))})
	require.NoError(t, err)
	total := s.publishWhile(d.run)

	s.until(env.settling(), "every message is delivered, and none is left", func(ctx context.Context) error {
		if err := s.publishUpTo(ctx, total); err != nil {
			return err
		}
		for key := range numbered {
			a, err := s.account(ctx, key, total)
			if err != nil || len(a.Missing) > 0 {
				return fmt.Errorf("%s: %d of %d messages were delivered; missing are %v … (%w)", key, a.Messages, total, a.Missing, err)
			}
		}
		return s.leftBehind(ctx)
	})
	for key, r := range recorders {
		r.untilFewer(env.reaction(), before[key])
		a, err := s.account(t.Context(), key, total)
		require.NoError(t, err)
		s.logf("%s: %d messages, %d cut off in the middle, %d delivered again; replicas %v; disturbances %v, by which workers with %d slots were killed",
			key, a.Messages, a.Begun-a.Deliveries, a.Deliveries-a.Messages, r.values(), d.made, d.slots)
		assert.Empty(t, a.Foreign)
		assert.LessOrEqual(t, a.Deliveries-a.Messages, d.slots, "%s: only what killed workers had in work comes twice", key)
	}
}

// publishWhile publishes until the disturbances are over, and returns how many messages there are of each
// queue.
func (s *space) publishWhile(disturb func(ctx context.Context)) (total int) {
	s.t.Helper()
	ctx, stop := context.WithTimeout(s.t.Context(), disturbedFor)
	defer stop()
	var disturbing sync.WaitGroup
	disturbing.Go(func() { disturb(ctx) })
	began := time.Now()
	for wait(ctx, time.Second) == nil {
		// Two bursts, each of which lets the fleet grow; in between, and after, it shrinks.
		bursts := 1 + int(2*time.Since(began)/disturbedFor)
		total = bursts*burst + steady*int(time.Since(began).Seconds())
		_ = s.publishUpTo(ctx, total) // what is cut off comes with the next
	}
	disturbing.Wait()
	return total
}

// run disturbs until ctx ends.
func (d *disturber) run(ctx context.Context) {
	ways := []func(ctx context.Context, key string) (string, error){d.kill, d.remove, d.rollOut, d.kill, d.remove, d.restart}
	for turn := 0; wait(ctx, disturbEvery) == nil; turn++ {
		for key := range numbered {
			way := ways[turn%len(ways)]
			// It is not cut short: what it does to workers must be known.
			name, err := way(context.WithoutCancel(ctx), key)
			switch {
			case errors.Is(err, cluster.ErrNotNode), errors.Is(err, cluster.ErrNotUp):
				d.made["left out"]++
				d.s.logf("left out: %v", err)
			case err != nil:
				d.s.logf("%s: %v", name, err)
			default:
				d.made[name]++
			}
		}
	}
}

// worker is one of a queue's pods that is ready, chosen at random.
func (s *space) worker(ctx context.Context, key string) (*corev1.Pod, error) {
	pods := &corev1.PodList{}
	if err := env.client.List(ctx, pods, client.InNamespace(s.name), client.MatchingLabels{pubsubv1.LabelChannel: key}); err != nil {
		return nil, err
	}
	running := slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool {
		statuses := pod.Status.ContainerStatuses
		return pod.DeletionTimestamp != nil || len(statuses) == 0 || !statuses[0].Ready
	})
	if len(running) == 0 {
		return nil, errors.New("no worker is ready")
	}
	return &running[rand.IntN(len(running))], nil
}

func (d *disturber) kill(ctx context.Context, key string) (name string, err error) {
	const way = "killed"
	pod, err := d.s.worker(ctx, key)
	if err != nil {
		return way, err
	}
	_, id, _ := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
	if err := d.cluster.KillContainer(ctx, id); err != nil {
		return way, err
	}
	d.slots += handlerSlots
	return way, nil
}

func (d *disturber) remove(ctx context.Context, key string) (name string, err error) {
	const way = "deleted by force"
	pod, err := d.s.worker(ctx, key)
	if err != nil {
		return way, err
	}
	d.slots += handlerSlots
	_, err = run(ctx, "kubectl", "-n", d.s.name, "delete", "pod", pod.Name, "--grace-period=0", "--force", "--wait=false")
	return way, err
}

func (d *disturber) rollOut(_ context.Context, key string) (name string, err error) {
	d.s.edit(key, func(channel *pubsubv1.PubSubChannel) {
		channel.Spec.Template = &pubsubv1.PodTemplate{Metadata: &pubsubv1.PodMetadata{
			Labels: map[string]string{"turn": fmt.Sprint(time.Now().Unix())},
		}}
	})
	return "rolled out", nil
}

// restart is once for both queues.
func (d *disturber) restart(ctx context.Context, key string) (name string, err error) {
	const way = "containerd and kubelet killed"
	if key != "list" {
		return "with the other queue's workers", nil
	}
	err = d.cluster.RestartRuntime(ctx)
	if err != nil && !errors.Is(err, cluster.ErrNotNode) && !errors.Is(err, cluster.ErrNotUp) {
		d.s.t.Errorf("%s: %v", way, err) // no test after this one would have a node
	}
	return way, err
}

// untilFewer waits until KEDA has taken replicas away, after the first so many values.
func (r *recorder) untilFewer(within time.Duration, before int) {
	r.s.t.Helper()
	r.s.until(within, "replicas were taken away", func(context.Context) error {
		values := r.values()
		for i := before; i < len(values); i++ {
			if values[i] < values[i-1] {
				return nil
			}
		}
		return fmt.Errorf("spec.replicas went %v", values)
	})
}

// A pod is deleted in the middle of a message of 10 seconds, as a rollout or a drain does it: the message
// is completed, acknowledged, and not delivered again.
func TestAPodEndsInTheMiddleOfALongMessage(t *testing.T) {
	beside(t, spare, keda, scalers) // nothing here is scaled
	s := newSpaceWithRedis(t, "ending")
	s.startHandler()
	for key := range numbered {
		channel := newNumbered(key, "10s")
		channel.Spec.AutoScaling, channel.Spec.Replicas, channel.Spec.MessageTimeout = nil, ptr.To[int32](1), 20
		s.create(channel)
	}
	for key := range numbered {
		s.untilReady(key)
	}
	require.NoError(t, s.publishUpTo(t.Context(), 1))
	for key := range numbered {
		s.until(env.settling(), key+": its message is in work", func(ctx context.Context) error { return s.isBegun(ctx, key) })
	}
	// Both by one command: on a slow machine a second one might come after the message.
	ended := s.kubectl("delete", "pods", "-l", pubsubv1.LabelChannel, "--wait=false", "-o", "name")
	for key := range numbered {
		a, err := s.account(t.Context(), key, 1)
		require.NoError(t, err)
		require.Zero(t, a.Messages, "the pod was told to end too late")
	}
	s.until(env.settling(), "both messages are done, and nothing is left", func(ctx context.Context) error {
		for key := range numbered {
			if a, err := s.account(ctx, key, 1); err != nil || a.Messages != 1 {
				return fmt.Errorf("%s: %+v (%w)", key, a, err)
			}
		}
		return s.leftBehind(ctx)
	})
	for key := range numbered {
		s.until(env.settling(), key+": the next pod's worker looks at the queue", func(ctx context.Context) error {
			pod, err := s.worker(ctx, key)
			if err == nil && strings.Contains(ended, pod.Name) {
				err = fmt.Errorf("%s is of before", pod.Name)
			}
			return err
		})
		a, err := s.account(t.Context(), key, 1)
		require.NoError(t, err)
		require.Equal(t, account{Begun: 1, Messages: 1, Deliveries: 1}, a, key)
	}
}

// isBegun is nil where the handler is at work on the queue's first message.
func (s *space) isBegun(ctx context.Context, key string) error {
	a, err := s.account(ctx, key, 1)
	if err == nil && a.Begun == 0 {
		err = errors.New("it is not")
	}
	return err
}
