package connection_test

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
)

func parse(env map[string]string) (connection.Settings, error) {
	return connection.Parse(connection.Lookup{
		Get:  func(name string) string { return env[name] },
		Name: func(name string) string { return name },
	})
}

func TestParse(t *testing.T) {
	cases := map[string]struct {
		env  map[string]string
		want connection.Settings
	}{
		"least": {
			map[string]string{"REDIS_ADDR": "dragonfly:6379"},
			connection.Settings{Mode: connection.Standalone, Addresses: []string{"dragonfly:6379"}},
		},
		"sentinel": {
			map[string]string{
				"REDIS_ADDR": "a:1, b:2", "REDIS_MODE": "Sentinel", "REDIS_SENTINEL_MASTER": "m", "REDIS_DATABASE": "3",
				"REDIS_USERNAME": "u", "REDIS_PASSWORD": "p", "REDIS_SENTINEL_USERNAME": "su", "REDIS_SENTINEL_PASSWORD": "sp",
			},
			connection.Settings{
				Mode: connection.Sentinel, Addresses: []string{"a:1", "b:2"}, SentinelMaster: "m", Database: 3,
				Username: "u", Password: "p", SentinelUsername: "su", SentinelPassword: "sp",
			},
		},
		"sentinels like their servers": {
			map[string]string{"REDIS_ADDR": "a:1", "REDIS_MODE": "Sentinel", "REDIS_SENTINEL_MASTER": "m", "REDIS_TLS": "true"},
			connection.Settings{Mode: connection.Sentinel, Addresses: []string{"a:1"}, SentinelMaster: "m", TLS: &connection.TLS{}, SentinelTLS: &connection.TLS{}},
		},
		"plain sentinels": {
			map[string]string{"REDIS_ADDR": "a:1", "REDIS_MODE": "Sentinel", "REDIS_SENTINEL_MASTER": "m", "REDIS_TLS": "true", "REDIS_SENTINEL_TLS": "false"},
			connection.Settings{Mode: connection.Sentinel, Addresses: []string{"a:1"}, SentinelMaster: "m", TLS: &connection.TLS{}},
		},
		"sentinels alone with TLS": {
			map[string]string{"REDIS_ADDR": "a:1", "REDIS_MODE": "Sentinel", "REDIS_SENTINEL_MASTER": "m", "REDIS_SENTINEL_TLS": "true", "REDIS_TLS_CA_FILE": "/ca"},
			connection.Settings{Mode: connection.Sentinel, Addresses: []string{"a:1"}, SentinelMaster: "m", SentinelTLS: &connection.TLS{CAFile: "/ca"}},
		},
		"cluster": {
			map[string]string{
				"REDIS_ADDR": "a:1", "REDIS_MODE": "Cluster", "REDIS_DATABASE": "0", "REDIS_USERNAME_FILE": "/u", "REDIS_PASSWORD_FILE": "/p",
				"REDIS_TLS": "true", "REDIS_TLS_CA_FILE": "/ca", "REDIS_TLS_CERT_FILE": "/crt", "REDIS_TLS_KEY_FILE": "/key", "REDIS_TLS_SERVER_NAME": "r",
			},
			connection.Settings{
				Mode: connection.Cluster, Addresses: []string{"a:1"}, UsernameFile: "/u", PasswordFile: "/p",
				TLS: &connection.TLS{CAFile: "/ca", CertFile: "/crt", KeyFile: "/key", ServerName: "r"},
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := parse(tc.env)
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}

func TestWrongSettings(t *testing.T) {
	cases := map[string]struct {
		env  map[string]string
		want string
	}{
		"no address":                {map[string]string{"REDIS_ADDR": ""}, `REDIS_ADDR is "": it must be host:port`},
		"no port":                   {map[string]string{"REDIS_ADDR": "h"}, `REDIS_ADDR is "h": it must be host:port`},
		"a scheme":                  {map[string]string{"REDIS_ADDR": "redis://h:1"}, `REDIS_ADDR is "redis://h:1": set it to host:port without a scheme`},
		"a password in the address": {map[string]string{"REDIS_ADDR": "redis://u:hunter2@h:1"}, `REDIS_ADDR is "…@h:1"`},
		"a password as a parameter": {map[string]string{"REDIS_ADDR": "h:1,password=hunter2"}, `REDIS_ADDR is "h:1,…"`},
		"several servers":           {map[string]string{"REDIS_ADDR": "a:1,b:2"}, "it names 2 servers: name one, or set REDIS_MODE"},
		"mode":                      {map[string]string{"REDIS_MODE": "Ring"}, `REDIS_MODE is "Ring": set it to one of Standalone, Sentinel, Cluster`},
		"no master":                 {map[string]string{"REDIS_MODE": "Sentinel"}, `REDIS_SENTINEL_MASTER is "": set it to the name`},
		"a master without sentinel": {map[string]string{"REDIS_SENTINEL_MASTER": "m"}, `REDIS_SENTINEL_MASTER is "m": it is only for sentinels: set REDIS_MODE`},
		"database":                  {map[string]string{"REDIS_DATABASE": "-1"}, `REDIS_DATABASE is "-1": set it to a whole number from 0 to 65535`},
		"database of a cluster":     {map[string]string{"REDIS_MODE": "Cluster", "REDIS_DATABASE": "1"}, "a cluster has database 0 only"},
		"TLS":                       {map[string]string{"REDIS_TLS": "yes"}, `REDIS_TLS is "yes": set it to one of false, true`},
		"sentinels' TLS":            {map[string]string{"REDIS_SENTINEL_TLS": "true"}, `REDIS_SENTINEL_TLS is "true": it is only for sentinels: set REDIS_MODE to Sentinel, or leave it out`},
		"sentinels' TLS or not":     {map[string]string{"REDIS_MODE": "Sentinel", "REDIS_SENTINEL_MASTER": "m", "REDIS_SENTINEL_TLS": "no"}, `REDIS_SENTINEL_TLS is "no": set it to one of false, true`},
		"CA without TLS":            {map[string]string{"REDIS_TLS_CA_FILE": "/ca"}, `REDIS_TLS_CA_FILE is "/ca": it is only for TLS: set REDIS_TLS to true`},
		"half a certificate":        {map[string]string{"REDIS_TLS": "true", "REDIS_TLS_KEY_FILE": "/key"}, "REDIS_TLS_KEY_FILE, too, or neither"},
		"password twice":            {map[string]string{"REDIS_PASSWORD": "hunter2", "REDIS_PASSWORD_FILE": "/p"}, `REDIS_PASSWORD_FILE is "/p": it conflicts with REDIS_PASSWORD: set only one of them`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"REDIS_ADDR": "dragonfly:6379"}
			maps.Copy(env, tc.env)
			_, err := parse(env)
			require.ErrorContains(t, err, tc.want)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}
