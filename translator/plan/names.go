package plan

import (
	"fmt"

	"k8s.io/apimachinery/pkg/labels"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// Labels that Kubernetes recommends, on everything that a channel owns.
const (
	labelName     = "app.kubernetes.io/name"
	labelInstance = "app.kubernetes.io/instance"
	// LabelManagedBy has the value v1.OperatorApp on what the operator made.
	LabelManagedBy = "app.kubernetes.io/managed-by"
)

// DeploymentName is the name of a channel's Deployment.
func DeploymentName(channel *v1.PubSubChannel) string {
	return channel.Name + v1.SubscriberSuffix
}

// SelectorLabels select a channel's workers. A Deployment's selector can't be changed, so
// nothing may ever be added here.
func SelectorLabels(channel *v1.PubSubChannel) map[string]string {
	return map[string]string{v1.LabelApp: v1.SubscriberApp, v1.LabelChannel: channel.Name}
}

// SelectorText is the selector as the scale subresource wants it.
func SelectorText(channel *v1.PubSubChannel) string {
	return labels.Set(SelectorLabels(channel)).String()
}

// RecommendedLabels are the app.kubernetes.io labels of what a channel owns.
func RecommendedLabels(channel *v1.PubSubChannel) map[string]string {
	return map[string]string{
		labelName:      v1.SubscriberApp,
		labelInstance:  channel.Name,
		LabelManagedBy: v1.OperatorApp,
	}
}

// Workers is a number of workers as messages tell it.
func Workers(n int32) string {
	if n == 1 {
		return "1 worker"
	}
	return fmt.Sprintf("%d workers", n)
}
