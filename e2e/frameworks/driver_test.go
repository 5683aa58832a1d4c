package frameworks

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
)

// driver is a process that uses a framework in the framework's own language. It ends with the test.
type driver struct {
	t       *testing.T
	input   io.Writer
	replies <-chan []byte
}

// Of Debian's own packages, whichever others there are.
const python, ruby, php = "/usr/bin/python3", "/usr/bin/ruby", "/usr/bin/php"

// startDriver runs a program in a folder here, which drives a framework on that server. What else
// it must know is in argument.
func startDriver(t *testing.T, folder string, program []string, server broker.Server, argument map[string]any) *driver {
	t.Helper()
	told := map[string]any{"cluster": server.Mode == broker.Cluster, "nodes": nodesOf(t, server)}
	for name, value := range argument {
		told[name] = value
	}
	text, err := json.Marshal(told)
	require.NoError(t, err)
	// Without the test's context: it ends by its input, so that it ends its workers.
	command := exec.Command(program[0], append(program[1:], string(text))...)
	command.Dir = folder
	command.Env = append(command.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	command.Stderr = t.Output()
	command.WaitDelay = deadline // for whoever inherited Stderr
	input, err := command.StdinPipe()
	require.NoError(t, err)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start(), "make frameworks-test installs what the tests need")
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
		_ = input.Close()
		killed := time.AfterFunc(deadline, func() { _ = command.Process.Kill() })
		defer killed.Stop()
		assert.NoError(t, command.Wait(), "the driver ends by its input")
	})
	return &driver{t: t, input: input, replies: replies}
}

// nodesOf is a server's addresses as the drivers read them.
func nodesOf(t *testing.T, server broker.Server) []map[string]string {
	t.Helper()
	var nodes []map[string]string
	for address := range strings.SplitSeq(server.Address, ",") {
		host, port, err := net.SplitHostPort(address)
		require.NoError(t, err)
		nodes = append(nodes, map[string]string{"host": host, "port": port})
	}
	return nodes
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
		require.True(d.t, ok, "the driver has ended (make frameworks-test installs what it needs)")
		require.NoError(d.t, json.Unmarshal(line, &reply))
	case <-time.After(deadline):
		d.t.Fatalf("no reply to %s within %s", operation, deadline)
	}
	require.Empty(d.t, reply.Error, operation)
	return reply.Result
}

// counts are what a framework counts, by its own names of the states; and as due, those of the
// delayed jobs whose time has come.
type counts map[string]int64

// options are those of a job.
type options map[string]any

// counts is what the framework counts now. What is zero is left out.
func (d *driver) counts(queue string) counts {
	d.t.Helper()
	told := counts{}
	for name, n := range call[counts](d, "counts", map[string]any{"queue": queue}) {
		if n != 0 {
			told[name] = n
		}
	}
	return told
}

// job is what a framework tells of a job that was added.
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

// work starts a worker, of that many jobs at once.
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
