//go:build e2e

package suite

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// blockTimeout bounds what a reader waits for one block of commands, pulling of images included. It is more than any wait that a
// document's command has itself, so that the command's own words tell what went wrong.
const blockTimeout = 6 * time.Minute

// shell runs commands in bash, as a reader's terminal does, and ends them as Ctrl-C does.
type shell struct {
	t       *testing.T
	folder  string
	environ []string
	beside  []*job
}

// job is a script that runs, with all of its processes.
type job struct {
	script        string
	command       *exec.Cmd
	out, problems transcript
	ended         chan struct{}
	err           error // once ended is closed
}

// enter runs a script and returns what it prints. If until is not empty, the script does not end by itself: it is ended as by
// Ctrl-C once what it has printed matches; or it stays if it is one beside others.
func (sh *shell) enter(script, until string, stays bool) (string, error) {
	j, err := sh.start(script)
	if err != nil {
		return "", err
	}
	if until == "" {
		return j.untilEnded()
	}
	if err := j.untilPrinted(regexp.MustCompile(until)); err != nil {
		j.interrupt()
		return "", err
	}
	if stays {
		sh.beside = append(sh.beside, j)
	} else {
		j.interrupt()
	}
	return j.out.String(), nil
}

func (sh *shell) start(script string) (*job, error) {
	j := &job{script: script, ended: make(chan struct{})}
	j.command = exec.CommandContext(sh.t.Context(), "bash", "-euo", "pipefail", "-c", script)
	j.command.Dir, j.command.Env = sh.folder, sh.environ
	j.command.Stdout, j.command.Stderr = &j.out, &j.problems
	// A group of its own, which Ctrl-C reaches as a whole.
	j.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	j.command.Cancel = func() error { return j.signal(syscall.SIGKILL) }
	j.command.WaitDelay = 5 * time.Second
	if err := j.command.Start(); err != nil {
		return nil, fmt.Errorf("bash can't be started: %w", err)
	}
	go func() {
		defer close(j.ended)
		j.err = j.command.Wait()
	}()
	return j, nil
}

func (j *job) signal(signal syscall.Signal) error {
	return syscall.Kill(-j.command.Process.Pid, signal)
}

// failed is an error with all that the script has printed.
func (j *job) failed(err error) error {
	return fmt.Errorf("%s\n%w:\n%s%s", strings.TrimSpace(j.script), err, j.problems.String(), j.out.String())
}

func (j *job) untilEnded() (string, error) {
	select {
	case <-j.ended:
		if j.err != nil {
			return j.out.String(), j.failed(j.err)
		}
		return j.out.String(), nil
	case <-time.After(blockTimeout):
		j.interrupt()
		return j.out.String(), j.failed(fmt.Errorf("it did not end within %s", blockTimeout))
	}
}

func (j *job) untilPrinted(wanted *regexp.Regexp) error {
	deadline := time.After(blockTimeout)
	ticker := time.NewTicker(sampling)
	defer ticker.Stop()
	for !wanted.MatchString(j.out.String()) {
		select {
		case <-ticker.C:
		case <-j.ended:
			if wanted.MatchString(j.out.String()) {
				return nil
			}
			return j.failed(errors.Join(fmt.Errorf("it ended and did not print %s", wanted), j.err))
		case <-deadline:
			return j.failed(fmt.Errorf("it did not print %s within %s", wanted, blockTimeout))
		}
	}
	return nil
}

// interrupt is Ctrl-C; what does not heed it is killed after a minute.
func (j *job) interrupt() {
	select {
	case <-j.ended:
		return
	default:
	}
	if err := j.signal(syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
		_ = j.command.Process.Kill()
	}
	select {
	case <-j.ended:
	case <-time.After(commandTimeout):
		_ = j.signal(syscall.SIGKILL) // it may have ended just now
		<-j.ended
	}
}

// endAll ends what runs beside.
func (sh *shell) endAll() {
	for _, j := range sh.beside {
		j.interrupt()
	}
	sh.beside = nil
}

// freePort is a port of loopback that was free just now.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return port
}
