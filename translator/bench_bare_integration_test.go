//go:build integration

package translator

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// answers decodes what the API server answers, in JSON or protobuf.
var answers = func() runtime.Decoder {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{AddToScheme, clientgoscheme.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	return serializer.NewCodecFactory(scheme).UniversalDeserializer()
}()

// identity is the uid and the resource version of an object in an answer.
func identity(body []byte) (uid, version string, err error) {
	object, _, err := answers.Decode(body, nil, nil)
	if err != nil {
		return "", "", fmt.Errorf("reading the answer %.200q: %w", body, err)
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		return "", "", fmt.Errorf("reading the answer %.200q: %w", body, err)
	}
	return string(accessor.GetUID()), accessor.GetResourceVersion(), nil
}

// bare is a client that does nothing but send, for each channel, the writes that the
// controller sent for one like it.
type bare struct {
	http *http.Client
	host string
	// model are the writes for the channel of that name and uid.
	model       []write
	name, uid   string
	namespace   string // the model's
	channelName string // the model's
}

func newBare(b *testing.B, config *rest.Config, model []write, channel *v1.PubSubChannel) *bare {
	b.Helper()
	client, err := rest.HTTPClientFor(config)
	require.NoError(b, err)
	return &bare{
		http: client, host: strings.TrimSuffix(config.Host, "/"), model: model,
		name: channel.Name, uid: string(channel.UID), namespace: channel.Namespace, channelName: channel.Spec.ChannelName,
	}
}

// run sends all the writes for all channels, so many channels at once, and returns how
// long it took, and how much CPU time of this process.
func (c *bare) run(b *testing.B, channels []*v1.PubSubChannel, workers int) (took, cpu time.Duration) {
	b.Helper()
	cpu = cpuTime(b)
	start := time.Now()
	next := make(chan *v1.PubSubChannel)
	failed := make(chan error, workers)
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for channel := range next {
				if err := c.send(b.Context(), channel); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	for _, channel := range channels {
		select {
		case next <- channel:
		case err := <-failed:
			require.NoError(b, err)
		}
	}
	close(next)
	working.Wait()
	took, cpu = time.Since(start), cpuTime(b)-cpu
	close(failed)
	require.NoError(b, <-failed)
	return took, cpu
}

var resourceVersion = regexp.MustCompile(`"resourceVersion":"[0-9]+"`)

// send sends the writes for one channel. Names have the same length, and so have uids, so
// the bytes are as many.
func (c *bare) send(ctx context.Context, channel *v1.PubSubChannel) error {
	version := channel.ResourceVersion
	replace := []string{c.name, channel.Name, "/namespaces/" + c.namespace + "/", "/namespaces/" + channel.Namespace + "/",
		`"` + c.namespace + `"`, `"` + channel.Namespace + `"`, c.uid, string(channel.UID),
		c.channelName, channel.Spec.ChannelName}
	for _, one := range c.model {
		replacer := strings.NewReplacer(replace...)
		body := replacer.Replace(string(one.body))
		status := strings.HasSuffix(one.path, "/status")
		if status {
			body = resourceVersion.ReplaceAllLiteralString(body, `"resourceVersion":"`+version+`"`)
		}
		request, err := http.NewRequestWithContext(ctx, one.method, c.host+replacer.Replace(one.path), bytes.NewReader([]byte(body)))
		if err != nil {
			return err
		}
		request.Header = one.header.Clone()
		response, err := c.http.Do(request)
		if err != nil {
			return err
		}
		answer, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		if err := response.Body.Close(); err != nil {
			return err
		}
		if response.StatusCode >= http.StatusMultipleChoices {
			return fmt.Errorf("%s %s: %d %s", one.method, request.URL.Path, response.StatusCode, answer)
		}
		uid, latest, err := identity(answer)
		if err != nil {
			return err
		}
		if status {
			version = latest
		}
		replace = append(replace, one.uid, uid)
	}
	return nil
}
