package trigger

import (
	"cmp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestQueueAndServerRoundTrip(t *testing.T) {
	tests := map[string]struct {
		metadata map[string]string
		check    func(*testing.T, Trigger)
	}{
		"sentinels with everything": {
			map[string]string{
				"channelName": "orders", "keys": "orders,refunds", "queueType": "Stream", "consumerGroup": "w", "maxAge": "1m30s",
				"redisAddress": "a:26379,b:26379", "redisMode": "Sentinel", "sentinelMaster": "mymaster", "database": "3",
				"usernameFromSecret": "auth/user", "passwordFromSecret": "auth/pass",
				"sentinelUsernameFromSecret": "s/user", "sentinelPasswordFromSecret": "s/pass",
				"tls": "true", "tlsServerName": "redis.example", "caFromSecret": "ca/ca.pem", "clientCertificateFromSecret": "client",
			},
			func(t *testing.T, got Trigger) {
				assert.Equal(t, []string{"orders", "refunds"}, got.QueueKeys())
				assert.Equal(t, 90*time.Second, got.Policy.MaxAge)
				assert.Equal(t, Redis{
					Address: "a:26379,b:26379", Mode: Sentinel, SentinelMaster: "mymaster", Database: 3,
					Username: Secret{Name: "auth", Key: "user"}, Password: Secret{Name: "auth", Key: "pass"},
					SentinelUsername: Secret{Name: "s", Key: "user"}, SentinelPassword: Secret{Name: "s", Key: "pass"},
					TLS: true, SentinelTLS: true, TLSServerName: "redis.example", CA: Secret{Name: "ca", Key: "ca.pem"}, ClientCertificate: "client",
				}, got.Redis)
			},
		},
		"plain sentinels of servers with TLS": {
			map[string]string{"channelName": "q", "redisMode": "Sentinel", "sentinelMaster": "m", "tls": "true", "sentinelTLS": "false"},
			func(t *testing.T, got Trigger) {
				assert.True(t, got.Redis.TLS)
				assert.False(t, got.Redis.SentinelTLS)
			},
		},
		"sentinels with TLS of plain servers": {
			map[string]string{"channelName": "q", "redisMode": "Sentinel", "sentinelMaster": "m", "sentinelTLS": "true", "caFromSecret": "ca"},
			func(t *testing.T, got Trigger) {
				assert.False(t, got.Redis.TLS)
				assert.True(t, got.Redis.SentinelTLS)
				assert.Equal(t, Secret{Name: "ca", Key: "ca.crt"}, got.Redis.CA)
			},
		},
		"keys of Secrets have defaults": {
			map[string]string{
				"channelName": "q", "usernameFromSecret": "auth", "passwordFromSecret": "auth", "tls": "true", "caFromSecret": "ca",
			},
			func(t *testing.T, got Trigger) {
				assert.Equal(t, Secret{Name: "auth", Key: "username"}, got.Redis.Username)
				assert.Equal(t, Secret{Name: "auth", Key: "password"}, got.Redis.Password)
				assert.Equal(t, Secret{Name: "ca", Key: "ca.crt"}, got.Redis.CA)
			},
		},
		"values from the environment": {
			map[string]string{"channelName": "q", "usernameFromEnv": "me", "passwordFromEnv": "secret"},
			func(t *testing.T, got Trigger) {
				assert.Equal(t, Secret{Value: "me"}, got.Redis.Username)
				assert.Equal(t, Secret{Value: "secret"}, got.Redis.Password)
			},
		},
		"a preset of several queues": {
			map[string]string{"channelName": "default", "keys": "default, mail", "preset": "Sidekiq", "keyPrefix": "shop"},
			func(t *testing.T, got Trigger) {
				assert.Equal(t, Queue{Type: Auto, Preset: "Sidekiq", Keys: []string{"default", "mail"}, KeyPrefix: "shop", InFlight: InFlightOfDatabase, Scheduled: ScheduledCount, Score: AnyScore}, got.Queue)
			},
		},
		"keys with commas": {
			map[string]string{"channelName": "q", "keys": `["a,b","c"]`, "queueType": "SortedSet", "score": "UnixSeconds"},
			func(t *testing.T, got Trigger) { assert.Equal(t, []string{"a,b", "c"}, got.QueueKeys()) },
		},
		"BullMQ on a cluster, with a hash tag": {
			map[string]string{"channelName": "q", "preset": "BullMQ", "keyPrefix": "{bull}", "redisMode": "Cluster"},
			func(t *testing.T, got Trigger) { assert.Equal(t, []string{"q"}, got.QueueKeys()) },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(test.metadata)
			require.NoError(t, err)
			test.check(t, got)
			again, err := Parse(got.Metadata())
			require.NoError(t, err)
			assert.Equal(t, got, again)
		})
	}
}

