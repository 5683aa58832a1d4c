package scaler_test

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// watching opens a Watch without a least interval; its messages come over the channel.
func (f *fixture) watching(t *testing.T) (<-chan *inspectv1.WatchResponse, <-chan error) {
	stream, err := f.inspector.Watch(t.Context(), &inspectv1.WatchRequest{Name: "orders", Namespace: "shop", MinInterval: durationpb.New(0)})
	require.NoError(t, err)
	messages, ended := make(chan *inspectv1.WatchResponse, 100), make(chan error, 1)
	go func() {
		for {
			message, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			messages <- message
		}
	}()
	return messages, ended
}

// until waits for a message that holds, and returns how many came before it.
func until(t *testing.T, messages <-chan *inspectv1.WatchResponse, what string, holds func(*inspectv1.WatchResponse) bool) (before int) {
	t.Helper()
	timeout := time.After(deadline)
	for {
		select {
		case message := <-messages:
			if holds(message) {
				return before
			}
			before++
		case <-timeout:
			t.Fatalf("no message told that %s", what)
		}
	}
}

func TestWatch(t *testing.T) {
	f := newFixture(t)
	f.depth(t, 200)
	messages, ended := f.watching(t)
	assert.Zero(t, until(t, messages, "200 are within the band", func(m *inspectv1.WatchResponse) bool {
		e := m.GetExplanation()
		return e.GetQueueDepth() == 200 && e.GetReason() == inspectv1.Reason_REASON_WITHIN_BAND && m.GetTime().IsValid()
	}), "the first message tells the state, at once")
	f.awaitReads(t, 10)
	select {
	case message := <-messages:
		t.Fatalf("nothing changed, but this came: %v", message)
	default:
	}

	// The queue stays as it is: one that grows has a rate, which is news.
	f.targets.set(func(f *fakeTargets) { f.state.Replicas = 1 })
	until(t, messages, "1 → 2 replicas are wanted", func(m *inspectv1.WatchResponse) bool {
		return m.GetExplanation().GetDesiredReplicas() == 2
	})
	f.targets.set(func(f *fakeTargets) { f.state.Replicas, f.state.LastScale = 2, time.Now() })
	until(t, messages, "2 replicas run", func(m *inspectv1.WatchResponse) bool { return m.GetExplanation().GetReplicas() == 2 })
	f.awaitReads(t, 60) // more than a second, so that another number of seconds is left
	select {
	case message := <-messages:
		t.Fatalf("a cooldown that counts down is no change, but this came: %v", message)
	default:
	}
	f.depth(t, 500)
	until(t, messages, "2 → 4 replicas would be wanted", func(m *inspectv1.WatchResponse) bool {
		return m.GetExplanation().GetQueueDepth() == 500 && m.GetExplanation().GetReason() == inspectv1.Reason_REASON_COOLDOWN
	})

	f.server.Stop()
	until(t, messages, "the queue can't be read", func(m *inspectv1.WatchResponse) bool {
		return m.GetFailure().GetCode() == "UNAVAILABLE" && m.GetFailure().GetReason() != "" && m.GetFailure().GetMessage() != ""
	})
	f.server.Restart()
	until(t, messages, "it can be read again", func(m *inspectv1.WatchResponse) bool { return m.GetExplanation() != nil })

	require.NoError(t, f.stop())
	select {
	case err := <-ended:
		assert.Equal(t, io.EOF, err)
	case <-time.After(deadline):
		t.Fatal("the stream did not end with the scaler")
	}
}

// With an hour between two messages only the first comes.
func TestWatchKeepsItsInterval(t *testing.T) {
	f := newFixture(t)
	stream, err := f.inspector.Watch(t.Context(), &inspectv1.WatchRequest{Name: "orders", Namespace: "shop", MinInterval: durationpb.New(time.Hour)})
	require.NoError(t, err)
	_, err = stream.Recv()
	require.NoError(t, err)
	f.depth(t, 500)
	messages, _ := f.watching(t)
	until(t, messages, "the change was seen by another", func(m *inspectv1.WatchResponse) bool { return m.GetExplanation().GetQueueDepth() == 500 })
	require.NoError(t, f.stop())
	_, err = stream.Recv()
	assert.Equal(t, io.EOF, err)
}

func TestWatchRefuses(t *testing.T) {
	f := newFixture(t)
	for name, test := range map[string]struct {
		request *inspectv1.WatchRequest
		code    codes.Code
		words   string
	}{
		"interval too long": {&inspectv1.WatchRequest{Name: "orders", Namespace: "shop", MinInterval: durationpb.New(2 * time.Hour)}, codes.InvalidArgument, "min_interval is 2h0m0s: it must be from 0s to 1h0m0s"},
		"negative interval": {&inspectv1.WatchRequest{Name: "orders", Namespace: "shop", MinInterval: durationpb.New(-1)}, codes.InvalidArgument, "min_interval is -1ns"},
		"no name":           {&inspectv1.WatchRequest{}, codes.InvalidArgument, "name and namespace"},
		"unknown name":      {&inspectv1.WatchRequest{Name: "parcels", Namespace: "shop"}, codes.NotFound, "shop/parcels"},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := f.inspector.Watch(t.Context(), test.request)
			require.NoError(t, err)
			_, err = stream.Recv()
			assert.Equal(t, test.code, status.Code(err))
			assert.ErrorContains(t, err, test.words)
		})
	}
}
