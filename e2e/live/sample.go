package live

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// sample is what the API server said of the workers at one moment.
type sample struct {
	at            time.Time
	wanted, ready int32 // spec.replicas and status.readyReplicas
	load          float64
}

// podStart is how long a pod took from its creation until it was ready.
type podStart struct {
	created time.Time
	took    time.Duration
}

// sampler asks for the workers' Deployment once a second.
type sampler struct {
	client client.Client
	key    client.ObjectKey

	samples []sample
	starts  map[string]podStart // by the pod's name
}

func (s *sampler) look(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var d appsv1.Deployment
	if err := s.client.Get(ctx, s.key, &d); err != nil {
		return err
	}
	if d.Spec.Replicas == nil {
		return fmt.Errorf("deployment %s has no replicas", s.key)
	}
	load, err := loadAverage()
	if err != nil {
		return err
	}
	s.samples = append(s.samples, sample{now, *d.Spec.Replicas, d.Status.ReadyReplicas, load})
	return nil
}

// lookAtPods notes how long pods took until they were ready.
func (s *sampler) lookAtPods(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var pods corev1.PodList
	if err := s.client.List(ctx, &pods, client.InNamespace(s.key.Namespace)); err != nil {
		return err
	}
	for _, pod := range pods.Items {
		for _, condition := range pod.Status.Conditions {
			_, known := s.starts[pod.Name]
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue && !known && strings.HasPrefix(pod.Name, s.key.Name) {
				s.starts[pod.Name] = podStart{pod.CreationTimestamp.Time, condition.LastTransitionTime.Sub(pod.CreationTimestamp.Time)}
			}
		}
	}
	return nil
}

// podStart is the mean start of the pods that were created from then on; of all pods if there is
// none.
func (s *sampler) podStart(from time.Time) time.Duration {
	var sum, all time.Duration
	count := 0
	for _, start := range s.starts {
		all += start.took
		if !start.created.Before(from) {
			sum += start.took
			count++
		}
	}
	if count == 0 {
		return all / time.Duration(max(1, len(s.starts)))
	}
	return sum / time.Duration(count)
}

// loadAverage is the machine's, of the last minute.
func loadAverage() (float64, error) {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	return strconv.ParseFloat(first, 64)
}

// perSecond are the replicas of each second from began on, for that many seconds: those of the
// last sample by then.
func perSecond(samples []sample, began time.Time, seconds int) (wanted, ready []int32) {
	next := 0
	var last sample
	for second := range seconds {
		end := began.Add(time.Duration(second+1) * time.Second)
		for next < len(samples) && (samples[next].at.Before(end) || second == 0 && next == 0) {
			last = samples[next]
			next++
		}
		wanted, ready = append(wanted, last.wanted), append(ready, last.ready)
	}
	return wanted, ready
}
