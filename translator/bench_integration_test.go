//go:build integration

package translator

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
)

const (
	// benchWorkers is the program's default of --max-concurrent-reconciles.
	benchWorkers = 4
	// benchQuiet is for how long nothing may be written before everything counts as done.
	benchQuiet = 3 * time.Second
	// benchPatience is how long that may take.
	benchPatience = 20 * time.Minute
	// benchModels is how many channels' writes are kept to choose a typical one from.
	benchModels = 100
)

// BenchmarkController measures how fast the controller gives b.N channels, each with
// autoscaling on, their Deployment, ScaledObject and status, from its start to its last
// write, and what they cost it; and beside it a bare client that sends the same writes to
// another API server, half of them before and half after, so that load from elsewhere
// slows both. One operation is one channel: run it with -benchtime 1000x.
func BenchmarkController(b *testing.B) {
	if b.N == 1 {
		return // the testing package's trial
	}
	b.StopTimer()
	bareSide, ourSide := startPlaneWithKEDA(b), startPlaneWithKEDA(b)
	client := bareSide.model(b)
	bareTook, bareCPU := client.run(b, bareSide.channels(b, "before", b.N/2), benchWorkers)

	empty := ourSide.emptyHeap(b)
	ourSide.channels(b, "ours", b.N)
	written := newWrites(false)
	times, cpu, start := reconcileTimes(b), cpuTime(b), time.Now()
	b.StartTimer()
	stop := runController(b, written.config(ourSide.config), answering{}, benchOptions)
	took := written.untilQuiet(b, 3*b.N).Sub(start)
	b.StopTimer()
	cpu, times = cpuTime(b)-cpu, reconcileTimes(b).minus(times)
	perChannel := (float64(liveHeap()) - float64(empty)) / float64(b.N)
	stop()
	ourSide.verify(b, "ours", b.N)

	moreTook, moreCPU := client.run(b, bareSide.channels(b, "after", b.N-b.N/2), benchWorkers)
	n, bareTook := float64(b.N), bareTook+moreTook
	for unit, value := range map[string]float64{
		"ns/op":                      float64(took.Nanoseconds()) / n,
		"s-for-all":                  took.Seconds(),
		"bare-s-for-all":             bareTook.Seconds(),
		"channels/s":                 n / took.Seconds(),
		"bare-channels/s":            n / bareTook.Seconds(),
		"%-of-bare":                  100 * bareTook.Seconds() / took.Seconds(),
		"heap-B/channel":             perChannel,
		"reconcile-p50-ms":           1000 * times.quantile(0.5),
		"reconcile-p99-ms":           1000 * times.quantile(0.99),
		"reconciles/channel":         float64(times.total()) / n,
		"writes/channel":             float64(written.count) / n,
		"bare-writes/channel":        float64(len(client.model)),
		"client-cpu-ms/channel":      cpu.Seconds() * 1000 / n,
		"bare-client-cpu-ms/channel": (bareCPU + moreCPU).Seconds() * 1000 / n,
	} {
		b.ReportMetric(value, unit)
	}
	kinds := []string{loadOfMachine()}
	for _, kind := range slices.Sorted(maps.Keys(written.kinds)) {
		kinds = append(kinds, fmt.Sprintf("%d %s", written.kinds[kind], kind))
	}
	b.Log(strings.Join(kinds, ", ")) // in one line: of a benchmark's log only the first ten are printed
}

// benchOptions are the program's defaults.
func benchOptions(_ *manager.Options, o *Options) {
	o.StatusInterval = 15 * time.Second
	o.MaxConcurrentReconciles = benchWorkers
}

// loadOfMachine says how busy the machine was, where the system tells.
func loadOfMachine() string {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "load unknown"
	}
	return "load at the end: " + strings.TrimSpace(string(load))
}

// model runs the controller on a few channels, and makes a bare client of what it writes
// for a typical one.
func (p *plane) model(b *testing.B) *bare {
	b.Helper()
	written := newWrites(true)
	channels := p.channels(b, "models", benchModels)
	stop := runController(b, written.config(p.config), answering{}, benchOptions)
	written.untilQuiet(b, 3*benchModels)
	stop()
	// A bare client never sends more than the controller does on average.
	most := written.count / benchModels
	for _, channel := range channels {
		if kept := written.kept[channel.Name]; len(kept) == most {
			sends := []string{"the bare client sends"}
			for _, one := range kept {
				sends = append(sends, fmt.Sprintf("%s %s, %d bytes", one.method, one.path, len(one.body)))
			}
			b.Log(strings.Join(sends, "\n"))
			return newBare(b, p.config, kept, channel)
		}
	}
	b.Fatalf("no channel had %d writes", most)
	return nil
}

// channels creates channels, all alike, in a namespace of their own, whose name is filled
// up to a length that is the same for all.
func (p *plane) channels(b *testing.B, namespace string, n int) []*v1.PubSubChannel {
	b.Helper()
	namespace = benchNamespace(namespace)
	require.NoError(b, p.Create(b.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
	all := make([]*v1.PubSubChannel, n)
	failed := make([]error, benchWorkers)
	var working sync.WaitGroup
	for worker := range benchWorkers {
		working.Go(func() {
			for i := worker; i < n && failed[worker] == nil; i += benchWorkers {
				all[i] = &v1.PubSubChannel{
					ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("channel-%06d", i)},
					Spec: v1.PubSubChannelSpec{
						ChannelName: fmt.Sprintf("orders-%06d", i), RedisAddress: "redis.data.svc:6379",
						AutoScaling: &v1.AutoScalingSpec{Enabled: true, MaxReplicas: 20},
					},
				}
				failed[worker] = p.Create(b.Context(), all[i])
			}
		})
	}
	working.Wait()
	for _, err := range failed {
		require.NoError(b, err)
	}
	return all
}

func benchNamespace(name string) string { return name + strings.Repeat("0", 8-len(name)) }

// emptyHeap is what lives in this process while the controller has only one channel.
func (p *plane) emptyHeap(b *testing.B) uint64 {
	b.Helper()
	p.channels(b, "empty", 1)
	written := newWrites(false)
	stop := runController(b, written.config(p.config), answering{}, benchOptions)
	written.untilQuiet(b, 3)
	defer stop()
	return liveHeap()
}

// verify finds what the controller has not done.
func (p *plane) verify(b *testing.B, namespace string, n int) {
	b.Helper()
	var channels v1.PubSubChannelList
	var deployments appsv1.DeploymentList
	var scaledObjects kedav1alpha1.ScaledObjectList
	for _, list := range []client.ObjectList{&channels, &deployments, &scaledObjects} {
		require.NoError(b, p.List(b.Context(), list, client.InNamespace(benchNamespace(namespace))))
	}
	require.Len(b, channels.Items, n)
	require.Len(b, deployments.Items, n)
	require.Len(b, scaledObjects.Items, n)
	for _, deployment := range deployments.Items {
		require.False(b, ownerHas(&deployment, ownership.Main), deployment.Name)
	}
	for _, channel := range channels.Items {
		require.Equal(b, channel.Generation, channel.Status.ObservedGeneration, channel.Name)
		require.NotNil(b, channel.Status.QueueDepth, channel.Name)
		require.NotEmpty(b, channel.Status.Selector, channel.Name)
	}
}
