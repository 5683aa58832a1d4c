package channels

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/reading"
)

// Channels are got raw and decoded one by one: one that can't be decoded must not hide the
// others.
var kind = v1.GroupVersion.WithKind("PubSubChannel")

func newList() *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(v1.GroupVersion.WithKind("PubSubChannelList"))
	return list
}

func decode(raw *unstructured.Unstructured) (*v1.PubSubChannel, error) {
	data, err := raw.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("reading PubSubChannel %s/%s: %w", raw.GetNamespace(), raw.GetName(), err)
	}
	return reading.Channel(data)
}

// unreadable is what is wrong with a channel that can't be decoded, and the remedy; empty
// for others.
func unreadable(channel *v1.PubSubChannel) string {
	words := reading.Unreadable(channel)
	if words == "" {
		return ""
	}
	return fmt.Sprintf("can't be read: %s: correct it with kubectl edit psc %s -n %s", words, channel.Name, channel.Namespace)
}
