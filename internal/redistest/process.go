package redistest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	startDeadline = time.Minute      // for the first answer, on a busy machine
	stopDeadline  = 10 * time.Second // for the process to end
	pollInterval  = 10 * time.Millisecond
)

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

// command is the server's command line.
func (s *Server) command() []string {
	if s.config != "" {
		return []string{s.config, "--sentinel"}
	}
	host, port, _ := net.SplitHostPort(s.Addr)
	command := []string{"--bind", host, "--dir", s.dir, "--save", "", "--appendonly", "no", "--daemonize", "no"}
	if s.args.tls() {
		command = append(command, "--port", "0", "--tls-port", port, "--tls-replication", "yes")
	} else {
		command = append(command, "--port", port)
	}
	if s.cluster {
		command = append(command, "--cluster-enabled", "yes", "--cluster-port", s.busPort, "--cluster-node-timeout", "2000")
		if s.args.tls() {
			command = append(command, "--tls-cluster", "yes")
		}
	}
	return append(command, s.args...)
}

func (s *Server) run() error {
	if s.config != "" {
		if err := s.writeConfig(); err != nil {
			return err
		}
	}
	p := &process{cmd: exec.Command("redis-server", s.command()...), ended: make(chan struct{}), output: &output{}}
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

// awaitPong waits until this very process serves: another server may hold the port.
func (s *Server) awaitPong(p *process) error {
	ctx, cancel := context.WithTimeout(context.Background(), startDeadline)
	defer cancel()
	options := s.options()
	options.MaxRetries, options.DialerRetries = -1, 1
	client := redis.NewClient(options)
	defer client.Close()
	want := fmt.Sprintf("process_id:%d\r", p.cmd.Process.Pid)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		var info string
		connection, err := net.Dial("tcp", s.Addr) // first, since go-redis logs each dial that fails
		if err == nil {
			_ = connection.Close()
			info, err = client.Info(ctx).Result()
		}
		// A server that still loads its data answers INFO, and nothing else.
		if err == nil && strings.Contains(info, want) && !strings.Contains(info, "loading:1\r") {
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
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	select {
	case <-p.ended:
	case <-time.After(stopDeadline):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

func (s *Server) signal(signal syscall.Signal) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		s.t.Fatalf("redis-server at %s does not run", s.Addr)
	}
	if err := s.process.cmd.Process.Signal(signal); err != nil {
		s.t.Fatalf("redis-server at %s: %v", s.Addr, err)
	}
}

// await waits until condition holds, which returns nil then, and else what is amiss.
func await(deadline time.Duration, condition func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %w", deadline, err)
		case <-tick.C:
		}
	}
}
