//go:build integration

package translator

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// outage is how long each disturbance lasts at least, and outageLimit at most: a busy machine
// may need longer to do enough of it.
const (
	outage      = 3 * time.Second
	outageLimit = 5 * time.Minute
)

// during repeats something until a disturbance is over, and enough was done.
func during(t *testing.T, pause time.Duration, enough func() bool, do func(round int)) {
	t.Helper()
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	began := time.Now()
	for round := 0; time.Since(began) < outage || !enough(); round++ {
		require.Less(t, time.Since(began), outageLimit, "not enough was done in that time")
		do(round)
		<-ticker.C
	}
}

// patch sends a merge patch under somebody else's name; it may fail.
func (p *plane) patch(ctx context.Context, object client.Object, patch string, options ...client.PatchOption) error {
	return p.Patch(ctx, object, client.RawPatch(types.MergePatchType, []byte(patch)), append(options, client.FieldOwner("somebody"))...)
}

// Somebody edits everything all the time, in ways that the controller has to undo and in
// ways that it has to follow.
func (p *plane) testConflictStorm(t *testing.T) {
	p.namespace(t, "storm")
	defer runController(t, rest.CopyConfig(p.config), holding{})()
	channels := p.fleet(t, "storm", "channel", 20)
	var edits int
	during(t, 10*time.Millisecond, func() bool { return edits > 20 }, func(round int) {
		channel := channels[round%len(channels)]
		deployment := &appsv1.Deployment{}
		deployment.Namespace, deployment.Name = channel.Namespace, plan.DeploymentName(channel)
		for _, err := range []error{
			p.patch(t.Context(), channel.DeepCopy(), fmt.Sprintf(`{"metadata":{"annotations":{"round":"%d"}},"spec":{"messageTimeout":%d}}`, round, 10+round%100)),
			p.patch(t.Context(), deployment, fmt.Sprintf(`{"metadata":{"labels":{"app.kubernetes.io/name":"round-%d"}},"spec":{"replicas":%d,"template":{"spec":{"terminationGracePeriodSeconds":%d}}}}`, round, 1+round%5, round)),
			p.patch(t.Context(), scaledObjectOf(channel), fmt.Sprintf(`{"spec":{"cooldownPeriod":%d}}`, round)),
		} {
			if err == nil {
				edits++
			}
		}
	})
	p.allRight(t, channels)
	t.Logf("%d edits", edits)
}

// All connections between the controller and the API server are cut several times a
// second, its watches among them, while channels are made and edited.
func (p *plane) testConnectionsCut(t *testing.T) {
	p.namespace(t, "cut")
	target, err := url.Parse(p.config.Host)
	require.NoError(t, err)
	proxy := startProxy(t, target.Host)
	config := rest.CopyConfig(p.config)
	config.Host = "https://" + proxy.listener.Addr().String()
	log := &lines{}
	defer runController(t, config, holding{}, func(m *manager.Options, _ *Options) { m.Logger = log.logger() })()
	defer log.tellIfFailed(t)
	channels := p.fleet(t, "cut", "early", 10)
	var cuts int
	during(t, 200*time.Millisecond, func() bool { return cuts > 5 }, func(round int) {
		cuts += proxy.cut()
		channels = append(channels, p.fleet(t, "cut", fmt.Sprintf("late-%02d", round), 1)...)
		require.NoError(t, p.patch(t.Context(), channels[round%10].DeepCopy(), fmt.Sprintf(`{"spec":{"messageTimeout":%d}}`, 100+round)))
		deployment := &appsv1.Deployment{}
		deployment.Namespace, deployment.Name = "cut", plan.DeploymentName(channels[round%10])
		// It may not be there yet.
		_ = p.patch(t.Context(), deployment, `{"metadata":{"labels":{"app.kubernetes.io/instance":"theirs"}}}`)
	})
	p.allRight(t, channels)
	t.Logf("%d connections cut", cuts)
}

// etcd and the API server are killed while channels are made, come back at their
// addresses, and the controller, which was never restarted, goes on.
func (p *plane) testRestarts(t *testing.T) {
	p.namespace(t, "killed")
	defer runController(t, rest.CopyConfig(p.config), holding{})()
	channels := p.fleet(t, "killed", "early", 15)
	p.kill(t, "kube-apiserver")
	p.kill(t, "etcd")
	require.Error(t, p.Get(t.Context(), client.ObjectKeyFromObject(channels[0]), channels[0].DeepCopy()), "nobody answers")
	began := time.Now()
	require.NoError(t, p.env.ControlPlane.Etcd.Start())
	require.NoError(t, p.env.ControlPlane.APIServer.Start())
	t.Logf("back after %s", time.Since(began).Round(time.Millisecond))
	for i, channel := range channels {
		require.NoError(t, p.patch(t.Context(), channel.DeepCopy(), fmt.Sprintf(`{"spec":{"messageTimeout":%d}}`, 100+i)))
	}
	channels = append(channels, p.fleet(t, "killed", "late", 15, func(c *v1.PubSubChannel) { c.Spec.AutoScaling.MinReplicas = ptr.To[int32](2) })...)
	p.allRight(t, channels)
}

// proxy passes connections on to one address, until it cuts them.
type proxy struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener, target: target, conns: map[net.Conn]bool{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		assert.NoError(t, listener.Close())
		p.cut()
		serving.Wait()
	})
	return p
}

func (p *proxy) serve(conn net.Conn) {
	next, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = conn.Close() // the client sees that nobody answers
		return
	}
	p.mu.Lock()
	p.conns[conn] = true
	p.mu.Unlock()
	var copying sync.WaitGroup
	for from, to := range map[net.Conn]net.Conn{conn: next, next: conn} {
		copying.Go(func() {
			_, _ = io.Copy(to, from) // it ends when either side does
			_, _ = from.Close(), to.Close()
		})
	}
	copying.Wait()
	p.mu.Lock()
	delete(p.conns, conn)
	p.mu.Unlock()
}

// cut closes all connections, and returns how many there were.
func (p *proxy) cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
	return len(p.conns)
}
