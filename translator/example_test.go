package translator_test

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// The ScaledObject of a channel: it is read into a plan, of which the ScaledObject is built and
// written as server-side apply sends it.
func Example() {
	channel := &v1.PubSubChannel{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders"},
		Spec: v1.PubSubChannelSpec{
			ChannelName: "orders",
			AutoScaling: &v1.AutoScalingSpec{Enabled: true, MaxReplicas: 20, TargetQueueDepth: 50},
		},
	}
	p := plan.Of(channel)
	sent, err := build.ApplyForm(build.ScaledObject(p, build.ScalerRef{Address: "pubsub-scaler.pubsub-system.svc:9090"}))
	if err != nil {
		fmt.Println(err)
		return
	}
	spec := sent.Object["spec"].(map[string]any)
	delete(spec, "advanced") // the HPA's behavior
	text, err := yaml.Marshal(spec)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(string(text))
	// Output:
	// cooldownPeriod: 60
	// initialCooldownPeriod: 60
	// maxReplicaCount: 20
	// minReplicaCount: 1
	// scaleTargetRef:
	//   name: orders-subscriber
	// triggers:
	// - metadata:
	//     activationQueueDepth: "0"
	//     channelName: orders
	//     cooldownPeriod: "60"
	//     maxReplicas: "20"
	//     maxScaleDownStep: 20%
	//     minReplicas: "1"
	//     queueType: Auto
	//     redisAddress: dragonfly:6379
	//     scaleDownThreshold: "50"
	//     scaleUpThreshold: "150"
	//     scalerAddress: pubsub-scaler.pubsub-system.svc:9090
	//     targetQueueDepth: "50"
	//   metricType: AverageValue
	//   type: external-push
}
