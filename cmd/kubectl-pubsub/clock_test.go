package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/deadletter"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connecttest"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/doctor"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

const day = 24 * time.Hour

// clusters are such whose clock is this machine's, or far from it. Far, so that no machine is too slow for these tests.
var clusters = map[string]time.Duration{"the same clock": 0, "this machine's is 100 days ahead": -100 * day, "this machine's is 100 days behind": 100 * day}

func keyOf(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "shop", Name: name}
}

// decidedAt has a decision in the status of a channel: the scaler read the queue at the one time, and the HPA scaled at the other.
func decidedAt(read, scaled time.Time) func(*v1.PubSubChannel) {
	return func(channel *v1.PubSubChannel) {
		channel.Spec.AutoScaling.CooldownPeriod = new(int32(86_400))
		channel.Status.Conditions = []metav1.Condition{{Type: v1.ConditionConnected, Status: metav1.ConditionTrue, Reason: v1.ReasonQueueRead, LastTransitionTime: metav1.NewTime(read)}}
		channel.Status.Decision = &v1.ScalingDecision{
			ObservedTime: metav1.NewTime(read), LastScaleTime: new(metav1.NewTime(scaled)), QueueType: "list",
			Replicas: 3, DesiredReplicas: 4, QueueDepth: 500, Ready: 500, LowerBound: 150, UpperBound: 450, Active: true,
		}
	}
}

// Whatever the clock of this machine says, a cooldown lasts and an age counts as in the cluster.
func TestTimesAreByTheClustersClock(t *testing.T) {
	for name, ahead := range clusters {
		t.Run(name, func(t *testing.T) {
			s := newFakeServer(t, ahead)
			add := func(name string, read, scaled time.Duration) {
				s.channels[keyOf(name)] = fakeChannel("shop", name, decidedAt(s.now().Add(-read), s.now().Add(-scaled)))
			}
			add("old", 10*day+12*time.Hour, 12*time.Hour+30*time.Minute)
			add("over", 10*day+12*time.Hour, 36*time.Hour)

			out, problems, err := kubectl(t, "status", "old")
			require.NoError(t, err)
			assert.Contains(t, out, "(as of 10d ago)")
			assert.Contains(t, problems, "warning: the newest status is of ")
			out, _, err = kubectl(t, "explain", "old")
			require.NoError(t, err)
			assert.Contains(t, out, ", 10d ago, by the channel's status")
			assert.Contains(t, out, "UTC, 12h ago")
			assert.Regexp(t, `Reason +Cooldown`, out)
			out, _, err = kubectl(t, "explain", "over")
			require.NoError(t, err)
			assert.Regexp(t, `Cooldown +over`, out)
			out, _, err = kubectl(t, "explain", "over", "--last-scaled", "12h30m")
			require.NoError(t, err)
			assert.Regexp(t, `Reason +Cooldown`, out)

			add("new", 0, 36*time.Hour)
			out, problems, err = kubectl(t, "status", "new")
			require.NoError(t, err)
			assert.NotContains(t, out, "as of")
			assert.Empty(t, problems, "a new status shows that the operator works")
		})
	}
}

// The scaler counts by the cluster's clock, too. It is asked for before the question if nothing else was asked before.
func TestTheScalerIsAskedByTheClustersClock(t *testing.T) {
	s := newFakeServer(t, -100*day, fakeChannel("shop", "orders"))
	service := &connecttest.Inspector{}
	service.Set("shop", "orders", scaledUp())
	_, address := connecttest.Serve(t, service, nil)
	_, _, err := kubectl(t, "explain", "--live", "orders", "--last-scaled", "1h", "--address", address, "--plaintext")
	require.NoError(t, err)
	assert.WithinDuration(t, s.now().Add(-time.Hour), service.Asked().GetLastScaleTime().AsTime(), 12*time.Hour)
}

// until is a writer that ends a command once it has written something.
type until struct {
	mu      sync.Mutex
	text    bytes.Buffer
	want    *regexp.Regexp
	reached func()
}

func (u *until) Write(data []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n, err := u.text.Write(data)
	if u.want.Match(u.text.Bytes()) {
		u.reached()
	}
	return n, err
}

func (u *until) String() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.text.String()
}

// runUntil runs a command until it has printed something.
func runUntil(t *testing.T, want string, args ...string) string {
	t.Helper()
	ctx, reached := context.WithTimeout(t.Context(), soon)
	defer reached()
	out := &until{want: regexp.MustCompile(want), reached: reached}
	root := newRootCommand()
	root.SetOut(out)
	root.SetErr(&bytes.Buffer{})
	root.SetArgs(args)
	require.NoError(t, root.ExecuteContext(ctx))
	require.Regexp(t, want, out.String())
	return out.String()
}

