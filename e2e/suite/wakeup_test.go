//go:build e2e

package suite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

func mergePatch(patch []byte) client.Patch { return client.RawPatch(types.MergePatchType, patch) }

// sleeper is a fleet at 0 replicas with a list of its own, of the same name.
type sleeper struct {
	s          *space
	redis      *redis.Client
	key        string
	deployment string
	recorder   *recorder
}

// wakeLimit bounds the wait for one waking.
const wakeLimit = 2 * time.Minute

// push pushes one message and returns when the server had it, by the server's clock, which
// is this machine's.
func (f *sleeper) push() (time.Time, error) {
	var now *redis.TimeCmd
	_, err := f.redis.TxPipelined(f.s.t.Context(), func(pipe redis.Pipeliner) error {
		now = pipe.Time(f.s.t.Context())
		pipe.LPush(f.s.t.Context(), f.key, "message")
		return nil
	})
	if err != nil {
		return time.Time{}, err
	}
	return now.Val(), nil
}

// woken waits for spec.replicas ≥ 1 and returns how long after the push that was.
func (f *sleeper) woken(ctx context.Context, pushed time.Time) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, wakeLimit)
	defer cancel()
	for {
		if last := f.recorder.latest(); last.replicas > 0 {
			return last.at.Sub(pushed), nil
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return 0, fmt.Errorf("%s is not awake %s after its message", f.deployment, wakeLimit)
		}
	}
}

