package translator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
)

// Faulty channels delay no other. Both benchmarks measure how long a healthy channel waits, from its event until it was
// looked at or its answer is there, as the median and the 99th percentile, while so many others are faulty in one way. docs/performance.md has the numbers.

const (
	faultyPrefix = "faulty-"
	// besideInterval is the status interval, the controller's default.
	besideInterval = 15 * time.Second
	// besideReconcile is what a reconcile takes that writes: some round trips to the API server.
	besideReconcile = 5 * time.Millisecond
	// besideWorkers is --max-concurrent-reconciles' default.
	besideWorkers = 4
)

func isFaulty(name string) bool { return strings.HasPrefix(name, faultyPrefix) }

// reportWaits reports the waits' percentiles.
func reportWaits(b *testing.B, waits []time.Duration) {
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkReconcileBesideFaulty is the controller's own queue, pace and number of workers, with a reconcile that only takes its time.
func BenchmarkReconcileBesideFaulty(b *testing.B) {
	outcomes := map[string]func() (reconcile.Result, error){
		"errors":    func() (reconcile.Result, error) { return reconcile.Result{}, errors.New("the API server fails") },
		"conflicts": func() (reconcile.Result, error) { return reconcile.Result{RequeueAfter: conflictRetry}, nil },
	}
	for _, kind := range []string{"errors", "conflicts"} {
		for _, faulty := range []int{0, 10, 100} {
			b.Run(fmt.Sprintf("%s/faulty=%d", kind, faulty), func(b *testing.B) { reconcileBeside(b, outcomes[kind], faulty) })
		}
	}
}

func reconcileBeside(b *testing.B, outcome func() (reconcile.Result, error), faulty int) {
	looked, adding := make(chan string, 1), make(chan workqueue.TypedRateLimitingInterface[reconcile.Request], 1)
	options := queueOptions(besideInterval)
	options.Reconciler = reconcile.Func(func(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
		pauseFor(ctx, besideReconcile)
		if isFaulty(r.Name) {
			return outcome()
		}
		looked <- r.Name
		return reconcile.Result{}, nil
	})
	options.MaxConcurrentReconciles, options.SkipNameValidation, options.LogConstructor = besideWorkers, new(true), func(*reconcile.Request) logr.Logger { return logr.Discard() }
	c, err := controller.NewTypedUnmanaged("bench", options)
	require.NoError(b, err)
	require.NoError(b, c.Watch(source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		for i := range faulty {
			queue.Add(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: fmt.Sprint(faultyPrefix, i)}})
		}
		adding <- queue
		return nil
	})))
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Start(ctx) }()
	queue := <-adding
	var waits []time.Duration
	for b.Loop() {
		began := time.Now()
		queue.Add(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: fmt.Sprint("healthy-", len(waits))}})
		<-looked
		waits = append(waits, time.Since(began))
	}
	cancel()
	require.NoError(b, <-ended)
	reportWaits(b, waits)
}

// BenchmarkAnswerBesideFaulty is the observer: how long a new question of a healthy channel waits for its answer.
func BenchmarkAnswerBesideFaulty(b *testing.B) {
	answers := map[string]func(context.Context) (*inspectv1.ExplainResponse, error){
		"errors": func(context.Context) (*inspectv1.ExplainResponse, error) {
			return nil, status.Error(codes.Unavailable, "the server does not answer")
		},
		"slow": func(ctx context.Context) (*inspectv1.ExplainResponse, error) {
			<-ctx.Done() // explainTimeout
			return nil, status.FromContextError(ctx.Err()).Err()
		},
	}
	for _, kind := range []string{"errors", "slow"} {
		for _, faulty := range []int{0, 100, 1000} {
			b.Run(fmt.Sprintf("%s/faulty=%d", kind, faulty), func(b *testing.B) { answerBeside(b, answers[kind], faulty) })
		}
	}
}

func answerBeside(b *testing.B, answer func(context.Context) (*inspectv1.ExplainResponse, error), faulty int) {
	o := newObserver(explainFunc(func(ctx context.Context, request *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
		if isFaulty(request.GetName()) {
			return answer(ctx)
		}
		return &inspectv1.ExplainResponse{QueueDepth: 7}, nil
	}), besideInterval, clock.RealClock{})
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- o.Start(ctx) }()
	question := inquiry.NewQuestion(trigger.Trigger{ChannelName: "a"}, 3, false)
	// They came one after the other over an interval, as they go on to be asked.
	for i := range faulty {
		key := types.NamespacedName{Namespace: "shop", Name: fmt.Sprint(faultyPrefix, i)}
		o.mu.Lock()
		o.followed[key] = &following{question: &question}
		o.mu.Unlock()
		o.due.AddAfter(key, besideInterval*time.Duration(i)/time.Duration(faulty))
	}
	var waits []time.Duration
	for b.Loop() {
		healthy := types.NamespacedName{Namespace: "shop", Name: fmt.Sprint("healthy-", len(waits))}
		began := time.Now()
		o.follow(healthy, question)
		for key := range o.changed {
			if key == healthy {
				break
			}
		}
		waits = append(waits, time.Since(began))
		o.forget(healthy)
		pauseFor(ctx, besideReconcile)
	}
	cancel()
	require.NoError(b, <-ended)
	reportWaits(b, waits)
}

func pauseFor(ctx context.Context, duration time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(duration):
	}
}
