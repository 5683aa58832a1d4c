package benchmarks

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
	"github.com/jawaracloud/pubsub-operator/scaler/target"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
)

const (
	grpcCallers = 64
	// callsInTurn is how many calls go to one server before it is the other's turn: load
	// from elsewhere then slows both.
	callsInTurn = grpcCallers * 16
	grpcQueues  = 1000
)

// BenchmarkGetMetrics compares the scaler's GetMetrics, as cmd/scaler serves it, with a
// unary call that does nothing and has the same messages, on a bare grpc.Server. Client
// and servers are this one process. One operation is one call to each.
func BenchmarkGetMetrics(b *testing.B) {
	s := startServer(b)
	s.fillLists(b.Context(), b, grpcQueues)
	requests := getMetricsRequests(s.Addr)
	real := dial(b, serveScaler(b, requests))
	answer, err := real.GetMetrics(b.Context(), requests[0])
	require.NoError(b, err)
	require.Len(b, answer.GetMetricValues(), 1)
	empty := dial(b, serveEmpty(b, answer))

	sides := map[string]*side{"scaler": {client: real}, "empty": {client: empty}}
	for _, side := range sides { // connections, first reads of every queue
		side.turn(b, requests, grpcQueues)
		*side = side.anew()
	}
	for i := 0; b.Loop(); i++ {
		if i%callsInTurn > 0 {
			continue
		}
		for _, side := range sides {
			side.turn(b, requests, callsInTurn)
		}
	}
	for name, side := range sides {
		recorded.report(b, side.perSecond(), name+"-calls/s")
		recorded.report(b, side.cpuEach(), name+"-cpu-µs/call")
	}
	recorded.report(b, 100*sides["scaler"].perSecond()/sides["empty"].perSecond(), unitOfEmpty)
	recorded.report(b, 100*sides["empty"].cpuEach()/sides["scaler"].cpuEach(), unitCPUOfEmpty)
	b.ReportMetric(float64(proto.Size(requests[0])), "request-B")
	b.ReportMetric(float64(proto.Size(answer)), "response-B")
}

// side is one of the two servers, and what it was measured at.
type side struct {
	client externalscaler.ExternalScalerClient
	calls  int
	took   time.Duration
	cpu    time.Duration
}

func (s *side) anew() side { return side{client: s.client} }

func (s *side) perSecond() float64 { return float64(s.calls) / s.took.Seconds() }

// cpuEach is in microseconds.
func (s *side) cpuEach() float64 { return float64(s.cpu.Nanoseconds()) / 1000 / float64(s.calls) }

// turn has each caller make its share of the calls, one after the other.
func (s *side) turn(b *testing.B, requests []*externalscaler.GetMetricsRequest, calls int) {
	began, spent := time.Now(), cpu(b)
	var wait sync.WaitGroup
	for caller := range grpcCallers {
		wait.Go(func() {
			for i := caller; i < calls; i += grpcCallers {
				if _, err := s.client.GetMetrics(b.Context(), requests[i%len(requests)]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	s.took += time.Since(began)
	s.cpu += cpu(b) - spent
	s.calls += calls
}

// getMetricsRequests are those that KEDA sends for ScaledObjects of the controller's.
func getMetricsRequests(address string) []*externalscaler.GetMetricsRequest {
	all := make([]*externalscaler.GetMetricsRequest, grpcQueues)
	for i := range all {
		metadata := trigger.Trigger{
			ChannelName: key(i),
			Queue:       trigger.Queue{Type: trigger.Auto, Score: trigger.AnyScore},
			Redis:       trigger.Redis{Address: address, Mode: trigger.Standalone},
			Policy:      policy.DefaultSpec(),
		}.Metadata()
		metadata["scalerAddress"] = "pubsub-operator-scaler.pubsub-system.svc:9090"
		metadata["enableTLS"] = "true"
		all[i] = &externalscaler.GetMetricsRequest{
			ScaledObjectRef: &externalscaler.ScaledObjectRef{Name: key(i), Namespace: "shop", ScalerMetadata: metadata},
			MetricName:      scaler.MetricName,
		}
	}
	return all
}

// standing are ScaledObjects whose triggers are what KEDA sends, and whose targets are always
// in the same state. The cluster's are in a cache of the process, too.
type standing map[string]target.Object

func newStanding(requests []*externalscaler.GetMetricsRequest) standing {
	all := standing{}
	for _, request := range requests {
		ref := request.GetScaledObjectRef()
		all[ref.GetName()] = target.NewObject(target.Version{UID: types.UID(ref.GetName()), Generation: 1},
			target.ScaleTriggers{Type: "external-push", Metadata: ref.GetScalerMetadata()})
	}
	return all
}

func (standing) State(context.Context, string, string) (target.State, error) {
	return target.State{Replicas: 3, LastScale: time.Now().Add(-time.Hour), ToleranceHonoured: true}, nil
}

func (s standing) Find(_ context.Context, _, name string) (target.Object, error) {
	object, ok := s[name]
	if !ok {
		return target.Object{}, target.ErrNotFound
	}
	return object, nil
}

// serveScaler serves the scaler, wired as cmd/scaler does, and returns its address.
func serveScaler(b *testing.B, requests []*externalscaler.GetMetricsRequest) string {
	b.Helper()
	registry := prometheus.NewRegistry()
	pool := sampling.NewPool(sampling.Options{Metrics: sampling.NewMetrics(registry)})
	b.Cleanup(pool.Close)
	server := scaler.NewServer(scaler.New(scaler.Options{Pool: pool, Targets: newStanding(requests)}), nil, registry)
	server.SetReady(true)
	listener := listen(b)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener) }()
	b.Cleanup(func() {
		cancel()
		require.NoError(b, <-served)
	})
	return listener.Addr().String()
}

// canned answers at once, and always the same.
type canned struct {
	externalscaler.UnimplementedExternalScalerServer
	answer *externalscaler.GetMetricsResponse
}

func (c canned) GetMetrics(context.Context, *externalscaler.GetMetricsRequest) (*externalscaler.GetMetricsResponse, error) {
	return c.answer, nil
}

func serveEmpty(b *testing.B, answer *externalscaler.GetMetricsResponse) string {
	b.Helper()
	server := grpc.NewServer()
	externalscaler.RegisterExternalScalerServer(server, canned{answer: answer})
	listener := listen(b)
	go func() { _ = server.Serve(listener) }() // it ends with Stop
	b.Cleanup(server.Stop)
	return listener.Addr().String()
}

func listen(b *testing.B) net.Listener {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	return listener
}

// dial makes one connection, as KEDA does for each address.
func dial(b *testing.B, address string) externalscaler.ExternalScalerClient {
	b.Helper()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(b, err)
	b.Cleanup(func() { _ = connection.Close() })
	return externalscaler.NewExternalScalerClient(connection)
}
