//go:build e2e

package suite

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An upgrade from a chart that made the certificates itself takes them over: while fleets wake,
// and KEDA keeps what it read before, no call of KEDA's fails, from the upgrade on until only
// the new authority is trusted.
func TestCertificatesOfAnOlderChartAreTakenOver(t *testing.T) {
	// Not in parallel: installations are not.
	chart := os.Getenv("E2E_OLD_CHART")
	if chart == "" {
		t.Skip("set E2E_OLD_CHART to the folder of a chart of before tls.mode, for example of commit b9994c6")
	}
	t.Cleanup(func() { // whatever happens, the others find an operator
		ctx, cancel := context.WithTimeout(context.Background(), installTimeout+time.Minute)
		defer cancel()
		assert.NoError(t, install(ctx))
	})
	_, err := run(t.Context(), "helm", "uninstall", release, "--namespace", systemNamespace, "--wait", "--timeout", "55s")
	require.NoError(t, err)
	installing, cancel := context.WithTimeout(t.Context(), installTimeout)
	defer cancel()
	_, err = run(installing, "helm", "install", release, chart, "--namespace", systemNamespace, "--wait", "--timeout", installTimeout.String(),
		"--set-string", "image.tag="+env.imageTag, "--set", "keda.namespace="+env.kedaNamespace)
	require.NoError(t, err)
	s := newSpaceWithRedis(t, "takeover")
	s.refusePods()
	redis := s.redisClient()
	fleets := make([]*sleeper, number(t, "E2E_FLEETS", 10))
	for i := range fleets {
		fleets[i] = s.newSleeper(redis, fmt.Sprintf("sleeper-%d", i))
		require.NoError(t, fleets[i].cycles(1, time.Second, func(time.Duration) {}))
	}

	since := time.Now()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	woken := wakeAgain(ctx, &running, fleets)
	require.NoError(t, install(t.Context()))
	assert.Equal(t, release+"-ca", s.issuer("keda", env.kedaNamespace), "the certificate of before is in use")
	assert.Equal(t, 2, s.trusted("server", systemNamespace))
	require.NoError(t, install(t.Context()))
	assert.Equal(t, release+"-ca", s.issuer("keda", env.kedaNamespace), "a second upgrade, which hands nothing over any more, takes nothing away")
	s.until(2*rotationSettle+2*time.Minute, "only the new authority is trusted", func(context.Context) error {
		for owner, namespace := range map[string]string{"server": systemNamespace, "keda": env.kedaNamespace} {
			if n := s.trusted(owner, namespace); n != 1 {
				return fmt.Errorf("%s trusts %d authorities", owner, n)
			}
		}
		return nil
	})
	assert.NotEqual(t, release+"-ca", s.issuer("keda", env.kedaNamespace))
	stop()
	running.Wait()
	require.NoError(t, woken.failed)
	s.logf("from the upgrade on: %s", woken.took)
	assert.Empty(t, s.kedaErrors(since), "KEDA's errors about the fleets")
}
