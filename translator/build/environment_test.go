package build

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// allOfRedis is a channel that says everything about its server.
func allOfRedis(c *v1.PubSubChannel) {
	c.Spec.RedisAddress = "a:26379,b:26379"
	c.Spec.Queue = &v1.QueueSpec{Keys: []string{"messages", "a,b"}}
	c.Spec.Redis = &v1.RedisSpec{
		Mode: v1.RedisModeSentinel, SentinelMaster: "mymaster", Database: 2,
		UsernameSecret:         &v1.SecretKey{Name: "auth"},
		PasswordSecret:         &v1.SecretKey{Name: "auth", Key: "pass"},
		SentinelUsernameSecret: &v1.SecretKey{Name: "sentinels", Key: "user"},
		SentinelPasswordSecret: &v1.SecretKey{Name: "sentinels"},
		TLS: &v1.RedisTLS{
			CASecret:                &v1.SecretKey{Name: "issuer", Key: "root.pem"},
			ClientCertificateSecret: &v1.SecretName{Name: "client"},
			ServerName:              "redis.example",
		},
	}
}

// Sentinels may be spoken to in another way than their servers: scaler and workers are told so.
func TestSentinelsMayHaveTLSOfTheirOwn(t *testing.T) {
	ca := &v1.SecretKey{Name: "ca"}
	tests := map[string]struct {
		redis    v1.RedisSpec
		metadata map[string]string // of tls and sentinelTLS
		env      []string
	}{
		"as the servers":              {v1.RedisSpec{TLS: &v1.RedisTLS{}}, map[string]string{"tls": "true"}, []string{"REDIS_TLS=true"}},
		"said so":                     {v1.RedisSpec{TLS: &v1.RedisTLS{}, SentinelTLS: new(true)}, map[string]string{"tls": "true"}, []string{"REDIS_TLS=true"}},
		"plain, the servers with TLS": {v1.RedisSpec{TLS: &v1.RedisTLS{CASecret: ca}, SentinelTLS: new(false)}, map[string]string{"tls": "true", "sentinelTLS": "false"}, []string{"REDIS_TLS=true", "REDIS_SENTINEL_TLS=false", "REDIS_TLS_CA_FILE=/etc/pubsub/redis-ca/ca.crt"}},
		"with TLS, the servers plain": {v1.RedisSpec{TLS: &v1.RedisTLS{Enabled: new(false), CASecret: ca}, SentinelTLS: new(true)}, map[string]string{"sentinelTLS": "true"}, []string{"REDIS_SENTINEL_TLS=true", "REDIS_TLS_CA_FILE=/etc/pubsub/redis-ca/ca.crt"}},
		"with the system's CAs":       {v1.RedisSpec{SentinelTLS: new(true)}, map[string]string{"sentinelTLS": "true"}, []string{"REDIS_SENTINEL_TLS=true"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.redis.Mode, test.redis.SentinelMaster = v1.RedisModeSentinel, "mymaster"
			channel := channeltest.Channel(func(c *v1.PubSubChannel) { c.Spec.Redis = &test.redis })
			p := plan.Of(channel)
			require.Nil(t, p.Invalid)
			for _, key := range []string{"tls", "sentinelTLS"} {
				assert.Equal(t, test.metadata[key], p.Metadata[key], key)
			}
			var tls []string
			for _, e := range envOf(t, channel) {
				if strings.Contains(e, "TLS") {
					tls = append(tls, e)
				}
			}
			assert.Equal(t, test.env, tls)
		})
	}
}

