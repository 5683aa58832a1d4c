//go:build e2e

package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/stretchr/testify/require"
	"k8s.io/utils/ptr"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// handlerManifest is the handler that accounts for messages (e2e/cmd/handler).
const handlerManifest = `
apiVersion: v1
kind: Service
metadata: {name: handler}
spec:
  selector: {app: handler}
  ports: [{port: 8080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: handler}
spec:
  replicas: 1
  strategy: {type: Recreate}
  selector: {matchLabels: {app: handler}}
  template:
    metadata: {labels: {app: handler}}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 1
      securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: handler
        image: %s
        ports: [{containerPort: 8080}]
        resources: {requests: {cpu: 5m, memory: 16Mi}}
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`

// startHandler deploys the handler and waits until it answers.
func (s *space) startHandler() {
	s.t.Helper()
	require.NoError(s.t, s.apply(fmt.Sprintf(handlerManifest, env.handlerImage)))
	s.until(env.settling(), "the handler answers", func(ctx context.Context) error {
		_, err := s.account(ctx, "nothing", 0)
		return err
	})
}

// account is what the handler tells of a queue's messages.
type account struct {
	Begun, Messages, Deliveries int
	Missing, Foreign            []int
}

// account asks the handler what came of the messages 1 to total.
func (s *space) account(ctx context.Context, key string, total int) (a account, err error) {
	path := fmt.Sprintf("/api/v1/namespaces/%s/services/handler:8080/proxy/%s?total=%d", s.name, key, total)
	out, err := run(ctx, "kubectl", "get", "--raw", path)
	if err == nil {
		err = json.Unmarshal([]byte(out), &a)
	}
	return a, err
}

// numbered is the test's queues, a list and a stream with the same messages: their numbers.
var numbered = map[string]pubsubv1.QueueType{"list": pubsubv1.QueueTypeList, "stream": pubsubv1.QueueTypeStream}

// newNumbered is a channel of one of them, whose workers post to the handler, which works for that time.
func newNumbered(key, work string) *pubsubv1.PubSubChannel {
	channel := newChannel(key)
	channel.Spec.Queue = &pubsubv1.QueueSpec{Type: numbered[key]}
	if numbered[key] == pubsubv1.QueueTypeStream {
		channel.Spec.Queue.ConsumerGroup = queue.DefaultConsumerGroup
	}
	setWorker(channel, "HANDLER_URL", "http://handler:8080/"+key+"/"+work)
	setWorker(channel, "CONCURRENCY", strconv.Itoa(handlerSlots))
	channel.Spec.AutoScaling.MinReplicas = ptr.To[int32](1)
	return channel
}

// handlerSlots is the CONCURRENCY of those workers.
const handlerSlots = 2

// publishUpTo adds to both queues what of the messages 1 to total they have not been given yet. It may be repeated
// after an error.
func (s *space) publishUpTo(ctx context.Context, total int) error {
	const script = `for i = tonumber(redis.call('GET', KEYS[3]) or 0) + 1, tonumber(ARGV[1]) do
redis.call('LPUSH', KEYS[1], i) redis.call('XADD', KEYS[2], '*', 'payload', i) redis.call('SET', KEYS[3], i) end
return redis.call('GET', KEYS[3])`
	_, err := s.tryRedis(ctx, "EVAL", script, "3", "list", "stream", "published", strconv.Itoa(total))
	return err
}

// leftBehind is nil where nothing of either queue waits, or is in work.
func (s *space) leftBehind(ctx context.Context) error {
	const script = `local pending = redis.call('XPENDING', KEYS[4], ARGV[1])
return redis.call('LLEN', KEYS[1]) + redis.call('LLEN', KEYS[2]) + redis.call('ZCARD', KEYS[3]) + pending[1]`
	return s.empty(ctx, "EVAL", script, "4", "list", queue.NextKey("list"), queue.TakenKey("list"), "stream", queue.DefaultConsumerGroup)
}
