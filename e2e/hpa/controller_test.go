package hpa_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	scalefake "k8s.io/client-go/scale/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
	external "k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
	externalfake "k8s.io/metrics/pkg/client/external_metrics/fake"
	"k8s.io/utils/ptr"
)

// hpaSync is one sync of the HPA, as the API server and the metrics adapter see it.
type hpaSync struct {
	start     time.Time // when it read the scale
	spec      int32     // spec.replicas then
	status    int32     // status.replicas then
	lastScale time.Time // status.lastScaleTime then; zero: never
	asked     bool      // whether it asked for the metric
	value     float64   // the metric's answer
	writes    int       // how often it wrote the scale
	wrote     time.Time // when it last did
	after     int32     // spec.replicas afterwards
	scaledAt  time.Time // status.lastScaleTime afterwards
}

// run is the HPA's own controller with one HPA, and what surrounds it.
type run struct {
	hpa           *autoscalingv2.HorizontalPodAutoscaler
	period        time.Duration // --horizontal-pod-autoscaler-sync-period, at least 1 s
	tolerance     float64       // --horizontal-pod-autoscaler-tolerance
	stabilization time.Duration // --horizontal-pod-autoscaler-downscale-stabilization
	spec          int32         // the target's spec.replicas

	// begin is called when a sync reads the scale: here time may pass, and somebody else
	// may have changed the replicas (s.spec, s.status). It must not be nil.
	begin func(s *hpaSync)
	// metric is what KEDA's adapter answers. It is called with the sync that asks.
	metric func(s *hpaSync) float64

	syncs []*hpaSync
}

const (
	namespace  = "default"
	targetName = "emails-subscriber"
	metricName = "s0-pubsub-emails"
)

// newHPA is the HPA that KEDA makes of a ScaledObject (KEDA 2.21, controllers/keda/hpa.go):
// one external metric with an average value.
func newHPA(minReplicas, maxReplicas int32, target float64, behavior *autoscalingv2.HorizontalPodAutoscalerBehavior) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "keda-hpa-emails"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: targetName},
			MinReplicas:    &minReplicas,
			MaxReplicas:    maxReplicas,
			Behavior:       behavior,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ExternalMetricSourceType,
				External: &autoscalingv2.ExternalMetricSource{
					Metric: autoscalingv2.MetricIdentifier{Name: metricName, Selector: &metav1.LabelSelector{}},
					Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: ptr.To(quantity(target))},
				},
			}},
		},
	}
}

// quantity is how KEDA hands a float to the HPA, both as a target and as a value
// (KEDA 2.21, pkg/scalers/scaler.go, quantityFromFloat64).
func quantity(value float64) resource.Quantity {
	if math.IsNaN(value) || math.IsInf(value, 0) || value < 0 {
		return resource.MustParse("0")
	}
	return resource.MustParse(fmt.Sprintf("%.3f", value))
}

// forSyncs lets the controller work for so many syncs of fake time. It must be called in a
// bubble of testing/synctest.
func (r *run) forSyncs(t *testing.T, count int) {
	t.Helper()
	ctx, cancel := context.WithCancel(klog.NewContext(t.Context(), logr.Discard()))
	defer cancel()
	done := make(chan struct{})
	client := r.hpaClient()
	factory := informers.NewSharedInformerFactory(client, 12*time.Hour)
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{appsv1.SchemeGroupVersion})
	mapper.Add(appsv1.SchemeGroupVersion.WithKind("Deployment"), meta.RESTScopeNamespace)
	controller := podautoscaler.NewHorizontalController(
		ctx, eventClient().CoreV1(), r.scaleClient(count, done), client.AutoscalingV2(), mapper,
		metrics.NewRESTMetricsClient(nil, nil, r.metricsClient()),
		factory.Autoscaling().V2().HorizontalPodAutoscalers(), factory.Core().V1().Pods(),
		r.period, r.stabilization, r.tolerance, 5*time.Minute, 30*time.Second,
	)
	factory.Start(ctx.Done())
	go controller.Run(ctx, 1)
	select {
	case <-done:
	case <-time.After(time.Duration(count+10) * (r.period + 10*time.Second)): // fake time
		t.Errorf("the controller did %d of %d syncs", len(r.syncs), count)
	}
	synctest.Wait()
	cancel()
	factory.Shutdown()
	// The work queue's ticker looks at its end only when it next ticks.
	<-time.After(time.Minute)
	require.Len(t, r.syncs, count)
}

