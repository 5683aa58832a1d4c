//go:build e2e

package suite

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pluginBuildTimeout bounds the build of the plugin, where nothing is cached.
const pluginBuildTimeout = 10 * time.Minute

// The kubectl plugin, built from the sources and run against the chart's own pods, Secret
// and certificates: why a channel scales, what if, and live.
func TestKubectlPlugin(t *testing.T) {
	beside(t, usual)
	s := newSpaceWithRedis(t, "plugin")
	channel := newChannel("orders")
	setCooldown(channel, 2)
	park(channel)
	s.setDepth("orders", 300)
	replicas := s.createAndSettle(channel)
	s.untilDepth("orders", 300) // the status tells a decision from now on
	plugin := s.buildPlugin()
	version, err := run(t.Context(), "env", "PATH="+filepath.Dir(plugin)+":"+os.Getenv("PATH"), "kubectl", "pubsub", "version")
	require.NoError(t, err, "kubectl finds the plugin")
	require.NotEmpty(t, strings.TrimSpace(version))

	explained, err := run(t.Context(), plugin, "explain", "orders", "-n", s.name, "--live")
	require.NoError(t, err)
	t.Log("kubectl pubsub explain orders\n" + explained)
	for _, text := range []string{
		s.name + "/orders: hold at 3 replicas\n",
		"\nqueue depth 300 is between 150 and 450 (100 × 3 × 50 % and 150 %): holding at 3\n",
		"450 = 100 × 3 × 150 %", "150 = 100 × 3 × 50 %", "WithinBand: the depth is between the bounds",
	} {
		require.Contains(t, explained, text)
	}
	require.Equal(t, []string{"orders", "list", "300", "0"}, requireRow(t, explained, "orders"))
	s.statusExplains(plugin)
	s.pluginSaysWhatIf(plugin)
	s.pluginSaysWhatIsWrong(plugin)

	watch := s.startPlugin(plugin, "watch", "-n", s.name)
	watch.until("orders", " 300 ", "WithinBand", "queue depth 300 is between 150 and 450")
	s.setDepth("orders", 400)
	watch.until("orders", " 400 ", "queue depth 400 is between 150 and 450")
	s.setDepth("orders", 500)
	replicas.untilValues(env.reaction(), 3, 4)
	watch.until("orders", " 500 ", "queue depth 500 is between 200 and 600 (100 × 4 × 50 % and 150 %): holding at 4")
	s.kubectl("delete", "psc", "orders")
	watch.until("orders", "Deleted", "the channel was deleted")
	require.NoError(t, watch.interrupt(), "Ctrl-C ends it with exit code 0")
	t.Log("kubectl pubsub watch\n" + watch.out.String())
	require.Empty(t, watch.problems.String())
}

// statusExplains asks about the same from the channel's status, which the controller has written.
func (s *space) statusExplains(plugin string) {
	s.t.Helper()
	text, err := run(s.t.Context(), plugin, "explain", "orders", "-n", s.name)
	require.NoError(s.t, err)
	s.t.Log("kubectl pubsub explain orders, from its status\n" + text)
	require.Contains(s.t, text, "\nqueue depth 300 is between 150 and 450 (100 × 3 × 50 % and 150 %): holding at 3\n")
	require.Contains(s.t, text, "by the channel's status")
	text, err = run(s.t.Context(), plugin, "explain", "orders", "-n", s.name, "--set", "targetQueueDepth=50", "--last-scale-time", "never")
	require.NoError(s.t, err)
	require.Contains(s.t, text, "queue depth 300 is above 225 = 50 × 3 × 150 %: 3 → 4 replicas")
	require.Contains(s.t, s.kubectl("describe", "psc", "orders"), "Decision:")
}

