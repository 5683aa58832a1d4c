package scaler_test

import (
	"io"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// received is a stream's messages and its end.
func received(stream interface {
	Recv() (*externalscaler.IsActiveResponse, error)
}) (<-chan bool, <-chan error) {
	results, ended := make(chan bool, 100), make(chan error, 1)
	go func() {
		for {
			message, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			results <- message.GetResult()
		}
	}()
	return results, ended
}

func next(t *testing.T, results <-chan bool) bool {
	t.Helper()
	select {
	case result := <-results:
		return result
	case <-time.After(deadline):
		t.Fatal("nothing was pushed")
		return false
	}
}

func TestStreamIsActive(t *testing.T) {
	f := newFixture(t)
	f.targets.set(func(f *fakeTargets) { f.state.Replicas = 0 })
	f.depth(t, 0)
	stream, err := f.StreamIsActive(t.Context(), f.ref("minReplicas", "0"))
	require.NoError(t, err)
	results, ended := received(stream)
	assert.False(t, next(t, results), "at once when the stream opens")
	f.depth(t, 1)
	assert.True(t, next(t, results), "at once on an edge")
	assert.True(t, next(t, results), "and again while active")
	assert.True(t, next(t, results))
	f.depth(t, 0)
	for next(t, results) { // a repetition may have been on its way
	}
	f.awaitReads(t, 30) // three times the interval in which an active one is
	select {
	case result := <-results:
		t.Fatalf("%v was pushed, but an idle state is not repeated", result)
	default:
	}
	require.NoError(t, f.stop())
	select {
	case err := <-ended:
		assert.Equal(t, io.EOF, err, "any other end doubles KEDA's back-off")
	case <-time.After(deadline):
		t.Fatal("the stream did not end")
	}
}

func TestStreamIsActiveSendsNothingWhileUnknown(t *testing.T) {
	f := newFixture(t)
	f.server.Stop()
	stream, err := f.StreamIsActive(t.Context(), f.ref("minReplicas", "0"))
	require.NoError(t, err)
	results, _ := received(stream)
	f.awaitReads(t, 5)
	select {
	case result := <-results:
		t.Fatalf("%v was pushed though the queue can't be read", result)
	default:
	}
	f.server.Restart()
	assert.True(t, next(t, results), "3 replicas are active until they are drained")
}

func TestStreamMetricSpec(t *testing.T) {
	f := newFixture(t)
	stream, err := f.StreamMetricSpec(t.Context(), f.ref())
	require.NoError(t, err)
	pushed, err := stream.Recv()
	require.NoError(t, err)
	asked, err := f.GetMetricSpec(t.Context(), f.ref())
	require.NoError(t, err)
	assert.Equal(t, asked.String(), pushed.String(), "both must be the same at any time")
	require.NoError(t, f.stop())
	_, err = stream.Recv()
	assert.Equal(t, io.EOF, err)
}

func TestStreamMetricSpecFollowsTheScaledObject(t *testing.T) {
	f := newFixture(t)
	byName := &externalscaler.ScaledObjectRef{Name: "orders", Namespace: "shop"}
	stream, err := f.StreamMetricSpec(t.Context(), byName)
	require.NoError(t, err)
	first, err := stream.Recv()
	require.NoError(t, err)
	assert.InDelta(t, 100, first.GetMetricSpecs()[0].GetTargetSizeFloat(), 0)
	f.targets.stand(f.metadata("targetQueueDepth", "7"))
	second, err := stream.Recv()
	require.NoError(t, err)
	asked, err := f.GetMetricSpec(t.Context(), byName)
	require.NoError(t, err)
	assert.InDelta(t, 7, second.GetMetricSpecs()[0].GetTargetSizeFloat(), 0)
	assert.Equal(t, asked.String(), second.String())
}

func TestStreamsRefuseBadTriggers(t *testing.T) {
	f := newFixture(t)
	stream, err := f.StreamIsActive(t.Context(), f.ref("maxReplicas", "x"))
	require.NoError(t, err)
	_, err = stream.Recv()
	assert.Equal(t, codes.InvalidArgument, status.Code(err))
	specs, err := f.StreamMetricSpec(t.Context(), f.ref("maxReplicas", "x"))
	require.NoError(t, err)
	_, err = specs.Recv()
	assert.Equal(t, codes.InvalidArgument, status.Code(err))
}
