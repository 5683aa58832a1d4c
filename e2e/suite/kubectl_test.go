//go:build e2e

package suite

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a user of kubectl sees: columns with real values, an event for each scaling, the
// workers by their label, and the operator's logs by its label.
func TestKubectlExperience(t *testing.T) {
	beside(t, usual)
	s := newSpaceWithRedis(t, "kubectl")
	channel := newChannel("orders")
	cooldown := setCooldown(channel, 2)
	park(channel)
	s.setDepth("orders", 300)
	replicas := s.createAndSettle(channel)
	s.setDepth("orders", 500)
	replicas.untilValues(env.reaction(), 3, 4)
	s.until(env.settling(), "all four workers are there", s.statusReplicas("orders", 4))
	s.untilReady("orders")
	s.untilDepth("orders", 500)

	table := s.kubectl("get", "psc")
	t.Log("kubectl get psc\n" + table)
	require.Equal(t, []string{"NAME", "CHANNEL", "PHASE", "REPLICAS", "QUEUE", "AGE"}, rows(table)[0])
	row := requireRow(t, table, "orders")
	require.Equal(t, []string{"orders", "orders", "Running", "4", "500"}, row[:5])
	require.Regexp(t, `^[0-9]+[ms]`, row[5])

	pods := s.kubectl("get", "pods", "-l", "app=pubsub-subscriber", "--no-headers")
	require.Len(t, rows(pods), 4, pods)
	for _, pod := range rows(pods) {
		require.Equal(t, []string{"1/1", "Running", "0"}, pod[1:4], pods)
	}

	s.setDepth("orders", 0)
	replicas.untilValues(3*cooldown+2*env.reaction(), 3, 4, 3, 2)
	s.eachScalingHasAnEvent(replicas, "Scaled from 3 to 4 replicas (queue depth: 500)",
		"Scaled from 4 to 3 replicas (queue depth: 0)", "Scaled from 3 to 2 replicas (queue depth: 0)")

	logs, err := run(t.Context(), "kubectl", "logs", "-l", "app=pubsub-operator", "-n", systemNamespace, "--tail=-1")
	require.NoError(t, err)
	require.Regexp(t, `(?m)scaled.*`+s.name, logs, "the controller logs each scaling")
}

// eachScalingHasAnEvent waits until kubectl shows exactly these events, in their order.
func (s *space) eachScalingHasAnEvent(replicas *recorder, wanted ...string) {
	s.t.Helper()
	require.Len(s.t, replicas.values(), len(wanted)+1)
	s.until(env.statusDelay(), "each scaling has its event", func(context.Context) error {
		out := s.kubectl("get", "events", "--field-selector", "reason=Scaled", "--sort-by=.metadata.creationTimestamp",
			"-o", `jsonpath={range .items[*]}{.involvedObject.kind}/{.involvedObject.name} {.type} {.message}{"\n"}{end}`)
		got := strings.Split(strings.TrimSpace(out), "\n")
		if len(got) < len(wanted) {
			return fmt.Errorf("events: %q", got)
		}
		for i := range wanted {
			require.Equal(s.t, "PubSubChannel/orders Normal "+wanted[i], got[i])
		}
		require.Len(s.t, got, len(wanted), "%q", got)
		return nil
	})
	table := s.kubectl("get", "events", "--field-selector", "reason=Scaled")
	s.t.Log("kubectl get events --field-selector reason=Scaled\n" + table)
	require.NotContains(s.t, table, "<unknown>", "each event has a time")
	described := s.kubectl("describe", "psc", "orders")
	require.Contains(s.t, described, wanted[0], "kubectl describe shows the events")
}

// statusReplicas is a condition: the channel's status counts that many workers, all ready.
func (s *space) statusReplicas(name string, wanted int32) func(context.Context) error {
	return func(ctx context.Context) error {
		channel, err := s.channel(ctx, name)
		if err != nil {
			return err
		}
		if status := channel.Status; status.Replicas != wanted || status.ReadyReplicas != wanted {
			return fmt.Errorf("status.replicas is %d and readyReplicas %d, not %d", status.Replicas, status.ReadyReplicas, wanted)
		}
		return nil
	}
}
