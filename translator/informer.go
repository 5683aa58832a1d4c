package translator

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/reading"
)

// newInformer is for a cache whose PubSubChannels are read one by one. A usual informer
// decodes a list as a whole: one channel that it can't decode, which somebody stored while
// the CRD let it through, would keep it from having any.
func newInformer(config *rest.Config) (func(toolscache.ListerWatcher, runtime.Object, time.Duration, toolscache.Indexers) toolscache.SharedIndexInformer, error) {
	config, err := reading.Config(config)
	if err != nil {
		return nil, err
	}
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("building the client that reads PubSubChannels: %w", err)
	}
	channels := &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list := &v1.PubSubChannelList{}
			return list, channelsRequest(client, options).Do(ctx).Into(list)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.Watch, options.AllowWatchBookmarks = true, true
			return channelsRequest(client, options).Watch(ctx)
		},
	}
	return func(given toolscache.ListerWatcher, object runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
		if _, ok := object.(*v1.PubSubChannel); ok {
			given = channels
		}
		return toolscache.NewSharedIndexInformer(given, object, resync, indexers)
	}, nil
}

func channelsRequest(client *rest.RESTClient, options metav1.ListOptions) *rest.Request {
	return client.Get().Resource("pubsubchannels").SpecificallyVersionedParams(&options, metav1.ParameterCodec, metav1.Unversioned)
}
