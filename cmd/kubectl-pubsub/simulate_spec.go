package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/pflag"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/simulation/trace"
	"github.com/jawaracloud/pubsub-operator/translator/autoscaling"
)

// specFlags are the fields of a PubSubChannel's spec.autoScaling as flags. One that is not
// given leaves the field as it is.
type specFlags struct {
	spec             policy.Spec
	cooldown         int32 // seconds
	upStep, downStep string
	busy             policy.UtilizationSpec
}

func (f *specFlags) bind(flags *pflag.FlagSet) {
	flags.StringVar((*string)(&f.spec.Policy), "policy", "", fmt.Sprintf("autoScaling.policy, %s or %s", policy.ByThreshold, policy.ByUtilization))
	flags.Int32Var(&f.spec.MinReplicas, "min-replicas", 0, "autoScaling.minReplicas")
	flags.Int32Var(&f.spec.MaxReplicas, "max-replicas", 0, "autoScaling.maxReplicas")
	flags.Int64Var(&f.spec.TargetQueueDepth, "target-queue-depth", 0, "autoScaling.targetQueueDepth, messages per replica")
	flags.Int32Var(&f.spec.ScaleUpThreshold, "scale-up-threshold", 0, "autoScaling.scaleUpThreshold, percent")
	flags.Int32Var(&f.spec.ScaleDownThreshold, "scale-down-threshold", 0, "autoScaling.scaleDownThreshold, percent")
	flags.Int32Var(&f.cooldown, "cooldown-period", 0, "autoScaling.cooldownPeriod, seconds")
	flags.Int64Var(&f.spec.ActivationQueueDepth, "activation-queue-depth", 0, "autoScaling.activationQueueDepth, messages")
	flags.StringVar(&f.upStep, "max-scale-up-step", "", "autoScaling.maxScaleUpStep, a number or a percentage; empty: no limit")
	flags.StringVar(&f.downStep, "max-scale-down-step", "", "autoScaling.maxScaleDownStep, a number or a percentage; empty: no limit")
	u := policy.DefaultUtilization()
	flags.Int32Var(&f.busy.ScaleUp, "utilization-scale-up", u.ScaleUp, "of utilization: percent busy above which the fleet grows")
	flags.Int32Var(&f.busy.Target, "utilization-target", u.Target, "of utilization: percent busy that growing aims at")
	flags.Int32Var(&f.busy.ScaleDown, "utilization-scale-down", u.ScaleDown, "of utilization: percent busy that fewer workers may have")
	flags.DurationVar(&f.busy.Window, "utilization-window", u.Window, "of utilization: how long the work in flight is watched before the fleet shrinks, at least; more for long messages")
	flags.Int32Var(&f.spec.WorkerConcurrency, "worker-concurrency", 0, "of utilization: messages at once that it believes a worker has (default: --concurrency)")
}

// override returns what replaces the fields that were given in a spec.
func (f *specFlags) override(flags *pflag.FlagSet) (func(policy.Spec) policy.Spec, error) {
	up, upErr := policy.ParseStep(f.upStep)
	if upErr != nil {
		upErr = fmt.Errorf("--max-scale-up-step: %w", upErr)
	}
	down, downErr := policy.ParseStep(f.downStep)
	if downErr != nil {
		downErr = fmt.Errorf("--max-scale-down-step: %w", downErr)
	}
	return func(spec policy.Spec) policy.Spec {
		if spec.Utilization == (policy.UtilizationSpec{}) {
			spec.Utilization = policy.DefaultUtilization()
		}
		for name, set := range map[string]func(){
			"policy":                 func() { spec.Policy = f.spec.Policy },
			"utilization-scale-up":   func() { spec.Utilization.ScaleUp = f.busy.ScaleUp },
			"utilization-target":     func() { spec.Utilization.Target = f.busy.Target },
			"utilization-scale-down": func() { spec.Utilization.ScaleDown = f.busy.ScaleDown },
			"utilization-window":     func() { spec.Utilization.Window = f.busy.Window },
			"worker-concurrency":     func() { spec.WorkerConcurrency = f.spec.WorkerConcurrency },
			"min-replicas":           func() { spec.MinReplicas = f.spec.MinReplicas },
			"max-replicas":           func() { spec.MaxReplicas = f.spec.MaxReplicas },
			"target-queue-depth":     func() { spec.TargetQueueDepth = f.spec.TargetQueueDepth },
			"scale-up-threshold":     func() { spec.ScaleUpThreshold = f.spec.ScaleUpThreshold },
			"scale-down-threshold":   func() { spec.ScaleDownThreshold = f.spec.ScaleDownThreshold },
			"cooldown-period":        func() { spec.Cooldown = time.Duration(f.cooldown) * time.Second },
			"activation-queue-depth": func() { spec.ActivationQueueDepth = f.spec.ActivationQueueDepth },
			"max-scale-up-step":      func() { spec.MaxScaleUpStep = up },
			"max-scale-down-step":    func() { spec.MaxScaleDownStep = down },
		} {
			if flags.Changed(name) {
				set()
			}
		}
		return spec
	}, errors.Join(upErr, downErr)
}

// ofManifest is a replay with the policy of a manifest. If that is Utilization, it says how many messages a worker has at
// once, which is then true. Else what the trace says of that stays, for a comparison with Utilization.
func ofManifest(replay trace.BuiltIn, manifest policy.Spec) trace.BuiltIn {
	if manifest.Policy == policy.ByUtilization {
		replay.Work.Concurrency = int(max(1, manifest.WorkerConcurrency))
	} else {
		manifest.WorkerConcurrency, manifest.Utilization = replay.Spec.WorkerConcurrency, replay.Spec.Utilization
	}
	replay.Spec = manifest
	return replay
}

// readManifest reads the policy of the one PubSubChannel in a manifest.
func readManifest(name string, stdin io.Reader) (policy.Spec, error) {
	file := stdin
	if name != "-" {
		opened, err := os.Open(name)
		if err != nil {
			return policy.Spec{}, fmt.Errorf("reading the manifest: %w", err)
		}
		defer opened.Close() // it was only read
		file = opened
	}
	spec, err := decodeManifest(file)
	if err != nil {
		return policy.Spec{}, fmt.Errorf("reading the manifest %s: %w", name, err)
	}
	return spec, nil
}

func decodeManifest(file io.Reader) (policy.Spec, error) {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(file))
	var found []v1.PubSubChannel
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return policy.Spec{}, err
		}
		var kind struct {
			Kind string `json:"kind"`
		}
		if err := yaml.Unmarshal(document, &kind); err != nil {
			return policy.Spec{}, err
		}
		if kind.Kind != "PubSubChannel" {
			continue
		}
		var channel v1.PubSubChannel
		if err := yaml.UnmarshalStrict(document, &channel); err != nil {
			return policy.Spec{}, fmt.Errorf("PubSubChannel: %w", err)
		}
		found = append(found, channel)
	}
	if len(found) != 1 {
		return policy.Spec{}, fmt.Errorf("there are %d PubSubChannels: there must be exactly one", len(found))
	}
	if found[0].Spec.AutoScaling == nil {
		return policy.Spec{}, fmt.Errorf("PubSubChannel %s has no spec.autoScaling: add it, or leave the manifest out for the defaults", found[0].Name)
	}
	return autoscaling.OfChannel(&found[0].Spec)
}
