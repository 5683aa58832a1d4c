package watched_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jawaracloud/pubsub-operator/translator/watched"
)

const (
	// soon is how long anything that is to happen may take on a busy machine: an informer pauses
	// for up to a minute.
	soon = 3 * time.Minute
	tick = 10 * time.Millisecond
)

// errMiddle fails a read that began well.
var errMiddle = errors.New("can't be decoded in its middle")

var errForbidden = apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "", errors.New("nobody may"))

// logBuffer is written by many.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// count is how many lines hold all of these texts.
func (b *logBuffer) count(texts ...string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.SplitSeq(b.buf.String(), "\n") {
		all := true
		for _, text := range texts {
			all = all && strings.Contains(line, text)
		}
		if all {
			n++
		}
	}
	return n
}

// api is what an API server answers about one namespace, which has one object.
type api struct {
	mu       sync.Mutex
	err      error // of every request
	attempts int
	watches  []*watch.FakeWatcher
}

// answer is what it says from now on. Watches end.
func (a *api) answer(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
	for _, w := range a.watches {
		w.Stop()
	}
	a.watches = nil
}

// asked is how often it was.
func (a *api) asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.attempts
}

func (a *api) listWatch() *toolscache.ListWatch {
	return &toolscache.ListWatch{
		ListWithContextFunc: func(context.Context, metav1.ListOptions) (runtime.Object, error) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.attempts++
			if a.err != nil {
				return nil, a.err
			}
			return &corev1.SecretList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}, Items: []corev1.Secret{{ObjectMeta: metav1.ObjectMeta{Name: "orders"}}}}, nil
		},
		WatchFuncWithContext: func(_ context.Context, options metav1.ListOptions) (watch.Interface, error) {
			a.mu.Lock()
			defer a.mu.Unlock()
			if options.SendInitialEvents != nil {
				if errors.Is(a.err, errMiddle) {
					w := watch.NewFakeWithChanSize(1, false)
					w.Error(&apierrors.NewInternalError(errMiddle).ErrStatus)
					return w, nil
				}
				return nil, apierrors.NewInvalid(schema.GroupKind{}, "", nil) // it is too old to list by a watch
			}
			if a.err != nil {
				return nil, a.err
			}
			w := watch.NewFake()
			a.watches = append(a.watches, w)
			return w, nil
		},
	}
}

// suite is the namespaces shop and stock with an informer each.
type suite struct {
	namespaces *watched.Namespaces
	clock      *clocktesting.FakePassiveClock
	log        logBuffer
	apis       map[string]*api
	informers  map[string]toolscache.SharedIndexInformer
	heard      map[string]toolscache.ResourceEventHandlerRegistration
}

// start runs the informers; before it, an API server answers for shop with an error.
func start(t *testing.T, err error) *suite {
	t.Helper()
	s := &suite{
		clock: clocktesting.NewFakePassiveClock(time.Unix(1_800_000_000, 0)), apis: map[string]*api{},
		informers: map[string]toolscache.SharedIndexInformer{}, heard: map[string]toolscache.ResourceEventHandlerRegistration{},
	}
	s.namespaces = watched.New([]string{"shop", "stock"}, s.clock, slog.New(slog.NewTextHandler(&s.log, nil)))
	for namespace, config := range s.namespaces.Configs(nil) {
		a := &api{}
		if namespace == "shop" {
			a.err = err
		}
		i := s.namespaces.NewInformer(a.listWatch(), &corev1.Secret{}, 0, toolscache.Indexers{})
		require.NoError(t, i.SetTransform(config.Transform))
		registration, err := i.AddEventHandler(toolscache.ResourceEventHandlerFuncs{})
		require.NoError(t, err)
		s.apis[namespace], s.informers[namespace], s.heard[namespace] = a, i, registration
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); i.RunWithContext(ctx) }()
		t.Cleanup(func() { cancel(); <-ended })
	}
	return s
}

// filled reports whether nobody waits for a namespace any more.
func (s *suite) filled(namespace string) bool {
	return s.informers[namespace].HasSynced() && s.heard[namespace].HasSynced()
}

func (s *suite) untilFilled(t *testing.T, namespaces ...string) {
	t.Helper()
	for _, namespace := range namespaces {
		require.Eventually(t, func() bool { return s.filled(namespace) }, soon, tick, "%s", namespace)
	}
}

