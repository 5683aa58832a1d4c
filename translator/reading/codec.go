package reading

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

var (
	channelKind = v1.GroupVersion.WithKind("PubSubChannel")
	listKind    = v1.GroupVersion.WithKind("PubSubChannelList")
)

// Config is a copy of a configuration, for a REST client that reads channels as Channel
// does, one by one, in lists and watches too. Lists without a faulty channel are decoded as
// a whole, and cost what they always do.
func Config(config *rest.Config) (*rest.Config, error) {
	scheme := runtime.NewScheme()
	if err := v1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	config = rest.CopyConfig(config)
	config.APIPath, config.GroupVersion = "/apis", &v1.GroupVersion
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	config.NegotiatedSerializer = negotiated{serializer.WithoutConversionCodecFactory{CodecFactory: serializer.NewCodecFactory(scheme)}}
	return config, nil
}

// negotiated decodes leniently.
type negotiated struct{ runtime.NegotiatedSerializer }

func (n negotiated) DecoderToVersion(strict runtime.Decoder, version runtime.GroupVersioner) runtime.Decoder {
	return decoder{n.NegotiatedSerializer.DecoderToVersion(strict, version)}
}

type decoder struct{ all runtime.Decoder }

// Decode decodes as everybody does, and where that fails, or would take too long, channel by
// channel.
func (d decoder) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	if !costly(data) {
		object, kind, err := d.all.Decode(data, defaults, into)
		if err == nil {
			dropMarks(object)
			return object, kind, nil
		}
		if !channels(data) {
			return object, kind, err
		}
	} else if !channels(data) {
		return d.all.Decode(data, defaults, into)
	}
	kind, err := kindOf(data)
	if err != nil {
		return nil, nil, err
	}
	if kind == listKind {
		read, err := list(data)
		if err != nil {
			return nil, &kind, err
		}
		if into, ok := into.(*v1.PubSubChannelList); ok {
			*into = *read
			return into, &kind, nil
		}
		return read, &kind, nil
	}
	read, err := Channel(data)
	if err != nil {
		return nil, &kind, err
	}
	if into, ok := into.(*v1.PubSubChannel); ok {
		*into = *read
		return into, &kind, nil
	}
	return read, &kind, nil
}

// channels reports whether JSON is of a channel or of a list of them.
func channels(data []byte) bool {
	kind, err := kindOf(data)
	return err == nil && (kind == channelKind || kind == listKind)
}

// dropMarks takes away what only this package may set.
func dropMarks(object runtime.Object) {
	switch object := object.(type) {
	case *v1.PubSubChannel:
		delete(object.Annotations, AnnotationUnreadable)
	case *v1.PubSubChannelList:
		for i := range object.Items {
			delete(object.Items[i].Annotations, AnnotationUnreadable)
		}
	}
}
