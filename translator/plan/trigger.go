package plan

import (
	"cmp"
	"fmt"
	"strings"

	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
	"github.com/jawaracloud/pubsub-operator/translator/autoscaling"
)

// triggerFor reads what the scaler is to be asked. A step of the policy that the CRD would
// not have let through counts as the default, which is safer than none. So does the number of
// messages that a worker works on at once, of which Plan.Unscalable tells.
func triggerFor(channel *v1.PubSubChannel) trigger.Trigger {
	queue := ptr.Deref(channel.Spec.Queue, v1.QueueSpec{})
	scaling, _ := autoscaling.OfChannel(&channel.Spec)
	t := trigger.Trigger{
		ChannelName: channel.Spec.ChannelName,
		Queue: trigger.Queue{
			Type:              trigger.QueueType(cmp.Or(queue.Type, v1.QueueTypeAuto)),
			Keys:              queue.Keys,
			Preset:            trigger.Preset(queue.Preset),
			KeyPrefix:         queue.KeyPrefix,
			PrioritySteps:     queue.PrioritySteps,
			PrioritySeparator: queue.PrioritySeparator,
			InFlight:          trigger.InFlight(cmp.Or(queue.InFlight, v1.InFlightOfDatabase)),
			Scheduled:         trigger.Scheduled(cmp.Or(queue.Scheduled, v1.ScheduledCount)),
			ConsumerGroup:     queue.ConsumerGroup,
			Score:             trigger.Score(cmp.Or(queue.Score, v1.ScoreAny)),
		},
		Redis:  redisOf(channel),
		Policy: scaling,
	}
	if queue.MaxAge != nil {
		t.Policy.MaxAge = queue.MaxAge.Duration
	}
	return t
}

// redisOf is how the scaler, and the workers, reach the channel's server.
func redisOf(channel *v1.PubSubChannel) trigger.Redis {
	spec := ptr.Deref(channel.Spec.Redis, v1.RedisSpec{})
	r := trigger.Redis{
		// The CRD permits spaces around it, which the trigger does not.
		Address:          cmp.Or(strings.Trim(channel.Spec.RedisAddress, " "), trigger.DefaultRedisAddress),
		Mode:             trigger.Mode(cmp.Or(spec.Mode, v1.RedisModeStandalone)),
		SentinelMaster:   spec.SentinelMaster,
		Database:         int(spec.Database),
		Username:         secretOf(spec.UsernameSecret, keyUsername),
		Password:         secretOf(spec.PasswordSecret, keyPassword),
		SentinelUsername: secretOf(spec.SentinelUsernameSecret, keyUsername),
		SentinelPassword: secretOf(spec.SentinelPasswordSecret, keyPassword),
	}
	if tls := spec.TLS; tls != nil {
		r.TLS = ptr.Deref(tls.Enabled, true)
		r.TLSServerName = tls.ServerName
		r.CA = secretOf(tls.CASecret, KeyCA)
		if tls.ClientCertificateSecret != nil {
			r.ClientCertificate = tls.ClientCertificateSecret.Name
		}
	}
	r.SentinelTLS = r.Mode == trigger.Sentinel && ptr.Deref(spec.SentinelTLS, r.TLS)
	return r
}

// Keys of Secrets where the channel names none.
const (
	keyUsername = "username"
	keyPassword = "password"
	KeyCA       = "ca.crt"
)

func secretOf(reference *v1.SecretKey, defaultKey string) trigger.Secret {
	if reference == nil {
		return trigger.Secret{}
	}
	return trigger.Secret{Name: reference.Name, Key: cmp.Or(reference.Key, defaultKey)}
}

// checkTrigger finds what the CRD's schema can't: a port beyond 65535, for example. The
// scaler would refuse it with the same message, but only after KEDA had been set up.
func checkTrigger(metadata map[string]string) *Problem {
	if _, err := trigger.Parse(metadata); err != nil {
		return &Problem{Phase: v1.PhaseFailed, Reason: v1.ReasonInvalidSpec, Message: fmt.Sprintf("the scaler would refuse what the channel asks for: %v", err)}
	}
	return nil
}
