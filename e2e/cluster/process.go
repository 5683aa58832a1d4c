package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process is a running program, identified beyond its id: ids are used again, so a
// recorded id alone might by now be someone else's.
type process struct {
	PID int `json:"pid"`
	// StartTime is field 22 of /proc/<pid>/stat, in clock ticks since boot.
	StartTime uint64 `json:"startTime"`
	// BootID tells the start times of two boots apart.
	BootID string `json:"bootID"`
}

// identify returns the running process of an id.
func identify(pid int) (process, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return process{}, err
	}
	start, err := startTime(pid)
	return process{PID: pid, StartTime: start, BootID: strings.TrimSpace(string(boot))}, err
}

// startTime returns when a running process started; a zombie is not running.
func startTime(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(string(stat))
}

// parseStat reads the start time out of /proc/<pid>/stat. The second field is the program's
// name in parentheses, and may itself hold blanks and parentheses.
func parseStat(stat string) (uint64, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const state, start = 0, 22 - 3 // proc(5) numbers from 1, and the fields after the name start at number 3
	if len(fields) <= start {
		return 0, fmt.Errorf("unexpected process status %q", stat)
	}
	if fields[state] == "Z" || fields[state] == "X" {
		return 0, os.ErrProcessDone
	}
	return strconv.ParseUint(fields[start], 10, 64)
}

func (p process) alive() bool {
	now, err := identify(p.PID)
	return err == nil && now == p
}

// stop ends the process: SIGTERM, and SIGKILL after the grace period. A process that is
// gone is no error.
func (p process) stop(ctx context.Context, grace time.Duration) error {
	// FindProcess holds on to the process itself (a pidfd), so that no other process can
	// get between the check and the signal.
	handle, err := os.FindProcess(p.PID)
	if err != nil || !p.alive() {
		return nil
	}
	defer func() { _ = handle.Release() }()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if signal == syscall.SIGKILL {
			grace = 10 * time.Second
		} else if grace == 0 {
			continue
		}
		if err := handle.Signal(signal); errors.Is(err, os.ErrProcessDone) {
			return nil
		} else if err != nil {
			return fmt.Errorf("process %d: %w", p.PID, err)
		}
		if p.wait(ctx, grace) == nil {
			return nil
		}
	}
	return fmt.Errorf("process %d does not end, even by SIGKILL", p.PID)
}

// wait returns nil as soon as the process is gone. It does not heed the cancellation of
// ctx: a stop that was begun must get as far as SIGKILL, and is bounded by the limit.
func (p process) wait(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	return poll(ctx, 20*time.Millisecond, func(context.Context) error {
		if p.alive() {
			return fmt.Errorf("process %d still runs", p.PID)
		}
		return nil
	})
}

// A daemon is one long-running program of the node. It outlives the command that starts
// it; a file in the state folder records what was started.
type daemon struct {
	// name is the daemon's name in records, logs and messages.
	name string
	// path and args are the command.
	path string
	args []string
	// netns is the network namespace's file to start it in.
	netns string
}

type daemonRecord struct {
	process
	Command []string `json:"command"`
}

// daemons are the daemons of one state folder.
type daemons struct{ dir string }

func (d daemons) recordPath(name string) string { return filepath.Join(d.dir, "run", name+".json") }
func (d daemons) logPath(name string) string    { return filepath.Join(d.dir, "logs", name+".log") }

func (d daemons) record(name string) (daemonRecord, error) {
	var r daemonRecord
	data, err := os.ReadFile(d.recordPath(name))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("%s: %w", d.recordPath(name), err)
	}
	return r, nil
}

// ensure starts the daemon unless it already runs with the very same command.
func (d daemons) ensure(ctx context.Context, spec daemon) error {
	// nsenter without --fork becomes the program, and so keeps the process id.
	command := append([]string{lookPath("nsenter"), "--net=" + spec.netns, spec.path}, spec.args...)
	r, err := d.record(spec.name)
	if err == nil && r.alive() && slices.Equal(r.Command, command) {
		return nil
	}
	if err == nil {
		err = r.stop(ctx, 10*time.Second)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: %w", spec.name, err)
	}
	if err := d.start(spec.name, command); err != nil {
		return fmt.Errorf("%s: %w", spec.name, err)
	}
	return nil
}

func (d daemons) start(name string, command []string) error {
	for _, path := range []string{d.recordPath(name), d.logPath(name)} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(d.logPath(name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = d.dir
	cmd.Env = environment(d.dir)
	cmd.Stdout, cmd.Stderr = log, log // a file, not a pipe: nobody will be there to read it
	// A session of its own: neither Ctrl-C nor the end of the terminal may reach it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	p, err := identify(cmd.Process.Pid)
	if err == nil {
		var data []byte
		if data, err = json.Marshal(daemonRecord{process: p, Command: command}); err == nil {
			err = writeFile(d.recordPath(name), data, 0o644)
		}
	}
	if err != nil { // a daemon without a record could never be ended
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()
		return err
	}
	go func() { _ = cmd.Wait() }() // so that an early death shows as one, and not as a zombie
	return nil
}

// stop ends a daemon and forgets it.
func (d daemons) stop(ctx context.Context, name string, grace time.Duration) error {
	r, err := d.record(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.stop(ctx, grace); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.Remove(d.recordPath(name))
}

// running returns an error with the end of the log if the daemon does not run.
func (d daemons) running(name string) error {
	r, err := d.record(name)
	if err != nil {
		return err
	}
	if r.alive() {
		return nil
	}
	return permanentError{fmt.Errorf("%s has ended; %s", name, d.logTail(name))}
}

// logTail describes a daemon's log by its path and its last lines.
func (d daemons) logTail(name string) string {
	const lines, maxBytes = 15, 8 << 10
	path := d.logPath(name)
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	data = data[max(0, len(data)-maxBytes):]
	tail := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	tail = tail[max(0, len(tail)-lines):]
	return fmt.Sprintf("the end of %s:\n  %s", path, strings.Join(tail, "\n  "))
}
