//go:build e2e

package suite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// An upgrade from a chart that made the certificates itself takes them over, while fleets wake. The first upgrade's controller never
// starts, and KEDA still has its certificate, also for a fleet that is new. The second one takes over. KEDA keeps to its Secret
// until the third. From the first one on, until only the new authority is trusted and the former Secrets are gone, no call of
// KEDA's fails.
func TestCertificatesOfAnOlderChartAreTakenOver(t *testing.T) {
	// Not in parallel: installations are not.
	installOlderChart(t)
	s := newSpaceWithRedis(t, "takeover")
	s.refusePods()
	redis := s.redisClient()
	fleets := make([]*sleeper, number(t, "E2E_FLEETS", 10))
	for i := range fleets {
		fleets[i] = s.newSleeper(redis, fmt.Sprintf("sleeper-%d", i))
		require.NoError(t, fleets[i].cycles(1, time.Second, func(time.Duration) {}))
	}
	chart, err := filepath.Abs("../../charts/pubsub-operator")
	require.NoError(t, err)
	upgrade := upgradeOf(chart, "tls.managed.settle="+rotationSettle.String())
	_, err = run(t.Context(), "helm", append(upgrade, "--reuse-values")...)
	require.ErrorContains(t, err, "use --reset-then-reuse-values", "the values of the older chart lack some")
	former := s.secret("keda-tls", env.kedaNamespace)
	require.NotNil(t, former)

	since := time.Now()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	woken := wakeAgain(ctx, &running, fleets)
	_, err = run(t.Context(), "helm", append(upgrade, "--reset-then-reuse-values", "--set-string", "image.tag=there-is-none")...)
	require.NoError(t, err)
	fleets = append(fleets, s.newSleeper(redis, "in-between"))
	require.NoError(t, fleets[len(fleets)-1].cycles(2, time.Second, func(time.Duration) {}), "KEDA asks about a fleet that it has not known")
	require.Empty(t, s.secret("keda-cert", env.kedaNamespace).Data, "nobody has filled it yet")
	_, err = run(t.Context(), "helm", append(upgrade, "--reset-then-reuse-values")...)
	require.NoError(t, err)
	s.until(installTimeout, "the certificates of before are in use, and all trust the new authority, too", func(context.Context) error {
		return s.takenOver(former, 2)
	})
	s.until(installTimeout, "the new version is rolled out", func(ctx context.Context) error {
		return errors.Join(available(ctx, systemNamespace, release+"-controller"), available(ctx, systemNamespace, release+"-scaler"))
	})
	s.until(2*rotationSettle+3*time.Minute, "only the new authority is trusted, also by who reads the former Secrets", func(context.Context) error {
		return s.takenOver(nil, 1)
	})
	assert.Equal(t, release+"-keda-tls", s.kedaReads(), "KEDA reads the Secret that it has always read")
	require.NoError(t, install(t.Context()))
	assert.Equal(t, release+"-keda-cert", s.kedaReads())
	assert.Nil(t, s.secret("keda-tls", env.kedaNamespace), "the third upgrade deletes it")
	assert.Nil(t, s.secret("server-tls", systemNamespace))
	stop()
	running.Wait()
	require.NoError(t, woken.failed)
	for _, fleet := range fleets {
		require.NoError(t, fleet.cycles(1, time.Second, func(time.Duration) {}), "after all of it")
	}
	s.logf("from the upgrade on: %s", woken.took)
	assert.Empty(t, s.kedaErrors(since), "KEDA's errors about the fleets")
}