func TestWhatDoesNotGoTogether(t *testing.T) {
	tests := map[string]struct {
		metadata map[string]string
		want     string
	}{
		"type and preset":          {map[string]string{"queueType": "List", "preset": "RQ"}, `queueType is "List": the preset RQ says what the keys hold`},
		"unknown preset":           {map[string]string{"preset": "Kue"}, `preset is "Kue": it must be Sidekiq, Celery, BullMQ, Asynq`},
		"group of a sorted set":    {map[string]string{"queueType": "SortedSet", "consumerGroup": "w"}, `consumerGroup is "w": only a stream has consumer groups`},
		"score of a list":          {map[string]string{"queueType": "List", "score": "UnixSeconds"}, `score is "UnixSeconds": only a sorted set has scores`},
		"prefix without a preset":  {map[string]string{"keyPrefix": "x"}, `keyPrefix is "x": it belongs to the presets`},
		"prefix of Asynq":          {map[string]string{"preset": "Asynq", "keyPrefix": "x"}, `keyPrefix is "x": it belongs to the presets Sidekiq, Celery, BullMQ, RQ, Laravel, Bull and BeeQueue; leave it out: the keys of Asynq have none`},
		"age of a list":            {map[string]string{"queueType": "List", "maxAge": "1m"}, `maxAge is "1m": nothing records when a message of a List came`},
		"age of Celery":            {map[string]string{"preset": "Celery", "maxAge": "1m"}, `maxAge is "1m": nothing records when a message of Celery came`},
		"age without scores":       {map[string]string{"queueType": "SortedSet", "maxAge": "1m"}, `maxAge is "1m": the age of a sorted set's members is known from their score only`},
		"age without a unit":       {map[string]string{"maxAge": "60"}, `maxAge is "60": it must be a duration with its unit`},
		"age too long":             {map[string]string{"maxAge": "721h"}, `maxAge is 721h0m0s: it must be from 1s to 720h0m0s`},
		"Pub/Sub to zero":          {map[string]string{"queueType": "PubSub", "minReplicas": "0"}, `minReplicas is "0": it must be at least 1 for queueType PubSub`},
		"Sidekiq on a cluster":     {map[string]string{"preset": "Sidekiq", "redisMode": "Cluster"}, `preset is "Sidekiq": it does not work on a cluster`},
		"Celery without a tag":     {map[string]string{"preset": "Celery", "redisMode": "Cluster", "channelName": "{q}"}, `keyPrefix is "": on a cluster Celery needs a hash tag in it, so that all its keys are on one node; make it {celery}:, for example`},
		"BullMQ without a tag":     {map[string]string{"preset": "BullMQ", "redisMode": "Cluster"}, `keyPrefix is "": on a cluster BullMQ needs a hash tag`},
		"a key twice":              {map[string]string{"keys": "a,b,a"}, `keys is "a,b,a": a key is named twice`},
		"an empty key":             {map[string]string{"keys": "a,,b"}, `keys is "a,,b": one of the keys is empty`},
		"no array":                 {map[string]string{"keys": "[a"}, `keys is "[a": what begins with "[" must be a JSON array`},
		"no keys":                  {map[string]string{"keys": "[]"}, `keys is "[]": it must name 1 to 32 keys`},
		"several servers":          {map[string]string{"redisAddress": "a:1,b:2"}, `redisAddress is "a:1,b:2": several servers are for redisMode Sentinel or Cluster only`},
		"no master":                {map[string]string{"redisMode": "Sentinel"}, `sentinelMaster is "": it must be the name`},
		"a master alone":           {map[string]string{"sentinelMaster": "m"}, `sentinelMaster is "m": it belongs to redisMode Sentinel`},
		"sentinels' password":      {map[string]string{"sentinelPasswordFromSecret": "s"}, `sentinelPasswordFromSecret is "s": sentinels' credentials belong to redisMode Sentinel`},
		"database of a cluster":    {map[string]string{"redisMode": "Cluster", "database": "1"}, `database is "1": a cluster has database 0 only`},
		"negative database":        {map[string]string{"database": "-1"}, `database is "-1": it must be from 0 to 65535`},
		"user without a password":  {map[string]string{"usernameFromSecret": "s"}, `passwordFromSecret is "": an ACL user needs a password`},
		"a reference to nothing":   {map[string]string{"passwordFromSecret": "/password"}, `passwordFromSecret is "/password": it must be the name of a Secret`},
		"sentinels' TLS":           {map[string]string{"sentinelTLS": "true"}, `sentinelTLS is "true": it belongs to redisMode Sentinel; leave it out, or set redisMode`},
		"sentinels' TLS or not":    {map[string]string{"redisMode": "Sentinel", "sentinelMaster": "m", "sentinelTLS": "no"}, `sentinelTLS is "no": it must be false or true`},
		"a CA without TLS":         {map[string]string{"caFromSecret": "ca"}, `tls is "": tlsServerName, caFromSecret and clientCertificateFromSecret are for TLS`},
		"a CA, and KEDA's TLS":     {map[string]string{"caFromSecret": "ca", "enableTLS": "true"}, `set tls to true (enableTLS is KEDA's, for its connection to the scaler), or leave them out`},
		"sentinels' user alone":    {map[string]string{"sentinelUsernameFromSecret": "su"}, `sentinelUsernameFromSecret is "su": sentinels' credentials belong to redisMode Sentinel`},
		"sentinels' password, env": {map[string]string{"sentinelPasswordFromEnv": "hunter2"}, `sentinelPassword is "…": sentinels' credentials belong to redisMode Sentinel`},
		"KEDA's name of the list":  {map[string]string{"listName": "orders"}, `listName is "…": KEDA's own redis scalers call it so; here it is channelName`},
		"KEDA's address, from env": {map[string]string{"addressFromEnv": "REDIS"}, `addressFromEnv is "…": KEDA's own redis scalers call it so; here it is redisAddress`},
		"TLS or not":               {map[string]string{"tls": "yes"}, `tls is "yes": it must be false or true`},
		"a password in the open":   {map[string]string{"password": "hunter2"}, `password is "…": a ScaledObject is no place for a password`},
		"a password given twice":   {map[string]string{"passwordFromSecret": "s", "passwordFromEnv": "hunter2"}, `password gives it too: leave one of the two out`},
		"open and by environment":  {map[string]string{"password": "hunter2", "passwordFromEnv": "hunter2"}, `password is "…"`},
		"a value beside reference": {map[string]string{"username": "me", "usernameFromSecret": "s", "passwordFromSecret": "s"}, `usernameFromSecret is "s": username gives it too`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.metadata["channelName"] = cmp.Or(test.metadata["channelName"], "q")
			_, err := Parse(test.metadata)
			require.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
}