func TestWatchCountsByTheClustersClock(t *testing.T) {
	for name, ahead := range clusters {
		t.Run(name, func(t *testing.T) {
			s := newFakeServer(t, ahead)
			s.channels[keyOf("old")] = fakeChannel("shop", "old", decidedAt(s.now().Add(-10*day-12*time.Hour), s.now().Add(-12*time.Hour-30*time.Minute)))
			runUntil(t, `old .* Cooldown .* as of 10d ago: `, "watch")
			out := runUntil(t, `\n`, "watch", "-o", "json")
			var first struct{ Time, AsOf time.Time }
			line, _, _ := strings.Cut(out, "\n")
			require.NoError(t, json.Unmarshal([]byte(line), &first))
			assert.WithinDuration(t, s.now(), first.Time, 12*time.Hour)
		})
	}
}

// Pages show ages by what the server tells of the time.
func TestTheDashboardsClockIsTheClusters(t *testing.T) {
	s := newFakeServer(t, -100*day)
	s.channels[keyOf("old")] = fakeChannel("shop", "old", decidedAt(s.now().Add(-10*day-12*time.Hour), s.now().Add(-12*time.Hour)))
	printed := regexp.MustCompile(`^The dashboard is at (\S+); Ctrl-C ends it\.\n$`)
	ctx, interrupt := context.WithCancel(t.Context())
	begun := make(chan struct{})
	out := &until{want: printed, reached: sync.OnceFunc(func() { close(begun) })}
	root := newRootCommand()
	root.SetOut(out)
	root.SetErr(&bytes.Buffer{})
	root.SetArgs([]string{"dashboard"})
	ended := make(chan error, 1)
	go func() { ended <- root.ExecuteContext(ctx) }()
	t.Cleanup(func() {
		interrupt()
		assert.NoError(t, <-ended)
	})
	select {
	case <-begun:
	case <-time.After(soon):
		require.Fail(t, "it does not begin")
	}
	at, err := url.Parse(printed.FindStringSubmatch(out.String())[1])
	require.NoError(t, err)
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := browser.Get(at.String())
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Len(t, response.Cookies(), 1)
	reading, stop := context.WithTimeout(t.Context(), soon)
	defer stop()
	conn, _, err := websocket.Dial(reading, "ws://"+at.Host+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{ //nolint:bodyclose // it has none
		"Origin": {"http://" + at.Host}, "Cookie": {response.Cookies()[0].Name + "=" + response.Cookies()[0].Value},
	}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.CloseNow() })
	for told := false; !told; {
		_, data, err := conn.Read(reading)
		require.NoError(t, err)
		m := protocol.Envelope{}
		require.NoError(t, json.Unmarshal(data, &m))
		if m.Kind != protocol.KindFleet || len(m.Fleet.Rows) == 0 {
			continue
		}
		told = true
		assert.WithinDuration(t, s.now(), m.Fleet.Now, 12*time.Hour)
		require.NotEmpty(t, m.Fleet.Rows[0].Points)
		assert.WithinDuration(t, s.now(), m.Fleet.Rows[0].Points[0].Time, 12*time.Hour)
	}
}

// Letters are dated by their server, whose clock is closer to the cluster's than to this machine's.
func TestLettersAgesAreByTheClustersClock(t *testing.T) {
	s := newFakeServer(t, -100*day, fakeChannel("shop", "orders"))
	server := redistest.Start(t)
	_, err := server.Client().TxPipelined(t.Context(), func(tx redis.Pipeliner) error {
		deadletter.Box{Key: "orders"}.Put(t.Context(), tx, deadletter.Letter{ID: "a", Payload: "p", Reason: "no", Time: s.now().Add(-10*day - 12*time.Hour), Deliveries: 1})
		return nil
	})
	require.NoError(t, err)
	out, _, err := kubectl(t, "dead", "list", "orders", "--redis", server.Addr)
	require.NoError(t, err)
	assert.Regexp(t, `\na +10d `, out)
}

func TestDoctorTellsOfAWrongClock(t *testing.T) {
	for name, ahead := range clusters {
		t.Run(name, func(t *testing.T) {
			newFakeServer(t, ahead)
			out, _, err := kubectl(t, "doctor", "-o", "json")
			require.ErrorContains(t, err, "problems found")
			var findings []doctor.Finding
			require.NoError(t, json.Unmarshal([]byte(out), &findings))
			want := doctor.Warning
			if ahead == 0 {
				want = doctor.OK
			}
			seen := 0
			for _, f := range findings {
				if f.Subject == "clock" {
					seen++
					assert.Equal(t, want, f.Severity, f.Message)
				}
			}
			assert.Equal(t, 1, seen)
		})
	}
}
