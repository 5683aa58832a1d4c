//go:build integration

package translator

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/apply"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/limits"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
)

var (
	pairs     = flag.Int("pairs", 1000, "how many pairs of channels TestAppliedOverIsAppliedAlone tries")
	pairsSeed = flag.Uint64("pairs-seed", 1, "the seed that they are made from")
)

// What was applied before leaves no trace: for any two legal channels A and B, and settings
// of the operator, the children are the same whether B was applied over A or alone; and once
// they are, nothing more is written.
func TestAppliedOverIsAppliedAlone(t *testing.T) {
	t.Parallel()
	keda, err := kedaCRDs()
	require.NoError(t, err)
	p := startPlane(t, map[string]string{
		"feature-gates":  gates(t, "ClusterTrustBundle", "ClusterTrustBundleProjection", "PodCertificateRequest"),
		"runtime-config": "certificates.k8s.io/v1alpha1=true,certificates.k8s.io/v1beta1=true",
	}, channelCRDs, keda)
	seen := newCoverage()
	known := podSchemaOf(t, p.config)
	workers := 2 * runtime.NumCPU()
	var left, refused atomic.Int64
	var unknown []string
	left.Store(int64(*pairs))
	var group sync.WaitGroup
	for i := range workers {
		over, alone := p.stage(t, "over-"), p.stage(t, "alone-")
		m := newMaker(t, *pairsSeed, uint64(i))
		unknown = m.keepTo(t, known)
		group.Go(func() {
			var before *wanted
			var had *v1.PubSubChannelSpec
			for left.Add(-1) >= 0 && !t.Failed() {
				next := alone.legal(t, m, &refused)
				want := alone.children(t, next)
				assert.NoError(t, over.apply(t, next))
				if !assert.Equal(t, want, over.children(t, next), "seed %d, worker %d: %s\napplied over %s", *pairsSeed, i, next, before) {
					return
				}
				has := over.stored(t)
				seen.pair(had, has)
				before, had = next, has
				alone.clear(t)
			}
		})
	}
	group.Wait()
	for _, path := range unknown {
		lacks(t, p.config, path)
	}
	t.Logf("%d pairs; %d more were no legal channels", *pairs, refused.Load())
	assert.Less(t, refused.Load(), 4*int64(*pairs), "much of what is made is legal")
	if !t.Failed() {
		seen.check(t, unknown)
	}
}

