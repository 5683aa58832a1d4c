package record

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/api/resource"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// As on a cluster: the HPA scales before the controller has asked the scaler again, so no status has the decision that asked for it.
func TestWhyItWasScaledThoughTheDecisionWasMissed(t *testing.T) {
	status := func(replicas, desired int32, depth int64, message string) *v1.PubSubChannelStatus {
		return &v1.PubSubChannelStatus{DesiredReplicas: replicas, Decision: &v1.ScalingDecision{
			Replicas: replicas, DesiredReplicas: desired, QueueDepth: depth, LowerBound: 25 * int64(replicas), UpperBound: 75 * int64(replicas), Message: message,
		}}
	}
	unknown := &v1.PubSubChannelStatus{DesiredReplicas: 4}
	for name, test := range map[string]struct {
		was, is *v1.PubSubChannelStatus
		want    string
	}{
		"the decision was seen":         {status(1, 4, 1000, "1000 is above 75: 1 → 4 replicas"), status(4, 4, 990, "holding at 4"), "1000 is above 75: 1 → 4 replicas"},
		"up, and it was missed":         {status(1, 1, 0, "idle"), status(4, 4, 990, "holding at 4"), "1 → 4 workers: queue depth 990 is above 75, the upper bound of 1"},
		"down, and it was missed":       {status(6, 6, 380, "within"), status(4, 4, 95, "holding at 4"), "6 → 4 workers: queue depth 95 is below 150, the lower bound of 6"},
		"the depth does not explain it": {status(1, 1, 0, "idle"), status(4, 2, 0, "0 is below 100: 4 → 2 replicas"), "1 → 4 workers"},
		"no decision is known":          {status(1, 1, 0, "idle"), unknown, "1 → 4 workers"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, whyScaled(test.was, test.is, &v1.PubSubChannelSpec{AutoScaling: &v1.AutoScalingSpec{Enabled: true}}))
		})
	}
}

// Utilization scales within the band as well, and takes no worker for a small depth alone: the words are its own.
func TestWhyUtilizationScaled(t *testing.T) {
	spec := &v1.PubSubChannelSpec{AutoScaling: &v1.AutoScalingSpec{Enabled: true, Policy: v1.PolicyUtilization, WorkerConcurrency: 4}}
	status := func(replicas int32, depth int64, busy, window string, inUse v1.ScalingPolicy) *v1.PubSubChannelStatus {
		d := &v1.ScalingDecision{Replicas: replicas, DesiredReplicas: replicas, QueueDepth: depth, LowerBound: 25 * int64(replicas), UpperBound: 75 * int64(replicas), Message: "holding"}
		for value, field := range map[string]**resource.Quantity{busy: &d.Busy, window: &d.BusyOverWindow} {
			if value != "" {
				*field = new(resource.MustParse(value))
			}
		}
		return &v1.PubSubChannelStatus{DesiredReplicas: replicas, PolicyInUse: inUse, Decision: d}
	}
	const own, other = v1.PolicyUtilization, v1.PolicyThreshold
	for name, test := range map[string]struct {
		was, is *v1.PubSubChannelStatus
		want    string
	}{
		"up, as they are busy":                  {status(4, 40, "15", "", own), status(5, 40, "15.25", "", own), "4 → 5 workers: 15.25 in flight on average over 15 s is above 14.4 = 4 × 4 × 90 %"},
		"up, as they were busy":                 {status(4, 40, "15", "", own), status(5, 40, "14", "", own), "4 → 5 workers: 15 in flight on average over 15 s is above 14.4 = 4 × 4 × 90 %"},
		"up, as for Threshold":                  {status(4, 40, "3", "", own), status(5, 400, "3", "", own), "4 → 5 workers: queue depth 400 is above 300, the upper bound of 4"},
		"up, and nothing known tells why":       {status(4, 40, "3", "", own), status(5, 40, "", "", own), "4 → 5 workers"},
		"down, as they are idle":                {status(5, 40, "", "", own), status(4, 10, "", "6.5", own), "5 → 4 workers: queue depth 10 is below 125, the lower bound of 5, and 6.5 in flight on average over the window are at most 11.2 = 4 × 4 × 70 %"},
		"down, and how busy is not known":       {status(5, 40, "", "", own), status(4, 10, "", "", own), "5 → 4 workers: queue depth 10 is below 125, the lower bound of 5"},
		"down, and the depth is not the reason": {status(5, 40, "", "", own), status(4, 200, "", "6.5", own), "5 → 4 workers"},
		"Threshold decides instead":             {status(4, 40, "15", "", other), status(5, 40, "15.25", "", other), "4 → 5 workers"},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, whyScaled(test.was, test.is, spec)) })
	}
}
