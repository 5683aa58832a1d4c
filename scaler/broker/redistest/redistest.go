// Package redistest runs a real redis-server for a test, on a free loopback port.
package redistest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	startAttempts = 5                // a free port can be taken by another before the server has it
	startDeadline = 10 * time.Second // for the first PONG
	stopDeadline  = 10 * time.Second // for the process to end
	pollInterval  = 10 * time.Millisecond
)

// Server is a redis-server that ends with the test.
type Server struct {
	// Addr is host:port; it stays the same over Restart.
	Addr string

	t    testing.TB
	dir  string
	args []string

	mu      sync.Mutex
	process *process
}

type process struct {
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process has been waited for
	output *output
}

// output is what the server wrote. The process writes while the test may read.
type output struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

// Start runs a redis-server that keeps nothing on disk, waits until it answers PING, and
// stops it when the test ends. args are further arguments of redis-server, for example
// "--requirepass", "secret", or "--appendonly", "yes" for a server whose data survive
// Kill and Restart (its folder lasts as long as the test). It fails the test when there
// is no redis-server or when it doesn't start.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("redis-server is not in PATH: apt-get install redis-server, or make test")
	}
	s := &Server{t: t, dir: t.TempDir(), args: args}
	t.Cleanup(s.Kill)
	var err error
	for range startAttempts {
		if s.Addr, err = freeAddr(); err != nil {
			continue
		}
		if err = s.run(); err == nil {
			return s
		}
	}
	t.Fatal(err)
	return nil
}

// Client returns a client that is closed when the test ends.
func (s *Server) Client() *redis.Client {
	s.t.Helper()
	client := redis.NewClient(&redis.Options{
		Addr:                     s.Addr,
		Password:                 s.password(),
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	s.t.Cleanup(func() { _ = client.Close() })
	return client
}

// Stop ends the server as an administrator would (SIGTERM), and waits for it.
func (s *Server) Stop() {
	s.t.Helper()
	s.end(syscall.SIGTERM)
}

// Kill ends the server at once (SIGKILL), and waits for it.
func (s *Server) Kill() {
	s.end(syscall.SIGKILL)
}

// Restart starts the server anew at the same address, after Stop where it still runs.
// Unless Start was told to keep data, it is empty.
func (s *Server) Restart() {
	s.t.Helper()
	s.end(syscall.SIGTERM)
	if err := s.run(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) run() error {
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	args := append([]string{
		"--bind", host, "--port", port, "--dir", s.dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no",
	}, s.args...)
	p := &process{cmd: exec.Command("redis-server", args...), ended: make(chan struct{}), output: &output{}}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	dieWithParent(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("redis-server: %w", err)
	}
	go func() {
		_ = p.cmd.Wait() // it always ends by a signal
		close(p.ended)
	}()
	s.mu.Lock()
	s.process = p
	s.mu.Unlock()
	if err := s.awaitPong(p); err != nil {
		s.end(syscall.SIGKILL)
		return fmt.Errorf("redis-server at %s: %w\n%s", s.Addr, err, p.output)
	}
	return nil
}

// awaitPong waits for this very process: another server may hold the port.
func (s *Server) awaitPong(p *process) error {
	ctx, cancel := context.WithTimeout(context.Background(), startDeadline)
	defer cancel()
	client := redis.NewClient(&redis.Options{
		Addr: s.Addr, Password: s.password(), MaxRetries: -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	defer client.Close()
	want := fmt.Sprintf("process_id:%d\r", p.cmd.Process.Pid)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		info, err := client.Info(ctx, "server").Result()
		if err == nil && bytes.Contains([]byte(info), []byte(want)) {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("it ended at once (last reply: %w)", err)
		case <-ctx.Done():
			return fmt.Errorf("no answer within %s (last reply: %w)", startDeadline, err)
		case <-tick.C:
		}
	}
}

// end signals the server's own process and waits for its end; without one it does nothing.
func (s *Server) end(signal syscall.Signal) {
	s.mu.Lock()
	p := s.process
	s.process = nil
	s.mu.Unlock()
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(signal) // an error means that it has ended
	select {
	case <-p.ended:
	case <-time.After(stopDeadline):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

func (s *Server) password() string {
	for i, arg := range s.args {
		if arg == "--requirepass" && i+1 < len(s.args) {
			return s.args[i+1]
		}
	}
	return ""
}

// freeAddr asks the kernel for a port that nobody has.
func freeAddr() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
