//go:build e2e

package suite

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// All certificates are renewed, and the scalers restarted, while twenty sleeping fleets wake
// again and again. Afterwards KEDA holds a stream for each of them once more, by which they
// are woken at once; without our doing it would have none until each ScaledObject is edited,
// and they would wake by its polling alone.
func TestRenewedCertificatesKeepPush(t *testing.T) {
	// Not in parallel: all others need the certificates, too.
	s := newSpaceWithRedis(t, "renewal")
	s.refusePods()
	redis := s.redisClient()
	fleets := make([]*sleeper, number(t, "E2E_FLEETS", 20))
	for i := range fleets {
		fleets[i] = s.newSleeper(redis, fmt.Sprintf("sleeper-%d", i))
	}
	s.until(env.settling(), "KEDA holds a stream for each", func(ctx context.Context) error { return streamsForAll(ctx) })

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	var mu sync.Mutex
	var during latencies
	var failed error
	for _, fleet := range fleets {
		running.Go(func() {
			for ctx.Err() == nil {
				err := fleet.cycles(1, 3*time.Second, func(took time.Duration) {
					mu.Lock()
					defer mu.Unlock()
					during = append(during, took)
				})
				if err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
					return
				}
			}
		})
	}
	before := s.certificate()
	require.NoError(t, env.client.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: release + "-server-tls"}}))
	require.NoError(t, install(t.Context()))
	require.NotEqual(t, before, s.certificate(), "the chart has made all certificates anew")
	_, err := run(t.Context(), "kubectl", "-n", systemNamespace, "rollout", "restart", "deployment/"+release+"-scaler")
	require.NoError(t, err)
	s.until(env.settling(), "the new scalers are ready, and the old ones gone", func(ctx context.Context) error {
		return available(ctx, systemNamespace, release+"-scaler")
	})
	s.until(renewalSettles+env.settling(), "KEDA holds a stream for each again", func(ctx context.Context) error { return streamsForAll(ctx) })
	stop()
	running.Wait()
	require.NoError(t, failed)
	s.logf("while certificates were renewed: %s", during)

	var after latencies
	for _, fleet := range fleets {
		running.Go(func() {
			err := fleet.cycles(1, time.Second, func(took time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				after = append(after, took)
			})
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, err)
		})
	}
	running.Wait()
	require.NoError(t, failed)
	s.logf("after that: %s", after)
	assert.NoError(t, streamsForAll(t.Context()), "streams stay")
}

// renewalSettles is how long the controller lets renewed certificates settle, and how often it
// looks.
const renewalSettles = 2*time.Minute + 15*time.Second

// certificate is KEDA's.
func (s *space) certificate() string {
	s.t.Helper()
	secret := &corev1.Secret{}
	require.NoError(s.t, env.client.Get(s.t.Context(), client.ObjectKey{Namespace: env.kedaNamespace, Name: release + "-keda-tls"}, secret))
	return string(secret.Data[corev1.TLSCertKey])
}

// streamsForAll sees that the scalers have a stream from KEDA for each ScaledObject that asks
// them.
func streamsForAll(ctx context.Context) error {
	const gauge = `pubsub_scaler_grpc_streams{method="/externalscaler.ExternalScaler/StreamIsActive"}`
	var pods corev1.PodList
	err := env.client.List(ctx, &pods, client.InNamespace(systemNamespace), client.MatchingLabels{"app.kubernetes.io/component": "scaler"})
	if err != nil {
		return err
	}
	streams := 0
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp != nil {
			return fmt.Errorf("pod %s is still being stopped", pod.Name)
		}
		page, err := run(ctx, "kubectl", "get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:8080/proxy/metrics", systemNamespace, pod.Name))
		if err != nil {
			return err
		}
		for line := range strings.Lines(page) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), gauge+" "); ok {
				n, err := strconv.Atoi(value)
				if err != nil {
					return err
				}
				streams += n
			}
		}
	}
	addresses, err := run(ctx, "kubectl", "get", "scaledobjects", "--all-namespaces", "-o", `jsonpath={range .items[*].spec.triggers[?(@.type=="external-push")]}{.metadata.scalerAddress}{"\n"}{end}`)
	if err != nil {
		return err
	}
	if wanted := strings.Count(addresses, scalerAddress+"\n"); streams != wanted {
		return fmt.Errorf("%d streams for %d ScaledObjects", streams, wanted)
	}
	return nil
}
