//go:build e2e

package suite

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jawaracloud/pubsub-operator/e2e/sharing"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

// freshness is how old the depth and the replicas of an answer may be: two ticks of the
// sampler, and what a loaded machine adds to a probe.
const freshness = 2*time.Second + 1500*time.Millisecond

// reading is one depth of the list, and when it was set.
type reading struct {
	depth int64
	at    time.Time
}

// load sets a list's depth again and again, and remembers what it was when.
type load struct {
	mu       sync.Mutex
	readings []reading
}

func (l *load) note(depth int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readings = append(l.readings, reading{depth, time.Now()})
}

// between is every depth that the list had in that time.
func (l *load) between(from, to time.Time) []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var depths []int64
	for i, r := range l.readings {
		until := to.Add(time.Second) // of the last one
		if i+1 < len(l.readings) {
			until = l.readings[i+1].at
		}
		if !r.at.After(to) && !until.Before(from) {
			depths = append(depths, r.depth)
		}
	}
	return depths
}

// run walks the depth at random, up and down over what ten replicas stand for.
func (l *load) run(ctx context.Context, client *redis.Client, key string) error {
	const script = `redis.call('DEL', KEYS[1])
for i = 1, tonumber(ARGV[1]) do redis.call('RPUSH', KEYS[1], i) end`
	for ctx.Err() == nil {
		depth := rand.Int64N(1800)
		l.note(depth) // from here on it may be this or the one before
		if err := client.Eval(ctx, script, []string{key}, depth).Err(); err != nil && !errors.Is(err, redis.Nil) && ctx.Err() == nil {
			return err
		}
		l.note(depth)
		_ = wait(ctx, time.Duration(3+rand.IntN(12))*time.Second)
	}
	return nil
}

// prober asks every scaler that runs, over and over.
type prober struct {
	s           *space
	credentials credentials.TransportCredentials
	channel     string
	spec        policy.Spec
	load        *load
	recorder    *recorder

	mu      sync.Mutex
	answers map[string]int // right ones, by pod
	wrong   []string
}

func newProber(s *space, channel string, spec policy.Spec, l *load, r *recorder) *prober {
	secret := &corev1.Secret{}
	require.NoError(s.t, env.client.Get(s.t.Context(), client.ObjectKey{Namespace: systemNamespace, Name: release + "-people-cert"}, secret))
	pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
	require.NoError(s.t, err)
	roots := x509.NewCertPool()
	require.True(s.t, roots.AppendCertsFromPEM(secret.Data["ca.crt"]))
	return &prober{
		s: s, channel: channel, spec: spec, load: l, recorder: r, answers: map[string]int{},
		credentials: credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS13}),
	}
}

// follow asks one pod until it goes away. A pod that can't be asked gives no answer, which
// is not a wrong one.
func (p *prober) follow(ctx context.Context, pod string) {
	forward, err := startForward(ctx, systemNamespace, "pod/"+pod, ":9090")
	if err != nil {
		return
	}
	defer forward.stop()
	connection, err := grpc.NewClient(forward.address, grpc.WithTransportCredentials(p.credentials))
	if err != nil {
		return
	}
	defer func() { _ = connection.Close() }()
	inspector := inspectv1.NewInspectorClient(connection)
	for wait(ctx, 300*time.Millisecond) == nil {
		select {
		case <-forward.ended:
			return
		default:
		}
		asked := time.Now()
		call, cancel := context.WithTimeout(ctx, 3*time.Second)
		answer, err := inspector.Explain(call, &inspectv1.ExplainRequest{Name: p.channel, Namespace: p.s.name})
		cancel()
		if err == nil {
			p.check(pod, answer, asked, time.Now())
		}
	}
}

// check compares an answer with what was so when it was given.
func (p *prober) check(pod string, answer *inspectv1.ExplainResponse, asked, answered time.Time) {
	var faults []string
	if depths := p.load.between(asked.Add(-freshness), answered); !slices.Contains(depths, answer.GetQueueDepth()) {
		faults = append(faults, fmt.Sprintf("depth %d, but it was one of %v", answer.GetQueueDepth(), depths))
	}
	if replicas := p.recorder.between(asked.Add(-freshness), answered.Add(time.Second)); !slices.Contains(replicas, answer.GetReplicas()) {
		faults = append(faults, fmt.Sprintf("replicas %d, but they were one of %v", answer.GetReplicas(), replicas))
	}
	state := policy.State{Replicas: answer.GetReplicas(), Depth: answer.GetQueueDepth()}
	if answer.LastScaleTime != nil {
		state.LastScale = answer.GetLastScaleTime().AsTime()
	}
	early, late := state, state
	early.Now, late.Now = asked.Add(-time.Second), answered.Add(time.Second) // a cooldown may end in between
	wanted := []int32{policy.Decide(p.spec, early).Desired, policy.Decide(p.spec, late).Desired}
	if !slices.Contains(wanted, answer.GetDesiredReplicas()) {
		faults = append(faults, fmt.Sprintf("desired %d, but the policy decides %v", answer.GetDesiredReplicas(), wanted))
	}
	if value := float64(int64(answer.GetDesiredReplicas()) * p.spec.TargetQueueDepth); answer.GetToleranceHonoured() && value != answer.GetMetricValue() {
		faults = append(faults, fmt.Sprintf("value %v, not %v", answer.GetMetricValue(), value))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(faults) > 0 {
		p.wrong = append(p.wrong, fmt.Sprintf("%s at %s: %s (%s)", pod, asked.Format(time.TimeOnly), strings.Join(faults, "; "), answer.GetExplanation()))
		return
	}
	p.answers[pod]++
}

// between is every value that spec.replicas had in that time.
func (r *recorder) between(from, to time.Time) []int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var values []int32
	for i, s := range r.steps {
		if s.at.After(to) || i+1 < len(r.steps) && r.steps[i+1].at.Before(from) {
			continue
		}
		values = append(values, s.replicas)
	}
	return values
}

