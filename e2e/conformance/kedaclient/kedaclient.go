// Package kedaclient is KEDA's own client of external scalers, the code that its operator
// runs, for the checks of package contract.
package kedaclient

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/kedacore/keda/v2/pkg/scalers"
	"github.com/kedacore/keda/v2/pkg/scalers/scalersconfig"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/jawaracloud/pubsub-operator/e2e/conformance/contract"
)

// client is both of KEDA's scalers: "external" for the calls and "external-push" for the
// streams. They share one connection, as they do in KEDA.
type client struct {
	pull     scalers.Scaler
	push     scalers.PushScaler
	streamer scalers.MetricSpecStreamer
}

// New makes KEDA's client of a trigger, as KEDA does for the first trigger of a
// ScaledObject (KEDA v2.21.0, pkg/scaling/scalers_builder.go).
func New(trigger contract.Trigger) (contract.KEDA, error) {
	pull, err := scalers.NewExternalScaler(configOf(trigger, "external"))
	if err != nil {
		return nil, fmt.Errorf("KEDA's NewExternalScaler: %w", err)
	}
	push, err := scalers.NewExternalPushScaler(configOf(trigger, "external-push"))
	if err != nil {
		return nil, fmt.Errorf("KEDA's NewExternalPushScaler: %w", err)
	}
	streamer, ok := push.(scalers.MetricSpecStreamer)
	if !ok {
		return nil, fmt.Errorf("KEDA's push scaler has no MetricSpecChan: it is not %s", contract.KEDAVersion)
	}
	return &client{pull, push, streamer}, nil
}

func configOf(trigger contract.Trigger, kind string) *scalersconfig.ScalerConfig {
	config := &scalersconfig.ScalerConfig{
		ScalableObjectName:      trigger.Name,
		ScalableObjectNamespace: trigger.Namespace,
		ScalableObjectType:      "ScaledObject",
		TriggerType:             kind,
		TriggerMetadata:         trigger.Metadata,
		TriggerUniqueKey:        fmt.Sprintf("ScaledObject-%s-%s-0", trigger.Namespace, trigger.Name),
		AuthParams:              map[string]string{},
	}
	if tls := trigger.TLS; tls != nil {
		// What a TriggerAuthentication holds.
		for key, value := range map[string]string{"caCert": tls.CA, "tlsClientCert": tls.Certificate, "tlsClientKey": tls.Key} {
			if value != "" {
				config.AuthParams[key] = value
			}
		}
	}
	return config
}

// LogTo sends what KEDA's client logs to a writer; nil drops it. KEDA's client returns some
// errors to nobody, so its log is where they are to be read.
func LogTo(w io.Writer) {
	if w == nil {
		log.SetLogger(logr.Discard())
		return
	}
	log.SetLogger(funcr.New(func(prefix, args string) { fmt.Fprintln(w, "keda:", prefix, args) }, funcr.Options{Verbosity: 1}))
}

func (c *client) MetricSpecs(ctx context.Context) []contract.Spec {
	return convert(c.pull.GetMetricSpecForScaling(ctx))
}

func convert(specs []autoscalingv2.MetricSpec) []contract.Spec {
	var converted []contract.Spec
	for _, spec := range specs {
		converted = append(converted, contract.Spec{
			Name:   spec.External.Metric.Name,
			Target: spec.External.Target.AverageValue.AsApproximateFloat64(),
		})
	}
	return converted
}

func (c *client) Metrics(ctx context.Context, name string) ([]float64, bool, error) {
	values, active, err := c.pull.GetMetricsAndActivity(ctx, name)
	var numbers []float64
	for _, value := range values {
		numbers = append(numbers, value.Value.AsApproximateFloat64())
	}
	return numbers, active, err
}

func (c *client) Run(ctx context.Context, active chan<- bool) { c.push.Run(ctx, active) }

// SpecUpdates is closed once KEDA's channel is, which Run closes.
func (c *client) SpecUpdates() <-chan []contract.Spec {
	updates := make(chan []contract.Spec)
	go func() {
		defer close(updates)
		for specs := range c.streamer.MetricSpecChan() {
			updates <- convert(specs)
		}
	}()
	return updates
}

func (c *client) Close(ctx context.Context) error {
	return errors.Join(c.push.Close(ctx), c.pull.Close(ctx))
}
