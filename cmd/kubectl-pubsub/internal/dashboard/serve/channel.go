package serve

import (
	"context"
	"maps"
	"reflect"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/record"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/decide"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/trouble"
)

// told is what the page knows of the open channel.
type told struct {
	gone    bool
	message protocol.Channel
}

// sendChannel sends what changed of the open channel.
func (s *session) sendChannel(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	o := s.open
	s.mu.Unlock()
	if o == nil {
		return nil
	}
	detail, found := s.fleet.Channel(o.key, &o.position)
	if !found {
		if o.told != nil && o.told.gone {
			return nil
		}
		o.told, o.position = &told{gone: true}, record.Position{}
		return s.send(ctx, protocol.Envelope{Kind: protocol.KindChannel, Channel: &protocol.Channel{Key: o.key, Gone: true}})
	}
	is := stateOf(detail.Channel, now)
	row := detail.Row
	is.Key, is.Row = o.key, &row
	o.surround(&is)
	message := is
	if !detail.Full && o.told != nil && !o.told.gone {
		message = changes(o.told.message, is)
	}
	message.Full, message.Points, message.Marks = detail.Full, detail.Points, detail.Marks
	o.told = &told{message: is}
	if !detail.Full && len(message.Points) == 0 && len(message.Marks) == 0 && reflect.DeepEqual(message, protocol.Channel{Key: o.key}) {
		return nil
	}
	return s.send(ctx, protocol.Envelope{Kind: protocol.KindChannel, Channel: &message})
}

// surround adds what was seen around the channel.
func (o *opened) surround(message *protocol.Channel) {
	o.mu.Lock()
	defer o.mu.Unlock()
	message.Events, message.Workers, message.ScaledObject = o.seen.Events, o.seen.Workers, o.seen.ScaledObject
	message.Forbidden, message.Notes = map[string]string{}, map[string]string{} // empty is told, and absent is not
	maps.Copy(message.Forbidden, o.seen.Forbidden)
	maps.Copy(message.Notes, o.seen.Notes)
	if o.past.problem != "" {
		message.Forbidden["history"] = o.past.problem
	}
	if o.past.asked {
		message.Notes["history"] = "The older points are being read from the Prometheus…"
	}
}

// changes are the parts that are not as they were.
func changes(was, is protocol.Channel) protocol.Channel {
	message := protocol.Channel{Key: is.Key}
	from, now, to := reflect.ValueOf(was), reflect.ValueOf(is), reflect.ValueOf(&message).Elem()
	for i := range now.NumField() {
		if !reflect.DeepEqual(from.Field(i).Interface(), now.Field(i).Interface()) {
			to.Field(i).Set(now.Field(i))
		}
	}
	return message
}

// stateOf is what a channel itself tells.
func stateOf(channel *v1.PubSubChannel, now time.Time) protocol.Channel {
	message := protocol.Channel{Conditions: []protocol.Condition{}, Settings: settingsOf(channel)}
	for _, c := range channel.Status.Conditions {
		message.Conditions = append(message.Conditions, conditionOf(c))
	}
	decision, err := decisionOf(channel, decide.Overrides{}, now)
	if err != nil {
		message.NoDecision = err.Error()
		return message
	}
	message.Decision = decision
	return message
}

func conditionOf(c metav1.Condition) protocol.Condition {
	return protocol.Condition{
		Type: c.Type, Status: string(c.Status), Good: trouble.Good(c), Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime.UTC(),
	}
}

func settingsOf(channel *v1.PubSubChannel) []protocol.Setting {
	settings := []protocol.Setting{}
	if channel.Spec.AutoScaling == nil || !channel.Spec.AutoScaling.Enabled {
		return settings // none is in use
	}
	for _, s := range decide.Settings(channel) {
		settings = append(settings, protocol.Setting{Name: s.Name, Value: s.Value, From: s.From})
	}
	return settings
}