// The pairs that broke once: what is left out of B stays out.
func TestRemovalsReachTheChildren(t *testing.T) {
	t.Parallel()
	p := startPlaneWithKEDA(t)
	base := `{channelName: m, autoScaling: {enabled: true, minReplicas: 1}`
	for name, test := range map[string]struct {
		before, after string
		tls           bool
		pod           string // what the API server has to have; empty: every one does
	}{
		"consumerGroup":       {before: base + `, queue: {type: Stream, consumerGroup: gg}}`, after: base + `, queue: {type: Stream}}`},
		"maxAge":              {before: base + `, queue: {type: Stream, maxAge: 90s}}`, after: base + `, queue: {type: Stream}}`},
		"keys":                {before: base + `, queue: {keys: [a, b]}}`, after: base + `, queue: {}}`},
		"redis":               {before: base + `, redis: {passwordSecret: {name: s}, tls: {}}}`, after: base + `}`},
		"a trigger's name":    {before: `{channelName: m, autoScaling: {enabled: true, triggers: [{type: cpu, name: busy, metricType: Utilization, metadata: {value: "70"}}]}}`, after: `{channelName: m, autoScaling: {enabled: true, triggers: [{type: cpu, metricType: Utilization, metadata: {value: "70"}}]}}`},
		"a toleration":        {before: base + `, template: {spec: {tolerations: [{key: a, operator: Exists, effect: NoSchedule}]}}}`, after: base + `, template: {spec: {tolerations: [{key: a, operator: Exists}]}}}`},
		"a label selector":    {before: base + `, template: {spec: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: k, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {a: b}}}]}}}`, after: base + `, template: {spec: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: k, whenUnsatisfiable: DoNotSchedule, labelSelector: {}}]}}}`},
		"the operator's TLS":  {before: base + `}`, after: base + `}`, tls: true},
		"an optional Secret":  {before: base + `, env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}}]}`, after: base + `, env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]}`},
		"a projected token":   {before: base + `, template: {spec: {volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t, audience: a, expirationSeconds: 3601}}]}}]}}}`, after: base + `, template: {spec: {volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]}}}`},
		"a pull policy":       {before: base + `, image: mine}`, after: base + `, image: "mine:1"}`},
		"a volume's source":   {before: base + `, template: {spec: {volumes: [{name: v}]}}}`, after: base + `, template: {spec: {volumes: [{name: v, configMap: {name: c}}]}}}`},
		"a volume's kind":     {before: base + `, template: {spec: {volumes: [{name: v, secret: {secretName: c}}]}}}`, after: base + `, template: {spec: {volumes: [{name: v, configMap: {name: c}}]}}}`},
		"an image's name":     {before: base + `, template: {spec: {volumes: [{name: v, image: {reference: "i:1"}}]}}}`, after: base + `, template: {spec: {volumes: [{name: v, image: {}}]}}}`, pod: `{volumes: [{name: v, image: {reference: "i:1"}}]}`},
		"a probe's handler":   {before: base + `, template: {spec: {containers: [{name: subscriber, livenessProbe: {httpGet: {port: 1}}}]}}}`, after: base + `, template: {spec: {containers: [{name: subscriber, livenessProbe: {exec: {command: [a]}}}]}}}`},
		"a zero, and nothing": {before: base + `, template: {spec: {tolerations: [{key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 0}]}}}`, after: base + `, template: {spec: {tolerations: [{key: a, operator: Exists, effect: NoExecute}]}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			if test.pod != "" {
				if parts, err := notKept(t, p, "default", test.pod); len(parts) > 0 || err != nil {
					lacks(t, p.config, test.pod)
					return
				}
			}
			over, alone := p.stage(t, "over-"), p.stage(t, "alone-")
			before, after := &wanted{spec: specFrom(t, test.before)}, &wanted{spec: specFrom(t, test.after)}
			if test.tls {
				before.scaler.TLS, before.scaler.AuthenticationRef = true, "pubsub-scaler"
			}
			require.NoError(t, over.apply(t, before))
			require.NoError(t, alone.apply(t, after))
			want := alone.children(t, after)
			require.NotEqual(t, want, over.children(t, before), "the two differ")
			require.NoError(t, over.apply(t, after))
			assert.Equal(t, want, over.children(t, after))
		})
	}
}

// wanted is what the children follow from.
type wanted struct {
	spec        v1.PubSubChannelSpec
	annotations map[string]string
	scaler      build.ScalerRef
}

func (w *wanted) String() string {
	if w == nil {
		return "nothing"
	}
	spec, _ := json.Marshal(w.spec)
	return fmt.Sprintf("%s %v %+v", spec, w.annotations, w.scaler)
}

// stage is a namespace with one channel, and a reconciler that reads as from its cache.
type stage struct {
	client.WithWatch
	namespace string
	writes    atomic.Int64
	exists    bool
}

func (p *plane) stage(t *testing.T, name string) *stage {
	t.Helper()
	s := &stage{WithWatch: p.WithWatch}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: name}}
	require.NoError(t, p.Create(t.Context(), namespace))
	s.namespace = namespace.Name
	return s
}

// cached reads as caches do, which keep only a part, and counts what is written.
func (s *stage) cached(caches *Caches) client.Client {
	return interceptor.NewClient(s.WithWatch, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			if err := c.Get(ctx, key, object, options...); err != nil {
				return err
			}
			var err error
			switch object := object.(type) {
			case *appsv1.Deployment:
				_, err = caches.slimDeployment(object)
			case *policyv1.PodDisruptionBudget:
				var slim any
				slim, err = caches.slimDisruptionBudget(object)
				if foreign := slim.(*policyv1.PodDisruptionBudget); foreign != object {
					foreign.DeepCopyInto(object)
				}
			case *kedav1alpha1.ScaledObject:
				var slim any
				slim, err = caches.slimScaledObject(object)
				slim.(*kedav1alpha1.ScaledObject).DeepCopyInto(object)
			}
			return err
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, _ ...client.ListOption) error {
			budgets := list.(*policyv1.PodDisruptionBudgetList) // by the index
			if err := c.List(ctx, budgets, client.InNamespace(s.namespace)); err != nil {
				return err
			}
			budgets.Items = slices.DeleteFunc(budgets.Items, func(b policyv1.PodDisruptionBudget) bool { return !apply.ForeignBudget(&b) })
			return nil
		},
		Apply: func(ctx context.Context, c client.WithWatch, object kruntime.ApplyConfiguration, options ...client.ApplyOption) error {
			s.writes.Add(1)
			return c.Apply(ctx, object, options...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.DeleteOption) error {
			s.writes.Add(1)
			return c.Delete(ctx, object, options...)
		},
	})
}

func (s *stage) reconciler(scaler build.ScalerRef) *Reconciler {
	scaler.Address = testScaler.Address
	caches := NewCaches(nil, nil)
	cached := s.cached(caches)
	r := &Reconciler{now: time.Now, client: cached, scaledObjects: cached, log: logr.Discard(), counters: newCounters()}
	r.children = &apply.Applier{
		Client: cached, Live: s.WithWatch, ScaledObjects: cached, Owned: &caches.owned,
		Scaler: scaler, Certificates: r.certificates.hashFor, Now: r.now, Warn: r.warn, Limits: limits.Limits{
			PodSecurity: "privileged", ServiceAccounts: []string{"*"}, ClusterTriggerAuthentications: []string{"*"}, KEDAIdentity: true,
		},
	}
	r.kedaInstalled.Store(true)
	return r
}

// rounds is how many reconciles at most it may take until nothing is written any more.
const rounds = 5

// apply makes the channel what is wanted, and its children until nothing more is written.
func (s *stage) apply(t *testing.T, w *wanted) error {
	channel := s.channel()
	if s.exists {
		if err := s.Get(t.Context(), client.ObjectKeyFromObject(channel), channel); err != nil {
			return err
		}
	}
	channel.Annotations, channel.Spec = w.annotations, *w.spec.DeepCopy()
	write := func() error { return s.Create(t.Context(), channel) }
	if s.exists {
		write = func() error { return s.Update(t.Context(), channel) }
	}
	if err := write(); err != nil {
		return err
	}
	s.exists = true
	r := s.reconciler(w.scaler)
	for range rounds {
		before := s.writes.Load()
		if _, errs := r.syncChildren(t.Context(), testWorkers.Plan(channel)); len(errs) > 0 {
			return errors.Join(errs...)
		}
		if s.writes.Load() == before {
			return nil
		}
	}
	return fmt.Errorf("still something to write after %d rounds: %s", rounds, w)
}

func (s *stage) channel() *v1.PubSubChannel {
	return &v1.PubSubChannel{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "orders"}}
}

// stored is the channel's spec with the API server's defaults.
func (s *stage) stored(t *testing.T) *v1.PubSubChannelSpec {
	channel := s.channel()
	assert.NoError(t, s.Get(t.Context(), client.ObjectKeyFromObject(channel), channel))
	return &channel.Spec
}

// legal applies something that the API server and the operator accept.
func (s *stage) legal(t *testing.T, m *maker, refused *atomic.Int64) *wanted {
	for {
		w := m.make(t)
		err := s.apply(t, w)
		if err == nil {
			return w
		}
		if told, _ := apply.Assess([]error{err}); told == nil {
			assert.NoError(t, err)
			return w
		}
		if refused.Add(1)%20 == 1 {
			t.Logf("not legal: %v", err)
		}
		s.clear(t)
	}
}

func (s *stage) objects() []client.Object {
	channel := s.channel()
	return []client.Object{
		deploymentOf(channel), &policyv1.PodDisruptionBudget{ObjectMeta: deploymentOf(channel).ObjectMeta}, scaledObjectOf(channel),
	}
}

func (s *stage) clear(t *testing.T) {
	for _, object := range append(s.objects(), s.channel()) {
		assert.NoError(t, client.IgnoreNotFound(s.Delete(t.Context(), object)))
	}
	s.exists = false
}

// children are the channel's, without what tells one object from another; and which of
// their fields are the operator's.
func (s *stage) children(t *testing.T, w *wanted) map[string]any {
	all := map[string]any{}
	channel := &v1.PubSubChannel{Spec: w.spec}
	auto := testWorkers.Plan(channel).AutoScaled
	for _, object := range s.objects() {
		if err := s.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			assert.True(t, apierrors.IsNotFound(err), "%v", err)
			continue
		}
		if _, budget := object.(*policyv1.PodDisruptionBudget); budget && channel.Spec.Paused && !auto {
			continue // whether there is one follows from the number of workers that the pause keeps
		}
		NewCaches(nil, nil).keepOwners(object)
		fields, err := kruntime.DefaultUnstructuredConverter.ToUnstructured(object)
		assert.NoError(t, err)
		spec := fields["spec"].(map[string]any)
		if _, deployment := object.(*appsv1.Deployment); deployment && (auto || channel.Spec.Paused) {
			delete(spec, "replicas")
		}
		owners := object.GetOwnerReferences()
		for i := range owners {
			owners[i].UID = ""
		}
		child := map[string]any{"labels": object.GetLabels(), "annotations": object.GetAnnotations(), "owners": owners, "spec": spec}
		for _, entry := range object.GetManagedFields() {
			if entry.Manager == ownership.Main {
				child["fields"] = entry.FieldsV1.String()
			}
		}
		all[fmt.Sprintf("%T", object)] = child
	}
	return all
}