// A namespace that is refused is not waited for. It is told once, and served once it may be read.
func TestOneThatIsRefusedHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	s := start(t, errForbidden)
	s.untilFilled(t, "shop", "stock")
	require.NoError(t, s.namespaces.Check("stock"))
	require.NoError(t, s.namespaces.Ready())
	err := s.namespaces.Check("shop")
	require.ErrorIs(t, err, watched.ErrUnreadable)
	require.EqualError(t, err, `namespace shop can't be read: secrets is forbidden: nobody may: run helm upgrade, which makes its Role again (the namespace must exist), or take shop out of --watch-namespaces (the chart's watchNamespaces)`)
	assert.False(t, apierrors.IsForbidden(err), "who asks for an object would take it for an answer about that")
	assert.Equal(t, 1, s.namespaces.Unreadable())
	require.Eventually(t, func() bool { return s.apis["shop"].asked() > 1 }, soon, tick, "it goes on trying")
	assert.Equal(t, 1, s.log.count("level=ERROR", "namespace=shop", "secrets is forbidden"), "it is told once")

	s.apis["shop"].answer(nil)
	require.Eventually(t, func() bool { return s.namespaces.Check("shop") == nil }, soon, tick)
	assert.Len(t, s.informers["shop"].GetStore().List(), 1)
	require.Eventually(t, func() bool {
		return s.log.count("level=INFO", "a watched namespace can be read now", "namespace=shop") == 1
	}, soon, tick)
	assert.Equal(t, 0, s.log.count("namespace=stock"))
	assert.Equal(t, 0, s.namespaces.Unreadable())
}

// Any other failure may be over with the next attempt, and holds up the others for as long as
// one would wait for that.
func TestAnotherFailureHoldsUpTheOthersForAWhile(t *testing.T) {
	t.Parallel()
	s := start(t, errors.New("can't be decoded"))
	s.untilFilled(t, "stock")
	require.Eventually(t, func() bool { return s.apis["shop"].asked() > 1 }, soon, tick)
	assert.False(t, s.filled("shop"))
	require.NoError(t, s.namespaces.Check("shop"), "who asks waits for its answer")
	s.clock.SetTime(s.clock.Now().Add(30 * time.Second))
	s.untilFilled(t, "shop")
	require.EqualError(t, s.namespaces.Check("shop"), "namespace shop can't be read: can't be decoded: it is tried again")
	s.clock.SetTime(s.clock.Now().Add(-time.Second))
	assert.True(t, s.filled("shop"), "who has gone on is not held up later")
	s.apis["shop"].answer(nil)
	require.Eventually(t, func() bool { return s.namespaces.Check("shop") == nil }, soon, tick)
}

// A read that begins well at each attempt, and fails then, is one that fails. What is told is why.
func TestAReadThatFailsInItsMiddle(t *testing.T) {
	t.Parallel()
	s := start(t, errMiddle)
	s.untilFilled(t, "stock")
	require.Eventually(t, func() bool { return s.apis["shop"].asked() > 1 }, soon, tick)
	assert.False(t, s.filled("shop"))
	s.clock.SetTime(s.clock.Now().Add(30 * time.Second))
	before := s.apis["shop"].asked()
	require.Eventually(t, func() bool { return s.apis["shop"].asked() > before+1 }, soon, tick)
	require.True(t, s.filled("shop"))
	require.EqualError(t, s.namespaces.Check("shop"), "namespace shop can't be read: can't be decoded in its middle: it is tried again")
	assert.Equal(t, 1, s.log.count("level=ERROR", "namespace=shop", "can't be decoded in its middle"))
	s.apis["shop"].answer(nil)
	require.Eventually(t, func() bool { return s.namespaces.Check("shop") == nil }, soon, tick)
}

// What was read is good for as long as an API server may need that has just started; then who may
// not read any more knows nothing.
func TestOneThatWasReadAndIsRefusedLater(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.untilFilled(t, "shop", "stock")
	before := s.apis["shop"].asked()
	s.apis["shop"].answer(errForbidden)
	require.Eventually(t, func() bool { return s.apis["shop"].asked() > before+1 }, soon, tick)
	require.NoError(t, s.namespaces.Check("shop"))
	s.clock.SetTime(s.clock.Now().Add(30 * time.Second))
	require.ErrorIs(t, s.namespaces.Check("shop"), watched.ErrUnreadable)
	assert.True(t, s.filled("shop"))
	require.Eventually(t, func() bool { return s.log.count("level=ERROR", "namespace=shop") == 1 }, soon, tick)
	require.NoError(t, s.namespaces.Check("stock"))
	s.apis["shop"].answer(nil)
	require.Eventually(t, func() bool { return s.namespaces.Check("shop") == nil }, soon, tick)
}

