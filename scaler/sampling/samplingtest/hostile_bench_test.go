//go:build integration

package samplingtest

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// serveHostile has the test's program run the servers that lie, instead of tests, and name
// them, one a line. They have a process of their own, so that the time and the memory that
// they take is not the scaler's.
const serveHostile = "PUBSUB_SERVE_HOSTILE"

// TestServeHostile is that process. It ends when its input does.
func TestServeHostile(t *testing.T) {
	if os.Getenv(serveHostile) == "" {
		t.Skip("it is run by BenchmarkReadsBesideHostileServers, in a process of its own")
	}
	for _, l := range lies {
		for _, reply := range slices.Sorted(maps.Keys(redistest.Hostile)) {
			server := l.start(t, redistest.Hostile[reply])
			_, err := fmt.Printf("hostile %s %s\n", server.Mode, server.Address) // for the parent
			require.NoError(t, err)
		}
	}
	_, err := fmt.Println("hostile all") // for the parent
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent ends
}

// startHostile runs the servers that lie, and returns them.
func startHostile(b *testing.B) (servers []broker.Server) {
	b.Helper()
	command := exec.CommandContext(b.Context(), os.Args[0], "-test.run", "^TestServeHostile$", "-test.v")
	command.Env = append(os.Environ(), serveHostile+"=1")
	input, err := command.StdinPipe()
	require.NoError(b, err)
	output, err := command.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, command.Start())
	b.Cleanup(func() {
		_ = input.Close()
		_ = command.Wait() // it may have been told to end by the context
	})
	for lines := bufio.NewScanner(output); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) == 2 && fields[1] == "all":
			return servers
		case len(fields) == 3 && fields[0] == "hostile":
			server := broker.Server{Mode: broker.Mode(fields[1]), Address: fields[2]}
			if server.Mode == broker.Sentinel {
				server.SentinelMaster = "mymaster"
			}
			servers = append(servers, server)
		}
	}
	b.Fatal("the servers that lie did not start")
	return nil
}

// BenchmarkReadsBesideHostileServers is how long a read of one server takes, alone, and
// while the scaler reads those that lie, each with a queue of every kind.
func BenchmarkReadsBesideHostileServers(b *testing.B) {
	for _, beside := range []bool{false, true} {
		name := "alone"
		if beside {
			name = "beside"
		}
		b.Run(name, func(b *testing.B) {
			honest := redistest.Start(b)
			pool := sampling.NewPool(sampling.Options{})
			defer pool.Close()
			count := 0
			if beside {
				for _, server := range startHostile(b) {
					subscription, err := pool.Subscribe(server, hostileQueues()...)
					require.NoError(b, err)
					defer subscription.Close()
					count++
				}
			}
			took := make([]time.Duration, 0, b.N)
			ticker := time.NewTicker(5 * time.Millisecond)
			defer ticker.Stop()
			for i := 0; b.Loop(); i++ {
				<-ticker.C
				began := time.Now()
				_, err := pool.Depth(b.Context(), broker.Server{Address: honest.Addr}, queue.Queue{Key: fmt.Sprint("q", i), Kind: queue.List})
				require.NoError(b, err)
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(count), "hostile-servers")
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}