// What the scaler and the workers are told is the same.
func TestWorkersAreToldHowToReachTheServer(t *testing.T) {
	deployment, err := Deployment(plan.Of(channeltest.Channel(allOfRedis)))
	require.NoError(t, err)
	container := deployment.Spec.Template.Spec.Containers[0]
	env := map[string]string{}
	for _, e := range container.Env {
		env[*e.Name] = ptr.Deref(e.Value, "")
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			env[*e.Name] = "secret " + *e.ValueFrom.SecretKeyRef.Name + "/" + *e.ValueFrom.SecretKeyRef.Key
		}
	}
	assert.Equal(t, map[string]string{
		"REDIS_ADDR": "a:26379,b:26379", "CHANNEL": "messages", "MESSAGE_TIMEOUT": "30", "QUEUE_TYPE": "Auto", "POD_NAME": "",
		"QUEUE_KEYS": `["messages","a,b"]`, "REDIS_MODE": "Sentinel", "REDIS_SENTINEL_MASTER": "mymaster", "REDIS_DATABASE": "2",
		"REDIS_USERNAME": "secret auth/username", "REDIS_PASSWORD": "secret auth/pass",
		"REDIS_SENTINEL_USERNAME": "secret sentinels/user", "REDIS_SENTINEL_PASSWORD": "secret sentinels/password",
		"REDIS_TLS": "true", "REDIS_TLS_SERVER_NAME": "redis.example",
		"REDIS_TLS_CA_FILE":   "/etc/pubsub/redis-ca/ca.crt",
		"REDIS_TLS_CERT_FILE": "/etc/pubsub/redis-client/tls.crt", "REDIS_TLS_KEY_FILE": "/etc/pubsub/redis-client/tls.key",
	}, env)

	mounts := map[string]string{}
	for _, m := range container.VolumeMounts {
		assert.True(t, *m.ReadOnly)
		mounts[*m.Name] = *m.MountPath
	}
	assert.Equal(t, map[string]string{"redis-ca": "/etc/pubsub/redis-ca", "redis-client": "/etc/pubsub/redis-client"}, mounts)
	volumes := deployment.Spec.Template.Spec.Volumes
	require.Len(t, volumes, 2)
	assert.Equal(t, "issuer", *volumes[0].Secret.SecretName)
	require.Len(t, volumes[0].Secret.Items, 1, "the CA alone: the Secret may hold a private key, too")
	assert.Equal(t, "root.pem", *volumes[0].Secret.Items[0].Key)
	assert.Equal(t, "client", *volumes[1].Secret.SecretName)
	assertRestricted(t, deployment.Spec.Template.Spec, container)

	metadata := plan.Of(channeltest.Channel(allOfRedis)).Metadata
	for key, want := range map[string]string{
		"redisAddress": "a:26379,b:26379", "redisMode": "Sentinel", "sentinelMaster": "mymaster", "database": "2",
		"keys": `["messages","a,b"]`, "usernameFromSecret": "auth/username", "passwordFromSecret": "auth/pass",
		"sentinelUsernameFromSecret": "sentinels/user", "sentinelPasswordFromSecret": "sentinels/password",
		"tls": "true", "caFromSecret": "issuer/root.pem", "clientCertificateFromSecret": "client", "tlsServerName": "redis.example",
	} {
		assert.Equal(t, want, metadata[key], key)
	}
	require.Nil(t, plan.Of(channeltest.Channel(allOfRedis)).Invalid)
}

func TestPresetsAreToldToWorkers(t *testing.T) {
	channel := channeltest.Channel(func(c *v1.PubSubChannel) {
		c.Spec.Queue = &v1.QueueSpec{Preset: v1.PresetBullMQ, KeyPrefix: "shop"}
	})
	assert.Contains(t, envOf(t, channel), "QUEUE_PRESET=BullMQ")
	assert.Equal(t, trigger.Queue{Type: trigger.Auto, Preset: "BullMQ", KeyPrefix: "shop", InFlight: trigger.InFlightOfDatabase, Scheduled: trigger.ScheduledCount, Score: trigger.AnyScore}, plan.Of(channel).Trigger.Queue)
}

func TestAPresetsOptionsReachTheTrigger(t *testing.T) {
	channel := channeltest.Channel(func(c *v1.PubSubChannel) {
		c.Spec.Queue = &v1.QueueSpec{Preset: v1.PresetCelery, PrioritySteps: []int32{0, 5}, PrioritySeparator: ":", InFlight: v1.InFlightOfQueues}
	})
	require.Nil(t, plan.Of(channel).Invalid)
	metadata := plan.Of(channel).Trigger.Metadata()
	for key, want := range map[string]string{"prioritySteps": "0,5", "prioritySeparator": ":", "inFlight": "Queue"} {
		assert.Equal(t, want, metadata[key], key)
	}
}
