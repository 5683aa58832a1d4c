package translator

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/diagnosis"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
	"github.com/jawaracloud/pubsub-operator/translator/status"
)

// Pods are neither watched nor kept: those of channels whose workers are not up are asked for.
//
// +kubebuilder:rbac:groups="",resources=pods,verbs=list

const (
	// firstLook is how long workers may not be up before their pods are looked at: most are
	// up by then.
	firstLook = 4 * time.Second
	// nextLook is when they are looked at again, for as long as lookOften; then it is the
	// status interval, where that is longer.
	nextLook  = 5 * time.Second
	lookOften = time.Minute
	// looksPerSecond and looksAtOnce bound the looks for all channels together, so that a
	// fleet of thousands that starts does not ask for each one's pods at once.
	looksPerSecond = 20
	looksAtOnce    = 40
)

// podLooks looks at the pods of channels whose workers are not up. It keeps something only
// of those.
type podLooks struct {
	pods  client.Reader // from the API server
	pause func() time.Duration
	limit *rate.Limiter

	mu    sync.Mutex
	looks map[types.NamespacedName]podLook
}

// podLook is the last look at a channel's pods.
type podLook struct {
	channel, deployment int64 // their generations
	seen                diagnosis.Seen
	due                 time.Time // when to look next
	granted             bool      // then without asking the limit
}

// newPodLooks makes one that looks at pods that are not up at intervals of pause's.
func newPodLooks(pods client.Reader, pause func() time.Duration) *podLooks {
	return &podLooks{pods: pods, pause: pause, limit: rate.NewLimiter(looksPerSecond, looksAtOnce), looks: map[types.NamespacedName]podLook{}}
}

// look returns what is seen of the channel's pods, by a look at them where it is time for one.
func (p *podLooks) look(ctx context.Context, channel *v1.PubSubChannel, deployment *appsv1.Deployment, now time.Time) diagnosis.Seen {
	key := client.ObjectKeyFromObject(channel)
	last := status.LastReady(channel)
	if deployment.DeletionTimestamp == nil && deployment.Status.ObservedGeneration < deployment.Generation && keeps(channel, last) {
		return diagnosis.Seen{Kept: true} // its change brings us back
	}
	failing := last.Reason == v1.ReasonWorkersFailing || p.sawLoop(key, channel)
	if !worthALook(deployment, failing) {
		p.forget(key)
		return diagnosis.Seen{}
	}
	l := p.begin(key, channel, deployment, now)
	if wait := l.due.Sub(now); wait > 0 {
		l.seen.Again = wait
		return l.seen
	}
	if !l.granted {
		if wait := p.limit.ReserveN(now, 1).DelayFrom(now); wait > 0 {
			l.due, l.granted = now.Add(wait), true
			p.keep(key, l)
			l.seen.Again = wait
			return l.seen
		}
	}
	pods, err := p.list(ctx, channel)
	if err != nil {
		l.seen = diagnosis.Seen{Unread: err, Kept: keeps(channel, last)}
	} else {
		d := diagnosis.Circumstances{
			Updated: deployment.Status.UpdatedReplicas, Told: last.Message, Failing: failing,
			Logs: fmt.Sprintf("kubectl logs --namespace=%s --selector=%s", channel.Namespace, plan.SelectorText(channel)), Now: now,
		}
		l.seen = diagnosis.Seen{Trouble: d.Worst(pods)}
	}
	pause := p.pause()
	if last.Status != metav1.ConditionFalse || now.Sub(last.LastTransitionTime.Time) < lookOften {
		pause = min(pause, nextLook)
	}
	l.due, l.granted = now.Add(pause), false
	p.keep(key, l)
	l.seen.Again = pause
	return l.seen
}

// worthALook reports whether pods may tell why workers are not up. Where Kubernetes has still
// to look at the Deployment, or there are no pods of its template, a change of the Deployment
// brings us back. A container in a crash loop counts as ready for the moment that it runs.
func worthALook(deployment *appsv1.Deployment, failing bool) bool {
	counted := deployment.Status
	if deployment.DeletionTimestamp != nil || counted.ObservedGeneration < deployment.Generation || counted.UpdatedReplicas == 0 {
		return false
	}
	return !status.WorkersUp(deployment) || failing
}

// begin is the last look at this generation's pods, or one that is to come. What a generation
// of the channel has not been told of yet is not told of it from pods that may still be those
// of the one before.
func (p *podLooks) begin(key types.NamespacedName, channel *v1.PubSubChannel, deployment *appsv1.Deployment, now time.Time) podLook {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, known := p.looks[key]
	if known && l.channel == channel.Generation && l.deployment == deployment.Generation {
		return l
	}
	last := status.LastReady(channel)
	before := l
	l = podLook{channel: channel.Generation, deployment: deployment.Generation, due: now.Add(firstLook)}
	l.seen.Kept = keeps(channel, last)
	if known && before.channel == channel.Generation && !l.seen.Kept {
		l.seen = before.seen // only the Deployment changed, by a scaling for example
	}
	if !known && last.Status == metav1.ConditionFalse && last.ObservedGeneration == channel.Generation {
		l.due = last.LastTransitionTime.Add(firstLook) // long ago, where the controller has just started
	}
	p.looks[key] = l
	return l
}

// keeps reports whether the status tells something of this generation's pods.
func keeps(channel *v1.PubSubChannel, last metav1.Condition) bool {
	return diagnosis.OfPods(last.Reason) && last.ObservedGeneration == channel.Generation
}

func (p *podLooks) keep(key types.NamespacedName, l podLook) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looks[key] = l
}

func (p *podLooks) forget(key types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.looks, key)
}

// list gets a channel's pods as the API server's own cache has them, which costs it little;
// it then disregards a limit.
func (p *podLooks) list(ctx context.Context, channel *v1.PubSubChannel) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := within(ctx, "Pods", func(ctx context.Context) error {
		return p.pods.List(ctx, &pods, client.InNamespace(channel.Namespace), client.MatchingLabels(plan.SelectorLabels(channel)),
			&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: "0"}})
	})
	return pods.Items, err
}

// sawLoop reports whether the last look at this generation's pods found a crash loop: where
// something goes before it in Ready, that alone knows.
func (p *podLooks) sawLoop(key types.NamespacedName, channel *v1.PubSubChannel) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, known := p.looks[key]
	return known && l.channel == channel.Generation && l.seen.Trouble != nil && l.seen.Trouble.Severity == diagnosis.CrashLoop
}
