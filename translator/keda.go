package translator

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"k8s.io/apimachinery/pkg/api/meta"
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