func scale(spec, status int32) *autoscalingv1.Scale {
	return &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: targetName},
		Spec:       autoscalingv1.ScaleSpec{Replicas: spec},
		Status:     autoscalingv1.ScaleStatus{Replicas: status, Selector: "app=pubsub-subscriber"},
	}
}

// scaleClient is the target's /scale. The sync after the last one closes done.
func (r *run) scaleClient(count int, done chan struct{}) *scalefake.FakeScaleClient {
	client := &scalefake.FakeScaleClient{}
	client.AddReactor("get", "deployments", func(clienttesting.Action) (bool, runtime.Object, error) {
		if len(r.syncs) == count {
			close(done)
			return true, scale(0, 0), nil // the HPA is switched off
		}
		s := &hpaSync{spec: r.spec, status: r.spec, lastScale: r.lastScale()}
		r.syncs = append(r.syncs, s)
		r.begin(s)
		r.spec = s.spec
		s.start, s.after, s.scaledAt = time.Now(), s.spec, s.lastScale
		return true, scale(s.spec, s.status), nil
	})
	client.AddReactor("update", "deployments", func(action clienttesting.Action) (bool, runtime.Object, error) {
		scale := action.(clienttesting.UpdateAction).GetObject().(*autoscalingv1.Scale)
		s := r.syncs[len(r.syncs)-1]
		s.writes++
		s.wrote = time.Now()
		s.after, r.spec = scale.Spec.Replicas, scale.Spec.Replicas
		return true, scale, nil
	})
	return client
}

func (r *run) lastScale() time.Time {
	if r.hpa.Status.LastScaleTime == nil {
		return time.Time{}
	}
	return r.hpa.Status.LastScaleTime.Time
}

func (r *run) metricsClient() *externalfake.FakeExternalMetricsClient {
	client := &externalfake.FakeExternalMetricsClient{}
	client.AddReactor("list", metricName, func(clienttesting.Action) (bool, runtime.Object, error) {
		s := r.syncs[len(r.syncs)-1]
		s.asked, s.value = true, r.metric(s)
		return true, &external.ExternalMetricValueList{Items: []external.ExternalMetricValue{{
			MetricName: metricName, Timestamp: metav1.Now(), Value: quantity(s.value),
		}}}, nil
	})
	return client
}

// hpaClient is the API server as far as the HPA goes: it keeps whole seconds of
// lastScaleTime, takes no status that was made from an older one, and tells the informer
// of what the controller wrote.
func (r *run) hpaClient() *fake.Clientset {
	client := &fake.Clientset{}
	watcher := watch.NewRaceFreeFake()
	version := 0
	client.AddReactor("list", "horizontalpodautoscalers", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &autoscalingv2.HorizontalPodAutoscalerList{Items: []autoscalingv2.HorizontalPodAutoscaler{*r.hpa.DeepCopy()}}, nil
	})
	client.AddReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &corev1.PodList{}, nil
	})
	client.AddReactor("update", "horizontalpodautoscalers", func(action clienttesting.Action) (bool, runtime.Object, error) {
		hpa := action.(clienttesting.UpdateAction).GetObject().(*autoscalingv2.HorizontalPodAutoscaler).DeepCopy()
		if hpa.ResourceVersion != r.hpa.ResourceVersion {
			return true, nil, apierrors.NewConflict(autoscalingv2.Resource("horizontalpodautoscalers"), hpa.Name, errors.New("the object has been modified"))
		}
		version++
		hpa.ResourceVersion = strconv.Itoa(version)
		if at := hpa.Status.LastScaleTime; at != nil {
			hpa.Status.LastScaleTime = ptr.To(at.Rfc3339Copy())
		}
		r.hpa = hpa
		if len(r.syncs) > 0 {
			r.syncs[len(r.syncs)-1].scaledAt = r.lastScale()
		}
		watcher.Modify(hpa.DeepCopy())
		return true, hpa, nil
	})
	client.AddWatchReactor("horizontalpodautoscalers", clienttesting.DefaultWatchReactor(watcher, nil))
	client.AddWatchReactor("pods", clienttesting.DefaultWatchReactor(watch.NewFake(), nil))
	return client
}

// eventClient takes the controller's events, and keeps none.
func eventClient() *fake.Clientset {
	client := &fake.Clientset{}
	client.AddReactor("*", "events", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if create, ok := action.(clienttesting.CreateAction); ok {
			return true, create.GetObject(), nil
		}
		return true, &corev1.Event{}, nil
	})
	return client
}

// describe prints a behavior for a failed test.
func describe(behavior *autoscalingv2.HorizontalPodAutoscalerBehavior) string {
	text, err := json.Marshal(behavior)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
