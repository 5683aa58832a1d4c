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
	"github.com/jawaracloud/pubsub-operator/translator/watched"
)

// newInformer is for a cache whose PubSubChannels are read one by one. A usual informer
// decodes a list as a whole: one channel that it can't decode, which somebody stored while
// the CRD let it through, would keep it from having any.
func newInformer(config *rest.Config, namespaces *watched.Namespaces) (func(toolscache.ListerWatcher, runtime.Object, time.Duration, toolscache.Indexers) toolscache.SharedIndexInformer, error) {
	config, err := reading.Config(config)
	if err != nil {
		return nil, err
	}
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("building the client that reads PubSubChannels: %w", err)
	}
	return func(given toolscache.ListerWatcher, object runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
		if _, ok := object.(*v1.PubSubChannel); !ok {
			return namespaces.NewInformer(given, object, resync, indexers)
		}
		channels := &channelsRequest{client: client}
		return channelInformer{namespaces.NewInformer(channels.listWatch(), object, resync, indexers), channels}
	}, nil
}

// channelInformer learns its namespace from its transform, which the cache sets before it starts
// the informer.
type channelInformer struct {
	toolscache.SharedIndexInformer
	channels *channelsRequest
}

// SetTransform is called once, before the informer is started.
func (i channelInformer) SetTransform(transform toolscache.TransformFunc) error {
	namespace, err := watched.NamespaceOf(transform)
	if err != nil {
		return err
	}
	i.channels.namespace = namespace
	return i.SharedIndexInformer.SetTransform(transform)
}

// channelsRequest asks for the channels of one namespace; of all of them if it is empty.
type channelsRequest struct {
	client    *rest.RESTClient
	namespace string
}

func (r *channelsRequest) listWatch() *toolscache.ListWatch {
	return &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list := &v1.PubSubChannelList{}
			return list, r.with(options).Do(ctx).Into(list)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.Watch, options.AllowWatchBookmarks = true, true
			return r.with(options).Watch(ctx)
		},
	}
}

func (r *channelsRequest) with(options metav1.ListOptions) *rest.Request {
	return r.client.Get().NamespaceIfScoped(r.namespace, r.namespace != metav1.NamespaceAll).Resource("pubsubchannels").
		SpecificallyVersionedParams(&options, metav1.ParameterCodec, metav1.Unversioned)
}
