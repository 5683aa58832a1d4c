package translator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/jawaracloud/pubsub-operator/translator/apply"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// hasScaledObjects asks the API server whether KEDA's CRD is there. The answer is not
// cached while it is no: controller-runtime's mapper looks again.
func hasScaledObjects(mapper meta.RESTMapper) (bool, error) {
	_, err := mapper.RESTMapping(kedav1alpha1.Kind("ScaledObject"), kedav1alpha1.SchemeGroupVersion.Version)
	switch {
	case err == nil:
		return true, nil
	case meta.IsNoMatchError(err):
		return false, nil
	default:
		return false, fmt.Errorf("asking the API server for scaledobjects.keda.sh/v1alpha1: %w", err)
	}
}

// kedaWaiter waits for KEDA to be installed and then starts what needs it. It is a manager
// Runnable of the leader.
type kedaWaiter struct {
	mapper   meta.RESTMapper
	interval time.Duration
	start    func(context.Context) error
	log      logr.Logger
}

// Start returns once KEDA is there, or the context ends.
func (w *kedaWaiter) Start(ctx context.Context) error {
	w.log.Info("KEDA is not installed: channels with autoScaling enabled wait for it, all others work",
		"missing", "scaledobjects.keda.sh/v1alpha1")
	ticker := time.NewTicker(w.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		switch found, err := hasScaledObjects(w.mapper); {
		case err != nil:
			w.log.V(1).Info("can't tell whether KEDA is installed; trying again", "cause", err.Error())
		case found:
			w.log.Info("KEDA is installed now: starting to autoscale")
			return w.start(ctx)
		}
	}
}

// kedaLoss is what the channels learn from one another when KEDA's CRDs are taken away while
// the controller runs: one of them asks in each interval whether they are back, and the others
// need not, who would ask twice each at every look. The zero value is ready for use.
type kedaLoss struct {
	mu       sync.Mutex
	lost     bool
	next     time.Time // when the next channel asks
	interval time.Duration
}

// asks reports whether a channel is to ask the API server.
func (l *kedaLoss) asks(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost && now.Before(l.next) && l.next.Sub(now) <= l.interval { // or the clock was put back
		return false
	}
	l.next = now.Add(l.interval)
	return true
}

// heard takes what a channel learned, and reports whether that is new.
func (l *kedaLoss) heard(err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := l.lost
	switch {
	case errors.Is(err, apply.ErrKEDANotInstalled):
		lost = true
	case err == nil:
		lost = false
	}
	if p := (*plan.Problem)(nil); lost && errors.As(err, &p) && p != apply.ErrKEDANotInstalled {
		l.next = time.Time{} // this channel may not have got as far as to ask: the next one does
	}
	changed := lost != l.lost
	l.lost = lost
	return changed
}

// syncScaledObjectUnlessLost is ScaledObject while KEDA's CRDs are there, and logs their
// going and coming in one line for all channels.
func (r *Reconciler) syncScaledObjectUnlessLost(ctx context.Context, p *plan.Plan) (*kedav1alpha1.ScaledObject, error) {
	if !r.kedaInstalled.Load() || !r.kedaLoss.asks(r.now()) {
		return nil, apply.ErrKEDANotInstalled
	}
	scaledObject, err := r.children.ScaledObject(ctx, p)
	switch changed := r.kedaLoss.heard(err); {
	case changed && err != nil:
		r.log.Info("KEDA's CRDs are gone: channels with autoScaling enabled wait for them, and their workers stay as they are", "missing", "scaledobjects.keda.sh/v1alpha1")
	case changed:
		r.log.Info("KEDA's CRDs are back: autoscaling goes on")
	}
	return scaledObject, err
}
