package frameworks

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
)

// driver is a process of Node.js that uses BullMQ: bullmq/driver.js. It ends with the test.
type driver struct {
	t       *testing.T
	input   io.Writer
	replies <-chan []byte
}

// startDriver has it use a package, which is bullmq or bullmq5, on that server.
func startDriver(t *testing.T, bullmq, prefix string, server broker.Server) *driver {
	t.Helper()
	if _, err := os.Stat("bullmq/node_modules/" + bullmq); err != nil {
		t.Fatal("BullMQ is not installed: make frameworks-test does that")
	}
	var nodes []map[string]string
	for address := range strings.SplitSeq(server.Address, ",") {
		host, port, err := net.SplitHostPort(address)
		require.NoError(t, err)
		nodes = append(nodes, map[string]string{"host": host, "port": port})
	}
	argument, err := json.Marshal(map[string]any{
		"bullmq": bullmq, "prefix": prefix, "cluster": server.Mode == broker.Cluster, "nodes": nodes,
	})
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), "node", "driver.js", string(argument))
	command.Dir = "bullmq"
	command.Stderr = t.Output()
	input, err := command.StdinPipe()
	require.NoError(t, err)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	replies := make(chan []byte)
	done := make(chan struct{})
	go func() {
		defer close(replies)
		for lines := bufio.NewScanner(output); lines.Scan(); {
			select {
			case replies <- append([]byte(nil), lines.Bytes()...):
			case <-done:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(done)
		_ = input.Close()  // it ends by that
		_ = command.Wait() // or was killed by the test's context
	})
	return &driver{t: t, input: input, replies: replies}
}

// in is the same driver, used by a subtest.
func (d *driver) in(t *testing.T) *driver {
	return &driver{t: t, input: d.input, replies: d.replies}
}

// call has the driver do an operation, and reads its result.
func call[T any](d *driver, operation string, args map[string]any) T {
	d.t.Helper()
	request := map[string]any{"operation": operation}
	for name, value := range args {
		request[name] = value
	}
	line, err := json.Marshal(request)
	require.NoError(d.t, err)
	_, err = d.input.Write(append(line, '\n'))
	require.NoError(d.t, err)
	var reply struct {
		Result T
		Error  string
	}
	select {
	case line, ok := <-d.replies:
		require.True(d.t, ok, "the driver has ended")
		require.NoError(d.t, json.Unmarshal(line, &reply))
	case <-time.After(deadline):
		d.t.Fatalf("no reply to %s within %s", operation, deadline)
	}
	require.Empty(d.t, reply.Error, operation)
	return reply.Result
}

// job is what BullMQ tells of a job that it added.
type job struct {
	ID        string
	Timestamp int64 // in ms since 1970
}

func (j job) time() time.Time { return time.UnixMilli(j.Timestamp) }

// add adds n jobs, and returns the first.
func (d *driver) add(queue string, n int, options options) job {
	d.t.Helper()
	var first job
	for i := range n {
		added := call[job](d, "add", map[string]any{"queue": queue, "options": options})
		if i == 0 {
			first = added
		}
	}
	return first
}

// of does an operation on a queue that has no result.
func (d *driver) of(queue, operation string) {
	d.t.Helper()
	call[any](d, operation, map[string]any{"queue": queue})
}

func (d *driver) work(queue string, concurrency int) {
	d.t.Helper()
	call[any](d, "work", map[string]any{"queue": queue, "concurrency": concurrency})
}

// release ends n jobs that the worker holds, or will; with an error where that isn't empty.
func (d *driver) release(queue string, n int, failure string) {
	d.t.Helper()
	for end := time.Now().Add(deadline); n > 0; {
		require.True(d.t, time.Now().Before(end), "the worker of %s holds no job", queue)
		n -= call[int](d, "release", map[string]any{"queue": queue, "count": n, "error": failure})
	}
	assert.Zero(d.t, n)
}
