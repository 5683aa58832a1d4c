package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/channels"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/follow"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

var (
	orders   = types.NamespacedName{Namespace: "shop", Name: "orders"}
	invoices = types.NamespacedName{Namespace: "shop", Name: "invoices"}
	now      = time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC)
)

// script is what a watch hears: two channels of which one fails, then goes.
func script() []follow.Update {
	return []follow.Update{
		{Channel: orders}, {Channel: invoices}, {Listed: true},
		{Channel: orders, Time: now, Explanation: scaledUp()},
		{Channel: invoices, Time: now, Failure: &inspectv1.Failure{Code: "UNAVAILABLE", Reason: "BrokerUnreachable", Message: "refused"}},
		{Err: errors.New("away")}, {Err: errors.New("away")},
		{Channel: invoices, Time: now, Ending: follow.Deleted},
	}
}

func play(t *testing.T, show presenter, updates []follow.Update) {
	t.Helper()
	for _, update := range updates {
		require.NoError(t, show.update(update, now))
		require.NoError(t, show.tick(now))
	}
	require.NoError(t, show.close())
}

func TestTextLines(t *testing.T) {
	var out, problems bytes.Buffer
	play(t, newTextLines(&out, &problems, channels.Selection{Namespace: "shop"}), script())
	assert.Equal(t, `NAME      DEPTH    RATE      REPLICAS  DESIRED  ACTION     REASON           COOLDOWN  EXPLANATION
orders    500      -         3         4        ScaleUp    AboveUpperBound  -         queue depth 500 is above 450 = 100 × 3 × 150 %: 3 → 4 replicas
invoices  -        -         -         -        -          BrokerUnreachable  -         refused
invoices  -        -         -         -        -          Deleted            -         the channel was deleted
`, out.String())
	assert.Equal(t, "warning: away\n", problems.String(), "a warning comes once")

	out.Reset()
	problems.Reset()
	play(t, newTextLines(&out, &problems, channels.Selection{}), []follow.Update{{Listed: true}, {Err: errors.New("away")}, {Listed: true}, {Err: errors.New("away")}})
	assert.Empty(t, out.String())
	assert.Equal(t, "No PubSubChannel autoscales yet; waiting for one.\nwarning: away\nwarning: away\n", problems.String())
}

func TestJSONLines(t *testing.T) {
	var out, problems bytes.Buffer
	play(t, &jsonLines{out: &out, problems: warnings{out: &problems}}, script())
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 3)
	var first struct {
		Time, Namespace, Name string
		Explanation           map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &first))
	assert.Equal(t, "2026-11-23T05:00:00Z shop/orders", first.Time+" "+first.Namespace+"/"+first.Name)
	assert.Equal(t, "500", first.Explanation["queueDepth"])
	assert.Equal(t, "0", first.Explanation["inFlight"], "what is 0 is there as well")
	assert.JSONEq(t, `{"time":"2026-11-23T05:00:00Z","namespace":"shop","name":"invoices","failure":{"code":"UNAVAILABLE","reason":"BrokerUnreachable","message":"refused"}}`, lines[1])
	assert.JSONEq(t, `{"time":"2026-11-23T05:00:00Z","namespace":"shop","name":"invoices","ending":"Deleted"}`, lines[2])
	assert.Equal(t, "warning: away\n", problems.String())
}

// frames are the texts that a screen showed one after the other.
func frames(out string) []string {
	var texts []string
	for _, frame := range strings.Split(out, "\x1b[?25l")[1:] {
		frame, _, _ = strings.Cut(frame, "\x1b[J")
		if _, rest, ok := strings.Cut(frame, "A\r"); ok && strings.HasPrefix(frame, "\x1b[") {
			frame = rest
		}
		texts = append(texts, strings.ReplaceAll(frame, "\x1b[K\r\n", "\n"))
	}
	return texts
}

// A status that is old is told with its age. One that was written anew and says the same is no news, but its age is another.
func TestOldStatuses(t *testing.T) {
	asOf := now.Add(-3 * time.Hour)
	updates := []follow.Update{
		{Channel: orders, Time: now, AsOf: asOf, Explanation: scaledUp()}, {Listed: true}, {Err: &follow.QuietError{Newest: asOf}},
		{Channel: orders, Time: now, AsOf: now, Again: true, Explanation: scaledUp()},
	}
	var out, problems bytes.Buffer
	play(t, newTextLines(&out, &problems, channels.Selection{Namespace: "shop"}), updates)
	assert.Contains(t, out.String(), " as of 3h ago: queue depth 500 is above 450")
	assert.Equal(t, 1, strings.Count(out.String(), "orders"))
	assert.Equal(t, "warning: the newest status is of 2026-11-23 02:00:00 UTC: nothing has changed since, or the operator is down and what is shown may no longer hold, which kubectl pubsub doctor tells\n", problems.String())
	out.Reset()
	play(t, &jsonLines{out: &out, problems: warnings{out: &problems}}, updates)
	assert.Equal(t, 1, strings.Count(out.String(), "\n"))
	assert.Contains(t, out.String(), `"asOf":"2026-11-23T02:00:00Z"`)
	out.Reset()
	play(t, newScreen(&out, channels.Selection{Namespace: "shop"}, func() (int, int) { return 200, 24 }), updates)
	shown := frames(out.String())
	assert.Contains(t, shown[0], "as of 3h ago: ")
	assert.NotContains(t, shown[len(shown)-1], "as of")
}

