//go:build e2e

package suite

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"
)

// redisManifest is a Redis named as the API's default redisAddress has it. It keeps
// nothing: whoever stops it loses the queues.
const redisManifest = `
apiVersion: v1
kind: Service
metadata: {name: dragonfly}
spec:
  selector: {app: dragonfly}
  ports: [{port: 6379}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: dragonfly}
spec:
  replicas: 1
  strategy: {type: Recreate}
  selector: {matchLabels: {app: dragonfly}}
  template:
    metadata: {labels: {app: dragonfly}}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 1
      securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: redis
        image: %s
        command: [redis-server, --port, "6379", --save, "", --appendonly, "no", --protected-mode, "no", --dir, /]
        ports: [{containerPort: 6379}]
        readinessProbe: {tcpSocket: {port: 6379}, periodSeconds: 1}
        resources: {requests: {cpu: 5m, memory: 16Mi}}
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`

// startRedis deploys Redis and waits until it answers.
func (s *space) startRedis() {
	s.t.Helper()
	require.NoError(s.t, s.apply(fmt.Sprintf(redisManifest, env.redisImage)))
	s.untilRedisAnswers()
}

func (s *space) untilRedisAnswers() {
	s.t.Helper()
	s.until(env.settling(), "Redis answers", func(ctx context.Context) error {
		_, err := s.tryRedis(ctx, "PING")
		return err
	})
}

func (s *space) tryRedis(ctx context.Context, args ...string) (string, error) {
	command := append([]string{"-n", s.name, "exec", "deployment/dragonfly", "--", "redis-cli", "-e"}, args...)
	out, err := run(ctx, "kubectl", command...)
	return strings.TrimSpace(out), err
}

// redis runs a command by redis-cli in Redis's own pod, which works wherever kubectl does.
func (s *space) redis(args ...string) string {
	s.t.Helper()
	out, err := s.tryRedis(s.t.Context(), args...)
	require.NoError(s.t, err)
	return out
}

func (s *space) redisNumber(args ...string) int {
	s.t.Helper()
	out := s.redis(args...)
	number, err := strconv.Atoi(out)
	require.NoErrorf(s.t, err, "redis-cli %v", args)
	return number
}

// setDepth makes a list hold that many messages, in one step: no reader sees another depth
// in between.
func (s *space) setDepth(key string, messages int) {
	s.t.Helper()
	const script = `redis.call('DEL', KEYS[1])
for i = 1, tonumber(ARGV[1]) do redis.call('RPUSH', KEYS[1], 'message ' .. i) end
return redis.call('LLEN', KEYS[1])`
	require.Equal(s.t, messages, s.redisNumber("EVAL", script, "1", key, strconv.Itoa(messages)))
	s.logf("list %s holds %d messages", key, messages)
}

// push appends that many messages to a list, in one step.
func (s *space) push(key string, messages int) {
	s.t.Helper()
	const script = `for i = 1, tonumber(ARGV[1]) do redis.call('LPUSH', KEYS[1], 'message ' .. i .. ' of ' .. ARGV[1]) end
return redis.call('LLEN', KEYS[1])`
	s.redisNumber("EVAL", script, "1", key, strconv.Itoa(messages))
	s.logf("%d messages pushed to list %s", messages, key)
}

// addEntries appends that many entries to a stream, in one step.
func (s *space) addEntries(key string, entries int) {
	s.t.Helper()
	const script = `for i = 1, tonumber(ARGV[1]) do redis.call('XADD', KEYS[1], '*', 'data', 'message ' .. i) end
return redis.call('XLEN', KEYS[1])`
	s.redisNumber("EVAL", script, "1", key, strconv.Itoa(entries))
	s.logf("%d entries added to stream %s", entries, key)
}

// deliver has a consumer that never acknowledges take up to that many entries, and returns
// how many it got.
func (s *space) deliver(key, group string, entries int) {
	s.t.Helper()
	const script = `local reply = redis.call('XREADGROUP', 'GROUP', ARGV[1], 'silent', 'COUNT', ARGV[2], 'STREAMS', KEYS[1], '>')
return #reply[1][2]`
	got := s.redisNumber("EVAL", script, "1", key, group, strconv.Itoa(entries))
	require.Equal(s.t, entries, got)
	s.logf("%d entries of stream %s delivered, none acknowledged", got, key)
}

// acknowledge acknowledges the oldest of what the silent consumer holds.
func (s *space) acknowledge(key, group string, entries int) {
	s.t.Helper()
	const script = `local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', ARGV[2])
for _, entry in ipairs(pending) do redis.call('XACK', KEYS[1], ARGV[1], entry[1]) end
return #pending`
	got := s.redisNumber("EVAL", script, "1", key, group, strconv.Itoa(entries))
	require.Equal(s.t, entries, got)
	s.logf("%d entries of stream %s acknowledged", got, key)
}