// toSleep empties the list and takes the fleet back to 0, by hand: nothing of what is
// measured depends on how it got there. It returns once the fleet has stayed there.
func (f *sleeper) toSleep(ctx context.Context) error {
	if err := f.redis.Del(ctx, f.key).Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, wakeLimit)
	defer cancel()
	for {
		// A "true" of before may be on its way yet, and wake it once more.
		if err := wait(ctx, 3*time.Second); err != nil {
			return fmt.Errorf("%s does not stay at 0 replicas with an empty list", f.deployment)
		}
		if f.recorder.latest().replicas == 0 {
			return nil
		}
		if err := f.s.scaleTo(f.deployment, 0); err != nil {
			return err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// cycles wakes the fleet again and again, each time at a random moment of the poller's
// period.
func (f *sleeper) cycles(n int, period time.Duration, record func(time.Duration)) error {
	ctx := f.s.t.Context()
	for range n {
		if err := f.toSleep(ctx); err != nil {
			return err
		}
		if err := wait(ctx, rand.N(period)); err != nil {
			return err
		}
		pushed, err := f.push()
		if err != nil {
			return err
		}
		took, err := f.woken(ctx, pushed)
		if err != nil {
			return err
		}
		record(took)
	}
	return nil
}

// newSleeper creates a channel that sleeps.
func (s *space) newSleeper(client *redis.Client, name string) *sleeper {
	s.t.Helper()
	channel := newChannel(name)
	channel.Spec.Replicas = ptr.To[int32](0)
	channel.Spec.Queue = &pubsubv1.QueueSpec{Type: pubsubv1.QueueTypeList}
	channel.Spec.AutoScaling.MinReplicas = ptr.To[int32](0)
	s.create(channel)
	s.until(env.settling(), "channel "+name+" is followed", func(ctx context.Context) error {
		return s.conditionIs(ctx, name, pubsubv1.ConditionConnected, "True", "QueueRead")
	})
	return &sleeper{s: s, redis: client, key: name, deployment: deploymentOf(channel), recorder: s.record(deploymentOf(channel))}
}

const kedaSleeper = `
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: %[1]s}
spec:
  scaleTargetRef: {name: %[1]s}
  minReplicaCount: 0
  maxReplicaCount: 10
  pollingInterval: %[2]d
  triggers:
  - type: redis
    metadata: {address: "dragonfly.%[3]s.svc:6379", listName: %[1]s, listLength: "100"}
`

// newKEDASleeper creates a fleet that KEDA's own redis scaler wakes.
func (s *space) newKEDASleeper(client *redis.Client, name string, pollingInterval int) *sleeper {
	s.t.Helper()
	require.NoError(s.t, env.client.Create(s.t.Context(), s.idleDeployment(name)))
	require.NoError(s.t, s.apply(fmt.Sprintf(kedaSleeper, name, pollingInterval, s.name)))
	s.until(env.settling(), "ScaledObject "+name+" is Ready", func(ctx context.Context) error {
		_, err := run(ctx, "kubectl", "-n", s.name, "wait", "--for=condition=Ready", "--timeout=5s", "scaledobject/"+name)
		return err
	})
	return &sleeper{s: s, redis: client, key: name, deployment: name, recorder: s.record(name)}
}

// The time from the first message to spec.replicas ≥ 1, beside KEDA's redis scaler with its
// default pollingInterval and with the least, in the same run. Several fleets of each kind
// share the cycles, or KEDA's 30 s would take half an hour.
func TestWakeUpTimes(t *testing.T) {
	alone(t)
	n := number(t, "E2E_CYCLES", 50)
	s := newSpaceWithRedis(t, "wake")
	s.refusePods()
	client := s.redisClient()
	type kind struct {
		name    string
		period  time.Duration
		fleets  []*sleeper
		results latencies
	}
	ours := &kind{name: "PubSubChannel", period: 2 * time.Second}
	fastest := &kind{name: "KEDA redis scaler, pollingInterval 1", period: 2 * time.Second}
	byDefault := &kind{name: "KEDA redis scaler, pollingInterval 30 (default)", period: 30 * time.Second}
	for i := range 5 {
		ours.fleets = append(ours.fleets, s.newSleeper(client, fmt.Sprintf("ours-%d", i)))
		fastest.fleets = append(fastest.fleets, s.newKEDASleeper(client, fmt.Sprintf("fastest-%d", i), 1))
	}
	for i := range 10 {
		byDefault.fleets = append(byDefault.fleets, s.newKEDASleeper(client, fmt.Sprintf("default-%d", i), 30))
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for _, k := range []*kind{ours, fastest, byDefault} {
		for i, fleet := range k.fleets {
			share := n/len(k.fleets) + min(1, max(0, n%len(k.fleets)-i))
			running.Go(func() {
				err := fleet.cycles(share, k.period, func(took time.Duration) {
					mu.Lock()
					defer mu.Unlock()
					k.results = append(k.results, took)
				})
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, err)
			})
		}
	}
	running.Wait()
	require.NoError(t, failed)
	for _, k := range []*kind{ours, fastest, byDefault} {
		require.Len(t, k.results, n)
		s.logf("%-48s %s", k.name, k.results)
	}
	assert.LessOrEqual(t, ours.results.percentile(99), time.Second)
}

// A rolling restart of the scaler, in the middle of which first messages come to sleeping
// fleets: KEDA's streams move to the new pods, and none costs a push longer than 3 s.
func TestRollingRestartDelaysNoPush(t *testing.T) {
	turn := beside(t, preparing)
	limit := 30 * time.Second // on whatever machine; what went wrong waited for KEDA's back-off, up to 60 s
	if os.Getenv("E2E_MEASURE") != "" {
		limit = 3 * time.Second
	}
	s := newSpaceWithRedis(t, "restart")
	s.refusePods()
	fleets := make([]*sleeper, number(t, "E2E_FLEETS", 12))
	for i := range fleets {
		fleets[i] = s.newSleeper(nil, fmt.Sprintf("sleeper-%d", i))
	}
	turn.disturb(restartsScalers, scalers)
	client := s.redisClient() // not before: the forwarded port would not outlive what others do to the node
	for _, fleet := range fleets {
		fleet.redis = client
	}
	stop := make(chan struct{})
	var running sync.WaitGroup
	var mu sync.Mutex
	var results latencies
	var failed error
	for _, fleet := range fleets {
		running.Go(func() {
			for {
				// Several wake each second, at any moment of the restart.
				err := fleet.cycles(1, 3*time.Second, func(took time.Duration) {
					mu.Lock()
					defer mu.Unlock()
					results = append(results, took)
				})
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
				select {
				case <-stop:
					return
				default:
					if err != nil {
						return
					}
				}
			}
		})
	}
	s.until(wakeLimit, "some have woken before the restart", func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if len(results) < len(fleets)/2 {
			return fmt.Errorf("%d have", len(results))
		}
		return failed
	})
	out, err := run(t.Context(), "kubectl", "-n", systemNamespace, "rollout", "restart", "deployment/"+release+"-scaler")
	require.NoError(t, err)
	s.logf("%s", firstLine(out))
	s.until(env.settling(), "the new scalers are ready, and the old ones gone", func(ctx context.Context) error {
		return available(ctx, systemNamespace, release+"-scaler")
	})
	close(stop)
	running.Wait()
	require.NoError(t, failed)
	s.logf("during a rolling restart: %s", results)
	assert.GreaterOrEqual(t, len(results), len(fleets))
	assert.LessOrEqual(t, results.percentile(100), limit)
}