// Of channels that are well, the age of an old status is told; if all are old, that the operator may be down.
func TestStatusTable(t *testing.T) {
	old, fresh := now.Add(-3*time.Hour), now.Add(-time.Minute)
	rows := []statusRow{{Name: "broken", Trouble: "NotObserved", Message: "words"}, {Name: "orders", Message: "300 is within the band", ObservedTime: &old}}
	table := func(rows []statusRow) (string, string) {
		var out, problems bytes.Buffer
		command := &cobra.Command{}
		command.SetOut(&out)
		command.SetErr(&problems)
		require.NoError(t, (&showing{}).table(command, rows, now))
		return out.String(), problems.String()
	}
	out, problems := table(rows)
	assert.Contains(t, out, "300 is within the band (as of 3h ago)\n")
	assert.Contains(t, out, "\n1 of 2 need a look\n")
	assert.Contains(t, problems, "warning: the newest status is of 2026-11-23 02:00:00 UTC: nothing has changed since, or the operator is down")
	out, problems = table(append(rows, statusRow{Name: "bills", Message: "x", ObservedTime: &fresh}))
	assert.Contains(t, out, "(as of 3h ago)\n")
	assert.NotContains(t, out, "x (as of")
	assert.Empty(t, problems, "one that is new shows that the operator works")
	_, problems = table(rows[:1])
	assert.Empty(t, problems)
}

func TestScreen(t *testing.T) {
	var out bytes.Buffer
	width := 200
	show := newScreen(&out, channels.Selection{Namespace: "shop"}, func() (int, int) { return width, 24 })
	updates := script()
	for _, update := range updates[:2] {
		require.NoError(t, show.update(update, now))
	}
	assert.Empty(t, out.String(), "the first frame has all rows")
	for _, update := range updates[2:] {
		require.NoError(t, show.update(update, now))
	}
	shown := frames(out.String())
	require.Len(t, shown, len(updates)-2)
	assert.Equal(t, 2, strings.Count(shown[0], "asking the scaler"), shown[0])
	assert.Contains(t, shown[1], "orders    500 ")
	assert.Contains(t, shown[2], "BrokerUnreachable")
	assert.Contains(t, shown[3], "\nwarning: away\n")
	last := shown[len(shown)-1]
	assert.NotContains(t, last, "invoices", "a deleted channel goes")
	assert.Contains(t, last, "warning: away", "as long as it is so")
	out.Reset()
	require.NoError(t, show.update(follow.Update{Listed: true}, now))
	assert.NotContains(t, out.String(), "warning")

	cooling := scaledUp()
	cooling.CooldownLeft = durationpb.New(3 * time.Second)
	require.NoError(t, show.update(follow.Update{Channel: orders, Explanation: cooling}, now))
	out.Reset()
	require.NoError(t, show.tick(now.Add(time.Second)))
	require.NoError(t, show.tick(now.Add(4*time.Second)))
	shown = frames(out.String())
	assert.Contains(t, shown[0], " 2s ", "the cooldown counts down")
	assert.NotRegexp(t, `\ds `, shown[1], "and ends")
	width = 70
	out.Reset()
	require.NoError(t, show.tick(now))
	assert.Contains(t, out.String(), "\n  queue depth 500", "in a narrow terminal the sentence goes below")
	require.NoError(t, show.close())
	assert.True(t, strings.HasSuffix(out.String(), "\x1b[?25h"))
}

func TestScreenWithNothing(t *testing.T) {
	var out bytes.Buffer
	show := newScreen(&out, channels.Selection{Namespace: "shop"}, func() (int, int) { return 80, 24 })
	require.NoError(t, show.update(follow.Update{Listed: true}, now))
	assert.Equal(t, []string{"No PubSubChannel in namespace shop autoscales yet; waiting for one.\n"}, frames(out.String()))
	assert.Equal(t, "No PubSubChannel autoscales yet; waiting for one.", nothing(channels.Selection{}))
}

// Named channels stay, with what became of them; of the others only those that autoscaled
// are of interest.
func TestEndings(t *testing.T) {
	var out bytes.Buffer
	show := newScreen(&out, channels.Selection{Namespace: "shop", Names: []string{"orders"}}, func() (int, int) { return 200, 24 })
	require.NoError(t, show.update(follow.Update{Channel: orders, Ending: follow.AutoscalingOff}, now))
	require.NoError(t, show.update(follow.Update{Listed: true}, now))
	assert.Contains(t, out.String(), "spec.autoScaling.enabled is false")

	off := follow.Update{Channel: orders, Ending: follow.AutoscalingOff}
	named := acquaintance{byName: true, heard: map[types.NamespacedName]bool{}}
	assert.True(t, named.concerns(off))
	all := acquaintance{heard: map[types.NamespacedName]bool{}}
	assert.False(t, all.concerns(off), "it never autoscaled")
	assert.True(t, all.concerns(follow.Update{Channel: orders}))
	assert.True(t, all.concerns(off))
	assert.False(t, all.concerns(follow.Update{Channel: orders, Ending: follow.Deleted}), "it is gone already")
	assert.True(t, all.concerns(follow.Update{Listed: true}))
	assert.True(t, all.concerns(follow.Update{Err: errors.New("away")}))
}
