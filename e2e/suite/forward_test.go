//go:build e2e

package suite

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"time"
)

var forwarding = regexp.MustCompile(`Forwarding from (127\.0\.0\.1:[0-9]+)`)

// forward is a kubectl port-forward.
type forward struct {
	address string        // on loopback
	ended   chan struct{} // closed when kubectl has ended: by stop, or because the pod went away
	stop    func()
}

// startForward forwards a loopback port to a port of "service/...", "pod/..." or
// "deployment/...", until ctx or stop.
func startForward(ctx context.Context, namespace, object, port string) (*forward, error) {
	ctx, cancel := context.WithCancel(ctx)
	command := exec.CommandContext(ctx, "kubectl", "-n", namespace, "port-forward", "--address", "127.0.0.1", object, port)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 5 * time.Second
	out, err := command.StdoutPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	if err := command.Start(); err != nil {
		cancel()
		return nil, err
	}
	addresses := make(chan string, 1)
	f := &forward{ended: make(chan struct{})}
	go func() {
		defer close(f.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if match := forwarding.FindStringSubmatch(lines.Text()); match != nil {
				addresses <- match[1]
			}
		}
		_ = command.Wait() // it ends by our signal, or with its pod
	}()
	f.stop = func() { cancel(); <-f.ended }
	select {
	case f.address = <-addresses:
		return f, nil
	case <-f.ended:
		cancel()
		return nil, fmt.Errorf("kubectl port-forward %s %s ended", object, port)
	case <-time.After(commandTimeout):
		f.stop()
		return nil, fmt.Errorf("kubectl port-forward %s %s does not forward", object, port)
	}
}