// readyScalers are the names of the scaler's ready pods, the oldest first.
func readyScalers(ctx context.Context) ([]string, error) {
	pods := &corev1.PodList{}
	err := env.client.List(ctx, pods, client.InNamespace(systemNamespace), client.MatchingLabels{"app.kubernetes.io/component": "scaler"})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	var names []string
	for _, pod := range pods.Items {
		for _, condition := range pod.Status.Conditions {
			if pod.DeletionTimestamp == nil && condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				names = append(names, pod.Name)
			}
		}
	}
	return names, nil
}

// Two scalers share the load, and are killed in turn while the queue moves up and down.
// Every answer of either is what the policy makes of the queue and of the cluster; every
// scaling is one that a single scaler would have made; and the cooldown holds across the
// restarts, since no scaler remembers anything.
func TestScalersKilledInTurn(t *testing.T) {
	turn := beside(t, preparing)
	duration := time.Duration(number(t, "E2E_KILL_SECONDS", 60)) * time.Second
	s := newSpaceWithRedis(t, "killed")
	channel := newChannel("orders")
	channel.Spec.Queue = nil
	cooldown := setCooldown(channel, 3)
	park(channel)
	movement := &load{}
	movement.note(0)
	replicas := s.createAndSettle(channel)
	spec := policy.DefaultSpec()
	spec.MinReplicas, spec.MaxReplicas, spec.Cooldown = 2, 10, cooldown

	// KEDA's pods may end meanwhile, too (TestCooldownOverKEDARestarts): scalers are asked without it, and each scaling is
	// still to be a decision of theirs.
	turn.take(sharing.Claim{Disturbs: []sharing.Part{scalers}, Needs: []sharing.Part{node, operator}, Order: endsPods})
	s.untilFollowed("orders")
	ctx, stop := context.WithTimeout(t.Context(), duration)
	defer stop()
	moving, rest := context.WithCancel(t.Context())
	defer rest()
	var running sync.WaitGroup
	redisClient := s.redisClient()
	running.Go(func() { assert.NoError(t, movement.run(moving, redisClient, "orders")) })
	probes := newProber(s, "orders", spec, movement, replicas)
	kills := s.killInTurn(ctx, &running, probes)
	replicas.untilScaled()
	rest()
	running.Wait()

	probes.mu.Lock()
	defer probes.mu.Unlock()
	right := 0
	for _, n := range probes.answers {
		right += n
	}
	s.logf("%d scalers killed; %d right answers of %d pods, %d wrong ones; %d scalings: %v", kills, right, len(probes.answers), len(probes.wrong), len(replicas.values())-1, replicas.values())
	assert.Empty(t, probes.wrong)
	assert.Positive(t, kills)
	assert.Positive(t, right)
	replicas.requireCooldown(cooldown)
	s.requireDecided(replicas, movement, spec)
}

// killInTurn kills the oldest scaler whenever two are ready, until ctx ends, and has each
// that appears followed. It returns how many it killed.
func (s *space) killInTurn(ctx context.Context, running *sync.WaitGroup, probes *prober) int {
	followed := map[string]bool{}
	kills, settled := 0, time.Time{}
	for wait(ctx, time.Second) == nil {
		names, err := readyScalers(ctx)
		if err != nil {
			continue // the API server is asked again
		}
		for _, name := range names {
			if !followed[name] {
				followed[name] = true
				running.Go(func() { probes.follow(ctx, name) })
			}
		}
		if len(names) < 2 {
			settled = time.Time{}
			continue
		}
		if settled.IsZero() {
			settled = time.Now()
		}
		if time.Since(settled) < 12*time.Second { // both answer for a while
			continue
		}
		if _, err := run(ctx, "kubectl", "-n", systemNamespace, "delete", "pod", names[0], "--grace-period=0", "--force"); err == nil {
			s.logf("killed %s", names[0])
			kills++
		}
		settled = time.Time{}
	}
	return kills
}

// untilScaled waits until there was a second scaling, while the depth moves. Without it no cooldown could be wrong. A random depth
// asks for none at times, and who ends KEDA, or scalers, may keep the HPA from asking just then.
func (r *recorder) untilScaled() {
	r.s.t.Helper()
	r.s.until(env.settling(), "there were two scalings", func(context.Context) error {
		if values := r.values(); len(values) < 3 {
			return fmt.Errorf("spec.replicas went %v", values)
		}
		return nil
	})
}

// requireDecided requires that each scaling is what the policy decides for a depth that the
// queue had when the HPA asked: it acts on the answer at once, and the watch tells soon, or on a busy machine some
// seconds later.
func (s *space) requireDecided(r *recorder, movement *load, spec policy.Spec) {
	s.t.Helper()
	all := r.all()
	for i := 1; i < len(all); i++ {
		from, to := all[i-1].replicas, all[i].replicas
		depths := movement.between(all[i].at.Add(-freshness-6*time.Second), all[i].at)
		decided := slices.ContainsFunc(depths, func(depth int64) bool {
			return policy.Decide(spec, policy.State{Replicas: from, Depth: depth, Now: all[i].at}).Desired == to
		})
		assert.Truef(s.t, decided, "%d → %d at %s was no decision of the policy for any depth of %v", from, to, all[i].at.Format(time.TimeOnly), depths)
	}
}