// While an API server is away, what was read is all that there is.
func TestOneThatWasReadStaysGoodWhileTheAPIServerIsAway(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.untilFilled(t, "shop", "stock")
	before := s.apis["shop"].asked()
	s.apis["shop"].answer(errors.New("connection lost"))
	require.Eventually(t, func() bool { return s.apis["shop"].asked() > before+1 }, soon, tick)
	s.clock.SetTime(s.clock.Now().Add(time.Hour))
	assert.NoError(t, s.namespaces.Check("shop"))
}

func TestNoneCanBeRead(t *testing.T) {
	t.Parallel()
	s := start(t, errForbidden)
	s.untilFilled(t, "shop", "stock")
	before := s.apis["stock"].asked()
	s.apis["stock"].answer(errForbidden)
	require.Eventually(t, func() bool { return s.apis["stock"].asked() > before+1 }, soon, tick)
	s.clock.SetTime(s.clock.Now().Add(30 * time.Second))
	err := s.namespaces.Ready()
	require.ErrorContains(t, err, "none of the watched namespaces can be read: namespace shop can't be read: ")
	require.ErrorContains(t, err, "namespace stock can't be read: ")
}

// empty is a cache in which nothing is.
type empty struct{ cache.Cache }

func (empty) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, key.Name)
}

func (empty) List(context.Context, client.ObjectList, ...client.ListOption) error { return nil }

// That a namespace has nothing is no answer while nobody may look.
func TestGuard(t *testing.T) {
	t.Parallel()
	s := start(t, errForbidden)
	s.untilFilled(t, "shop", "stock")
	guarded := s.namespaces.Guard(empty{})
	get := func(namespace string) error {
		return guarded.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "orders"}, &corev1.Secret{})
	}
	require.ErrorIs(t, get("shop"), watched.ErrUnreadable)
	require.False(t, apierrors.IsNotFound(get("shop")))
	require.True(t, apierrors.IsNotFound(get("stock")))
	require.ErrorIs(t, guarded.List(t.Context(), &corev1.SecretList{}, client.InNamespace("shop")), watched.ErrUnreadable)
	require.NoError(t, guarded.List(t.Context(), &corev1.SecretList{}, client.InNamespace("stock")))
	require.NoError(t, guarded.List(t.Context(), &corev1.SecretList{}), "all that can be read")
}

func TestAHandlerCanBeRemoved(t *testing.T) {
	t.Parallel()
	s := start(t, errForbidden)
	require.NoError(t, s.informers["shop"].RemoveEventHandler(s.heard["shop"]))
}

// An informer whose namespace nobody knows would be waited for by nobody, or by everybody.
func TestAnInformerKnowsItsNamespace(t *testing.T) {
	t.Parallel()
	namespace, err := watched.NamespaceOf(watched.Transform("shop", nil))
	require.NoError(t, err)
	assert.Equal(t, "shop", namespace)
	for name, transform := range map[string]toolscache.TransformFunc{
		"none": nil, "another": func(object any) (any, error) { return object, nil },
		"one that fails": func(any) (any, error) { return nil, errors.New("what is this?") },
	} {
		_, err := watched.NamespaceOf(transform)
		require.ErrorContains(t, err, "finding out the namespace of an informer", name)
		s := watched.New([]string{"shop"}, clocktesting.NewFakePassiveClock(time.Time{}), slog.New(slog.DiscardHandler))
		require.Error(t, s.NewInformer((&api{}).listWatch(), &corev1.Secret{}, 0, toolscache.Indexers{}).SetTransform(transform), name)
	}
	got, err := watched.Transform("shop", func(any) (any, error) { return "changed", nil })("object")
	require.NoError(t, err)
	assert.Equal(t, "changed", got)
}

// Without names nothing is different from what a cache of the whole cluster does.
func TestAllNamespaces(t *testing.T) {
	t.Parallel()
	all := watched.New(nil, nil, nil)
	require.Nil(t, all)
	require.NoError(t, all.Check("shop"))
	require.NoError(t, all.Ready())
	assert.Zero(t, all.Unreadable())
	assert.Nil(t, all.Configs(nil))
	assert.Equal(t, cache.Cache(empty{}), all.Guard(empty{}))
	assert.NoError(t, all.NewInformer((&api{}).listWatch(), &corev1.Secret{}, 0, toolscache.Indexers{}).SetTransform(nil))
}