// pluginSaysWhatIf asks about what is not so; nothing is scaled by it.
func (s *space) pluginSaysWhatIf(plugin string) {
	s.t.Helper()
	text, err := run(s.t.Context(), plugin, "explain", "orders", "-n", s.name, "--queue-depth", "500", "--last-scale-time", "never")
	require.NoError(s.t, err)
	require.Contains(s.t, text, "queue depth 500 is above 450 = 100 × 3 × 150 %: 3 → 4 replicas")
	require.Contains(s.t, text, "ceil(500 ÷ (100 × 150 %)) = 4")
	require.Contains(s.t, text, "what if: queue depth 500, never scaled; the rest is as it is")
	out, err := run(s.t.Context(), plugin, "explain", "--live", "--scaled-object", "orders", "-n", s.name, "-o", "json",
		"--queue-depth", "500", "--replicas", "4", "--last-scaled", "1s")
	require.NoError(s.t, err)
	var held explanation
	require.NoError(s.t, json.Unmarshal([]byte(out), &held))
	require.Equal(s.t, "REASON_WITHIN_BAND", held.Reason, "%+v", held)
	require.Equal(s.t, int32(4), held.DesiredReplicas)
}

func (s *space) pluginSaysWhatIsWrong(plugin string) {
	s.t.Helper()
	for name, wrong := range map[string]struct {
		args []string
		want string
	}{
		"a slip":           {[]string{"explain", "ordres", "-n", s.name}, fmt.Sprintf("error: there is no PubSubChannel \"ordres\" in namespace %q: did you mean orders?\n", s.name)},
		"another place":    {[]string{"explain", "orders", "-n", s.name, "--live", "--operator-namespace", "default"}, "error: namespace \"default\" has no pod of the scaler"},
		"no ScaledObject":  {[]string{"explain", "--live", "--scaled-object", "nobody", "-n", s.name}, "there is no ScaledObject " + s.name + "/nobody"},
		"watching nothing": {[]string{"watch", "ordres", "-n", s.name}, "did you mean orders?"},
	} {
		out, err := run(s.t.Context(), plugin, wrong.args...)
		var failed *commandError
		require.ErrorAs(s.t, err, &failed, name)
		var exit *exec.ExitError
		require.ErrorAs(s.t, failed.err, &exit, name)
		require.Equal(s.t, 1, exit.ExitCode(), name)
		require.Contains(s.t, failed.stderr, wrong.want, name)
		require.Empty(s.t, out, name)
	}
}

// buildPlugin builds the plugin and returns its path.
func (s *space) buildPlugin() string {
	s.t.Helper()
	plugin := filepath.Join(s.t.TempDir(), "kubectl-pubsub")
	ctx, cancel := context.WithTimeout(s.t.Context(), pluginBuildTimeout)
	defer cancel()
	_, err := run(ctx, "env", "CGO_ENABLED=0", "go", "build", "-C", "../..", "-trimpath", "-o", plugin, "./cmd/kubectl-pubsub")
	require.NoError(s.t, err)
	s.logf("the plugin is built")
	return plugin
}

// transcript is what a program printed so far.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *transcript) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(data)
}

func (b *transcript) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// running is a plugin under way.
type running struct {
	s             *space
	command       *exec.Cmd
	out, problems transcript
	ended         chan error
}

// startPlugin starts the plugin; it is ended with the test, if not before.
func (s *space) startPlugin(plugin string, args ...string) *running {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	r := &running{s: s, command: exec.CommandContext(ctx, plugin, args...), ended: make(chan error, 1)}
	r.command.Stdout, r.command.Stderr = &r.out, &r.problems
	r.command.WaitDelay = 5 * time.Second
	require.NoError(s.t, r.command.Start())
	go func() { r.ended <- r.command.Wait(); close(r.ended) }()
	s.t.Cleanup(func() {
		cancel()
		for range r.ended { // until it is closed
		}
	})
	return r
}

// until waits for a line that holds all of these.
func (r *running) until(texts ...string) {
	r.s.t.Helper()
	r.s.until(env.reaction(), fmt.Sprintf("the plugin prints a line with %q", texts), func(context.Context) error {
		for line := range strings.Lines(r.out.String()) {
			found := 0
			for _, text := range texts {
				if strings.Contains(line, text) {
					found++
				}
			}
			if found == len(texts) {
				return nil
			}
		}
		return fmt.Errorf("it printed so far:\n%s%s", r.out.String(), r.problems.String())
	})
}

// interrupt sends what Ctrl-C sends, and returns how the program ends.
func (r *running) interrupt() error {
	if err := r.command.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	select {
	case err := <-r.ended:
		return err
	case <-time.After(commandTimeout):
		return fmt.Errorf("it still runs after %s", commandTimeout)
	}
}