// The scaler's new pods can't start, and the controller takes the certificates over meanwhile. A second upgrade leaves the pods of
// before their Secret: they get the new authority in it, and one that is lost comes back. It goes when they have gone.
func TestPodsFromBeforeAnUpgradeKeepTheirSecret(t *testing.T) {
	// Not in parallel: installations are not.
	installOlderChart(t)
	s := newSpaceWithRedis(t, "stuck")
	s.refusePods()
	fleet := s.newSleeper(s.redisClient(), "sleeper")
	require.NoError(t, fleet.cycles(1, time.Second, func(time.Duration) {}))
	former := s.secret("keda-tls", env.kedaNamespace)
	require.NotNil(t, former)
	chart, err := filepath.Abs("../../charts/pubsub-operator")
	require.NoError(t, err)
	upgrade := func(set ...string) {
		args := upgradeOf(chart, append(set, "tls.managed.settle="+rotationSettle.String())...)
		_, err := run(t.Context(), "helm", append(args, "--reset-then-reuse-values")...)
		require.NoError(t, err)
	}

	const nowhere = "scaler.nodeSelector.none=such" // no node has that label
	since := time.Now()
	upgrade(nowhere)
	s.until(installTimeout, "the certificates of before are in use, and all trust the new authority, too", func(context.Context) error {
		return s.takenOver(former, 2)
	})
	upgrade(nowhere)
	assert.Equal(t, release+"-keda-cert", s.kedaReads())
	require.NotNil(t, s.secret("server-tls", systemNamespace), "pods from before mount it")
	require.NotNil(t, s.secret("people-tls", systemNamespace), "pods from before name it for kubectl pubsub")
	const scalers = "app.kubernetes.io/component=scaler"
	pod := strings.Fields(s.kubectlIn(systemNamespace, "get", "pods", "--selector", scalers, "--field-selector", "status.phase=Running", "-o", "jsonpath={.items[*].metadata.name}"))
	require.NotEmpty(t, pod)
	s.kubectlIn(systemNamespace, "delete", "pod", pod[0])
	s.until(installTimeout, "a pod from before is ready in its place", func(ctx context.Context) error {
		ready := s.kubectlIn(systemNamespace, "get", "deployment", release+"-scaler", "-o", "jsonpath={.status.readyReplicas}")
		names := s.kubectlIn(systemNamespace, "get", "pods", "--selector", scalers, "-o", "jsonpath={.items[*].metadata.name}")
		if ready == fmt.Sprint(len(pod)) && !strings.Contains(names, pod[0]) {
			return nil
		}
		return fmt.Errorf("%s ready of %s", ready, names)
	})
	require.NoError(t, fleet.cycles(1, time.Second, func(time.Duration) {}))

	upgrade("scaler.nodeSelector.none=null") // as if it had never been set
	s.until(installTimeout, "the new version is rolled out", func(ctx context.Context) error { return available(ctx, systemNamespace, release+"-scaler") })
	upgrade()
	assert.Nil(t, s.secret("server-tls", systemNamespace), "nobody mounts it any more")
	assert.Nil(t, s.secret("people-tls", systemNamespace), "nobody names it any more")
	require.NoError(t, fleet.cycles(1, time.Second, func(time.Duration) {}))
	assert.Empty(t, s.kedaErrors(since), "KEDA's errors about the fleet")
}

// A tool that renders the chart without a look at the cluster, and applies that, takes the certificates over, too: the controller
// finds the former Secrets, as nobody has deleted them.
func TestARenderedChartTakesCertificatesOver(t *testing.T) {
	// Not in parallel: installations are not.
	installOlderChart(t)
	s := newSpaceWithRedis(t, "rendered")
	s.refusePods()
	fleets := []*sleeper{s.newSleeper(s.redisClient(), "sleeper")}
	former := s.secret("keda-tls", env.kedaNamespace)
	require.NotNil(t, former)
	chart, err := filepath.Abs("../../charts/pubsub-operator")
	require.NoError(t, err)
	args := append([]string{"template", "--kube-version", "1.36.0", "--no-hooks", "--set", "crds.enabled=false"}, upgradeOf(chart, "tls.managed.settle="+rotationSettle.String())[1:]...)
	rendered, err := run(t.Context(), "helm", args...)
	require.NoError(t, err)
	t.Cleanup(func() { // they are not of the release, which is installed again after this
		assert.NoError(t, uninstall(context.Background()))
		_, err := runWith(context.Background(), strings.NewReader(rendered), "kubectl", "delete", "--ignore-not-found", "--filename", "-")
		assert.NoError(t, err)
	})

	since := time.Now()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	woken := wakeAgain(ctx, &running, fleets)
	_, err = runWith(t.Context(), strings.NewReader(rendered), "kubectl", "apply", "--server-side", "--force-conflicts", "--filename", "-")
	require.NoError(t, err)
	s.until(installTimeout, "the certificates of before are in use, and all trust the new authority, too", func(context.Context) error {
		return s.takenOver(former, 2)
	})
	assert.Equal(t, release+"-keda-cert", s.kedaReads())
	s.until(installTimeout, "the new version is rolled out", func(ctx context.Context) error {
		return errors.Join(available(ctx, systemNamespace, release+"-controller"), available(ctx, systemNamespace, release+"-scaler"))
	})
	stop()
	running.Wait()
	require.NoError(t, woken.failed)
	require.NoError(t, fleets[0].cycles(2, time.Second, func(time.Duration) {}))
	assert.Empty(t, s.kedaErrors(since), "KEDA's errors about the fleet")
}

