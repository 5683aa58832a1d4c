// Package letters reaches a channel's dead letters on its server, and shows, gives back or removes
// them.
package letters

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/connection"
	"github.com/jawaracloud/pubsub-operator/cmd/internal/deadletter"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// atOnce is how many letters are given back at the same time.
const atOnce = 16

// Office is the server that has a channel's dead letters.
type Office struct {
	client  redis.UniversalClient
	channel types.NamespacedName
	boxes   []deadletter.Box
	redis   trigger.Redis // as the channel has it
	address string        // what is dialed
}

// Open returns the office of a channel, and opens no connection yet. direct is the host:port of
// one server, to be used in place of the channel's servers; empty: those. getenv gives
// credentials and the files of certificates, such as os.Getenv.
func Open(p *plan.Plan, direct string, getenv func(string) string) (*Office, error) {
	key := types.NamespacedName{Namespace: p.Channel.Namespace, Name: p.Channel.Name}
	boxes, err := boxesOf(p)
	if err != nil {
		return nil, fmt.Errorf("PubSubChannel %s: %w", key, err)
	}
	settings, err := redisSettings(p.Trigger.Redis, direct, getenv)
	if err != nil {
		return nil, err
	}
	return &Office{
		client:  settings.New(connection.Options{PoolSize: atOnce}),
		channel: key, boxes: boxes, redis: p.Trigger.Redis, address: settings.Addresses[0],
	}, nil
}

// boxesOf are those of each key: a list's, and a stream's for the channel's group. What a key
// holds can't be told once it is empty, so both are looked into.
func boxesOf(p *plan.Plan) ([]deadletter.Box, error) {
	q := p.Trigger.Queue
	switch {
	case q.Preset != "":
		return nil, fmt.Errorf("its workers are those of %s, which keeps failed jobs itself", q.Preset)
	case q.Type == trigger.SortedSet || q.Type == trigger.PubSub:
		return nil, fmt.Errorf("its queue type is %s: there are dead letters of lists and streams only", q.Type)
	}
	keys := q.Keys
	if len(keys) == 0 {
		keys = []string{p.Channel.Spec.ChannelName}
	}
	group := q.ConsumerGroup
	if group == "" {
		group = queue.DefaultConsumerGroup
	}
	var boxes []deadletter.Box
	for _, key := range keys {
		if q.Type != trigger.Stream {
			boxes = append(boxes, deadletter.Box{Key: key})
		}
		if q.Type != trigger.List {
			boxes = append(boxes, deadletter.Box{Key: key, Group: group})
		}
	}
	return boxes, nil
}

// redisSettings are the channel's, except for what the environment sets: credentials, and files
// of certificates, which the channel has as Secrets. direct names one server, such as a port
// that is forwarded to it; its certificate still has the name of the channel's address.
func redisSettings(r trigger.Redis, direct string, getenv func(string) string) (connection.Settings, error) {
	ofChannel := map[string]string{
		connection.EnvAddr: r.Address, connection.EnvMode: string(r.Mode), connection.EnvSentinelMaster: r.SentinelMaster,
		connection.EnvDatabase: strconv.Itoa(r.Database), connection.EnvTLS: strconv.FormatBool(r.TLS),
	}
	if r.Mode == trigger.Sentinel && direct == "" {
		ofChannel[connection.EnvSentinelTLS] = strconv.FormatBool(r.SentinelTLS)
	}
	if r.TLS || r.SentinelTLS && direct == "" {
		ofChannel[connection.EnvTLSServerName] = r.TLSServerName
	}
	if direct != "" {
		ofChannel[connection.EnvAddr] = direct
		ofChannel[connection.EnvMode] = string(connection.Standalone)
		ofChannel[connection.EnvSentinelMaster] = ""
		// Through a forwarded port, the certificate still has the name of the channel's address.
		if host, _, err := net.SplitHostPort(r.Address); err == nil && r.TLS && r.TLSServerName == "" {
			ofChannel[connection.EnvTLSServerName] = host
		}
	}
	// Which server it is, the channel and the flag say; the environment may be another's.
	fixed := []string{connection.EnvAddr, connection.EnvMode, connection.EnvSentinelMaster, connection.EnvDatabase}
	return connection.Parse(connection.Lookup{
		Get: func(env string) string {
			if value := getenv(env); value != "" && !slices.Contains(fixed, env) {
				return value
			}
			return ofChannel[env]
		},
		Name: func(env string) string {
			if env == connection.EnvAddr && direct != "" {
				return "--redis"
			}
			return env
		},
	})
}

// Close closes the connections.
func (o *Office) Close() { _ = o.client.Close() }

// Explain adds the remedy to an error of the server's, or of the way to it.
func (o *Office) Explain(err error) error {
	var network net.Error
	switch {
	case err == nil || errors.Is(err, deadletter.ErrGone):
		return err
	case redis.IsAuthError(err):
		remedy := "set REDIS_PASSWORD, and REDIS_USERNAME if it has users"
		if o.redis.Password.Name != "" {
			remedy += fmt.Sprintf("; the channel's workers have it from the Secret %s/%s, key %s", o.channel.Namespace, o.redis.Password.Name, o.redis.Password.Key)
		}
		return fmt.Errorf("%w: %s", err, remedy)
	case redis.IsPermissionError(err):
		return fmt.Errorf("%w: give the user the commands that docs/kubectl-pubsub.md names under dead", err)
	case redis.IsOOMError(err):
		return fmt.Errorf("%w: the server is at maxmemory: make room, and ask again; the letters are still there", err)
	case redis.HasErrorPrefix(err, "READONLY"):
		return fmt.Errorf("%w: this server is a replica: name the master with --redis", err)
	case redis.HasErrorPrefix(err, "MOVED"):
		return fmt.Errorf("%w: forward a port to that node, and name it with --redis", err)
	case errors.As(err, &network):
		return fmt.Errorf("%s can't be reached from here: %w: forward a port to the server (kubectl port-forward), and name it with --redis 127.0.0.1:PORT", o.address, err)
	}
	return err
}
