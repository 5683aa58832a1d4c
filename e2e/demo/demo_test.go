package demo

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOptions(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"kubeconfig", "helm", "kubectl", "Chart.yaml"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	valid := Options{Kubeconfig: filepath.Join(dir, "kubeconfig"), Tools: dir, Chart: dir, ImageTag: "dev", Namespace: "demo"}
	if err := valid.validate(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"no tag":        {func(o *Options) { o.ImageTag = "" }, "--image-tag is missing"},
		"no kubeconfig": {func(o *Options) { o.Kubeconfig += "x" }, "make cluster-up"},
		"no tools":      {func(o *Options) { o.Tools += "/x" }, "make cluster-binaries"},
		"no chart":      {func(o *Options) { o.Chart += "/x" }, "--chart"},
	} {
		t.Run(name, func(t *testing.T) {
			options := valid
			test.change(&options)
			if err := options.validate(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestManifestsAreFilled(t *testing.T) {
	d := &demo{Options: Options{Namespace: "some-namespace", ImageTag: "v1.2.3"}}
	for name, wants := range map[string][]string{
		"redis.yaml":   {"namespace: some-namespace", "pod-security.kubernetes.io/enforce: restricted", "imagePullPolicy: IfNotPresent"},
		"channel.yaml": {"image: jawaracloud/subscriber:v1.2.3", "value: 500ms", "targetQueueDepth: 50 ", "maxReplicas: 10\n", "channelName: orders"},
		"burst.yaml":   {"image: jawaracloud/publisher:v1.2.3", `"1200"`, "name: orders-burst"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := render(name, d.values())
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range append(wants, "some-namespace") {
				if !strings.Contains(text, want) {
					t.Errorf("%q is missing in:\n%s", want, text)
				}
			}
		})
	}
}

func TestPodSummary(t *testing.T) {
	var pods podList
	err := json.Unmarshal([]byte(`{"items": [
		{"metadata": {"name": "up"}, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [{"ready": true}]}},
		{"metadata": {"name": "starting"}, "status": {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}},
		{"metadata": {"name": "unloaded"}, "status": {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]}},
		{"metadata": {"name": "crashing"}, "status": {"phase": "Running", "containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 2}}}]}},
		{"metadata": {"name": "nowhere"}, "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]}},
		{"metadata": {"name": "over"}, "status": {"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": {"reason": "Completed", "exitCode": 0}}}]}},
		{"metadata": {"name": "going", "deletionTimestamp": "2026-01-02T15:04:05Z"}, "status": {"phase": "Running"}}
	]}`), &pods)
	if err != nil {
		t.Fatal(err)
	}
	want := "1 of 5 pods are ready; " +
		"pod unloaded: ImagePullBackOff: no such image (build and load the images: make cluster-load); " +
		"pod crashing: CrashLoopBackOff (last exit code 2); " +
		"pod nowhere: Unschedulable: 0/1 nodes"
	if got := pods.summary(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// server plays redis-cli: it answers each command by a table.
func server(t *testing.T, replies map[string]string) *queueReader {
	t.Helper()
	commands, stdin := io.Pipe()
	lines := make(chan string, 256)
	go func() {
		defer close(lines)
		text := make([]byte, 4096)
		for {
			n, err := commands.Read(text)
			if err != nil {
				return
			}
			for line := range strings.Lines(string(text[:n])) {
				line = strings.TrimSpace(line)
				reply := replies[line]
				if line == `ECHO "`+end+`"` {
					reply = end
				}
				for said := range strings.SplitSeq(reply, "\n") {
					lines <- said
				}
			}
		}
	}()
	t.Cleanup(func() { _ = stdin.Close() })
	return &queueReader{stdin: stdin, lines: lines}
}

func TestQueueExchange(t *testing.T) {
	q := server(t, map[string]string{
		"LLEN orders":                    "12",
		"ZRANGE {orders}:consumers 0 -1": "pod-a\npod-b",
		"ZRANGE empty 0 -1":              "",
	})
	for name, test := range map[string]struct {
		commands, want []string
	}{
		"a number":      {[]string{"LLEN orders"}, []string{"12"}},
		"several":       {[]string{"LLEN orders", "LLEN orders"}, []string{"12", "12"}},
		"a list":        {[]string{"ZRANGE {orders}:consumers 0 -1"}, []string{"pod-a", "pod-b"}},
		"an empty list": {[]string{"ZRANGE empty 0 -1"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := q.exchange(t.Context(), test.commands)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %q and %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestQueueExchangeEnds(t *testing.T) {
	t.Run("with redis-cli", func(t *testing.T) {
		lines := make(chan string)
		close(lines)
		q := &queueReader{stdin: discard{}, lines: lines}
		if _, err := q.exchange(t.Context(), []string{"LLEN orders"}); err == nil {
			t.Error("no error")
		}
	})
	t.Run("with the context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		q := &queueReader{stdin: discard{}, lines: make(chan string)}
		if _, err := q.exchange(ctx, []string{"LLEN orders"}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

type discard struct{}

func (discard) Write(text []byte) (int, error) { return len(text), nil }
func (discard) Close() error                   { return nil }

func TestSum(t *testing.T) {
	if total, err := sum([]string{"1", "20", "300"}); total != 321 || err != nil {
		t.Errorf("got %d and %v", total, err)
	}
	if _, err := sum([]string{"WRONGTYPE Operation against a key"}); err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
		t.Errorf("got %v", err)
	}
}

func TestStep(t *testing.T) {
	var out strings.Builder
	now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	p := newProgress(&out, func() time.Time { return now })
	now = now.Add(7 * time.Second)
	if err := p.step(t.Context(), time.Minute, "first", nil, func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
	err := p.step(t.Context(), time.Minute, "second", nil, func(context.Context) error { return errNotFound })
	if !errors.Is(err, errNotFound) || err.Error() != "second: not found" {
		t.Error(err)
	}
	err = p.step(t.Context(), time.Nanosecond, "third", nil, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	if err == nil || !strings.HasPrefix(err.Error(), "third: not done after 1ns") {
		t.Error(err)
	}
	if want := "[  7 s] first\n[  7 s] second\n[  7 s] third\n"; out.String() != want {
		t.Errorf("got %q", out.String())
	}
}

func TestWithoutProxies(t *testing.T) {
	got := withoutProxies([]string{"HOME=/root", "HTTPS_PROXY=x", "http_proxy=y", "KUBECONFIG=z", "PATH=/bin"})
	if !slices.Equal(got, []string{"HOME=/root", "PATH=/bin"}) {
		t.Error(got)
	}
}