// installOlderChart replaces the installation by the chart of E2E_OLD_CHART, for the time of the test.
func installOlderChart(t *testing.T) {
	t.Helper()
	chart := os.Getenv("E2E_OLD_CHART")
	if chart == "" {
		t.Skip("it takes minutes and an older chart: run make e2e-takeover, which sets E2E_OLD_CHART to the folder of one of before tls.mode")
	}
	t.Cleanup(func() { // whatever happens, the others find an operator
		ctx, cancel := context.WithTimeout(context.Background(), installTimeout+time.Minute)
		defer cancel()
		assert.NoError(t, install(ctx))
	})
	require.NoError(t, uninstall(t.Context()))
	require.NoError(t, installChart(t.Context(), chart))
}

func uninstall(ctx context.Context) error {
	_, err := run(ctx, "helm", "uninstall", release, "--namespace", systemNamespace, "--wait", "--timeout", "55s")
	return err
}

// secret is one of the release; nil if there is none.
func (s *space) secret(name, namespace string) *corev1.Secret {
	s.t.Helper()
	secret := &corev1.Secret{}
	err := env.client.Get(s.t.Context(), client.ObjectKey{Namespace: namespace, Name: release + "-" + name}, secret)
	if apierrors.IsNotFound(err) {
		return nil
	}
	require.NoError(s.t, err)
	return secret
}

// takenOver is nil where each Secret trusts as many authorities, and the former ones hold the same. KEDA's certificate is that of
// before, or if none is given, another authority's than the chart's.
func (s *space) takenOver(before *corev1.Secret, trusted int) error {
	for owner, namespace := range map[string]string{"server": systemNamespace, "controller": systemNamespace, "people": systemNamespace, "keda": env.kedaNamespace} {
		if n := s.trusted(owner, namespace); n != trusted {
			return fmt.Errorf("%s trusts %d authorities", owner, n)
		}
		now, former := s.secret(owner+"-cert", namespace), s.secret(owner+"-tls", namespace)
		for _, file := range []string{"ca.crt", "tls.crt", "tls.key"} {
			if former == nil || string(now.Data[file]) != string(former.Data[file]) {
				return fmt.Errorf("the former Secret of %s has another %s", owner, file)
			}
		}
		if before == nil && s.issuer(owner, namespace) == release+"-ca" {
			return fmt.Errorf("%s has a certificate of the older chart", owner)
		}
	}
	if before != nil && string(s.secret("keda-cert", env.kedaNamespace).Data["tls.crt"]) != string(before.Data["tls.crt"]) {
		return errors.New("KEDA has another certificate than before")
	}
	return nil
}

// kedaReads is the name of the Secret that KEDA is told to read.
func (s *space) kedaReads() string {
	return s.kubectlIn("", "get", "clustertriggerauthentication", release, "-o", "jsonpath={.spec.secretTargetRef[1].name}")
}
