package cluster

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// sleeper starts a process that does nothing, and reaps it when it ends.
func sleeper(t *testing.T) process {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Skip("needs the program sleep: ", err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-done })
	p, err := identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestStopEndsTheProcess(t *testing.T) {
	p := sleeper(t)
	if !p.alive() {
		t.Fatal("a running process counts as dead")
	}
	if err := p.stop(context.Background(), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if p.alive() {
		t.Error("it still runs")
	}
	if err := p.stop(context.Background(), 10*time.Second); err != nil {
		t.Errorf("stopping it again: %v", err)
	}
}

func TestStopSparesAnotherProcessOfTheSameID(t *testing.T) {
	p := sleeper(t)
	earlier, otherBoot := p, p
	earlier.StartTime--
	otherBoot.BootID = "another"
	for _, stale := range []process{earlier, otherBoot} {
		if stale.alive() {
			t.Errorf("%+v counts as running", stale)
		}
		if err := stale.stop(context.Background(), 0); err != nil {
			t.Error(err)
		}
	}
	if !p.alive() {
		t.Error("the wrong process was ended")
	}
}

func TestParseStat(t *testing.T) {
	rest := strings.Repeat("1 ", 18) + "4711 0 0"
	for name, test := range map[string]struct {
		stat string
		want uint64
		err  error
	}{
		"plain":                 {"12 (etcd) S " + rest, 4711, nil},
		"blanks and brackets":   {"12 (a) Z (b c) S " + rest, 4711, nil},
		"zombie is not running": {"12 (etcd) Z " + rest, 0, os.ErrProcessDone},
	} {
		got, err := parseStat(test.stat)
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: got %d, %v", name, got, err)
		}
	}
	if _, err := parseStat("12 (etcd) S 1"); err == nil {
		t.Error("a short line was accepted")
	}
}

func TestDaemonRecord(t *testing.T) {
	d := daemons{dir: t.TempDir()}
	command := []string{"/bin/sh", "-c", "echo started; exec sleep 600"}
	if _, err := os.Stat(command[0]); err != nil {
		t.Skip("needs /bin/sh")
	}
	if err := d.start("test", command); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.stop(context.Background(), "test", time.Second); err != nil {
			t.Error(err)
		}
	})
	if err := d.running("test"); err != nil {
		t.Fatal(err)
	}
	r, err := d.record("test")
	if err != nil || !slices.Equal(r.Command, command) {
		t.Fatalf("record %+v, %v", r, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = poll(ctx, 10*time.Millisecond, func(context.Context) error {
		if !strings.Contains(d.logTail("test"), "started") {
			return errors.New("nothing in the log: " + d.logTail("test"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.process.stop(ctx, time.Second); err != nil {
		t.Fatal(err)
	}
	var permanent permanentError
	if err := d.running("test"); !errors.As(err, &permanent) || !strings.Contains(err.Error(), "started") {
		t.Errorf("of a daemon that has ended: %v", err)
	}
}

// A daemon that is restarted is another process of the same command, and is recorded as such.
func TestRestart(t *testing.T) {
	d := daemons{dir: t.TempDir()}
	command := []string{"/bin/sleep", "600"}
	if _, err := os.Stat(command[0]); err != nil {
		t.Skip("needs /bin/sleep")
	}
	if err := d.start("test", command); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.stop(context.Background(), "test", time.Second); err != nil {
			t.Error(err)
		}
	})
	before, err := d.record("test")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.restart(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	after, err := d.record("test")
	if err != nil || !slices.Equal(after.Command, command) || after.process == before.process {
		t.Errorf("before %+v, after %+v (%v)", before, after, err)
	}
	if before.alive() || !after.alive() {
		t.Errorf("the first one is alive: %t, the second one: %t", before.alive(), after.alive())
	}
	if err := d.restart(t.Context(), "none"); err == nil {
		t.Error("a daemon that was never started was restarted")
	}
}

func TestDisturbancesAreForTheLocalNode(t *testing.T) {
	dir := t.TempDir()
	c, err := New(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.RestartRuntime(t.Context()); !errors.Is(err, ErrNotUp) {
		t.Errorf("without a cluster: %v", err)
	}
	if err := (marker{Provider: ProviderKind}).write(dir); err != nil {
		t.Fatal(err)
	}
	if err := c.RestartRuntime(t.Context()); !errors.Is(err, ErrNotNode) {
		t.Errorf("of kind: %v", err)
	}
	if err := c.KillContainer(t.Context(), "id"); !errors.Is(err, ErrNotNode) {
		t.Errorf("of kind: %v", err)
	}
}
