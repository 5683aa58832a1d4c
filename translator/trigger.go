package translator

import (
	"cmp"
	"fmt"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
)

// triggerFor is what a channel asks the scaler: the ScaledObject's trigger and the
// question to Explain are rendered from the same value, so that they can't differ.
func triggerFor(channel *v1.PubSubChannel) trigger.Trigger {
	queue := queueSpec(channel)
	t := trigger.Trigger{
		ChannelName: channel.Spec.ChannelName,
		Queue: trigger.Queue{
			Type:              trigger.QueueType(queue.Type),
			Keys:              queue.Keys,
			Preset:            trigger.Preset(queue.Preset),
			KeyPrefix:         queue.KeyPrefix,
			PrioritySteps:     queue.PrioritySteps,
			PrioritySeparator: queue.PrioritySeparator,
			InFlight:          trigger.InFlight(queue.InFlight),
			Scheduled:         trigger.Scheduled(queue.Scheduled),
			ConsumerGroup:     queue.ConsumerGroup,
			Score:             trigger.Score(queue.Score),
		},
		Redis:  redisOf(channel),
		Policy: policySpec(channel.Spec.AutoScaling),
	}
	if queue.MaxAge != nil {
		t.Policy.MaxAge = queue.MaxAge.Duration
	}
	return t
}

// redisOf is how the scaler reaches the channel's server.
func redisOf(channel *v1.PubSubChannel) trigger.Redis {
	spec := redisSpec(channel)
	r := trigger.Redis{
		Address:          redisAddress(channel),
		Mode:             trigger.Mode(spec.Mode),
		SentinelMaster:   spec.SentinelMaster,
		Database:         int(spec.Database),
		Username:         secretOf(spec.UsernameSecret, keyUsername),
		Password:         secretOf(spec.PasswordSecret, keyPassword),
		SentinelUsername: secretOf(spec.SentinelUsernameSecret, keyUsername),
		SentinelPassword: secretOf(spec.SentinelPasswordSecret, keyPassword),
	}
	if tls := spec.TLS; tls != nil {
		r.TLS = true
		r.TLSServerName = tls.ServerName
		r.CA = secretOf(tls.CASecret, keyCA)
		if tls.ClientCertificateSecret != nil {
			r.ClientCertificate = tls.ClientCertificateSecret.Name
		}
	}
	return r
}

// Keys of Secrets where the channel names none.
const (
	keyUsername = "username"
	keyPassword = "password"
	keyCA       = "ca.crt"
)

func secretOf(reference *v1.SecretKey, defaultKey string) trigger.Secret {
	if reference == nil {
		return trigger.Secret{}
	}
	return trigger.Secret{Name: reference.Name, Key: cmp.Or(reference.Key, defaultKey)}
}

// checkTrigger finds what the CRD's schema can't: a port beyond 65535, for example. The
// scaler would refuse it with the same words, but only after KEDA had been set up.
func checkTrigger(t trigger.Trigger) error {
	if _, err := trigger.Parse(t.Metadata()); err != nil {
		return fmt.Errorf("the scaler would refuse what the channel asks for: %w", err)
	}
	return nil
}
