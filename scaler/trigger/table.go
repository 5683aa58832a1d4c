package trigger

import (
	"strconv"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

// keyRow is all that is known of a key of the metadata.
type keyRow struct {
	key string
	// read takes the value over; where there is none, the trigger has its default already, or gets it.
	read func(p *parser, t *Trigger)
	// write is the value that stands for a trigger; empty: the key is left out.
	write func(t Trigger) string
	// meaning and byDefault are the key's row in docs/scaledobject.md; both empty: it has none.
	meaning, byDefault string

	connects bool // it says which server is read, or with whose credentials
	oneLine  bool // its value goes to a server, or into a text, as one word
	secret   bool // its value is never shown, and stands in metadata with FromEnv only
}

// table is the keys that the scaler reads, in the order in which errors tell of them.
var table = []keyRow{
	{key: KeyChannelName, meaning: "the key of the list, stream or sorted set, the Pub/Sub channel, or the name of a preset's queue", byDefault: "required",
		read:  func(p *parser, t *Trigger) { t.ChannelName = p.metadata[KeyChannelName] },
		write: func(t Trigger) string { return t.ChannelName }},
	{key: KeyKeys, meaning: "all keys whose depths are summed: `orders,refunds`, or a JSON array where a key has a comma", byDefault: "`channelName`",
		read:  func(p *parser, t *Trigger) { t.Queue.Keys = p.keys() },
		write: func(t Trigger) string { return renderKeys(t.Queue.Keys) }},
	{key: KeyQueueType, meaning: codes(queueTypes), byDefault: code(Auto),
		read:  func(p *parser, t *Trigger) { t.Queue.Type = oneOf(p, KeyQueueType, queueTypes) },
		write: func(t Trigger) string { return string(t.Queue.Type) }},
	{key: KeyPreset, meaning: codes(presetNames(framework.All())), byDefault: "none",
		read:  func(p *parser, t *Trigger) { t.Queue.Preset = oneOf(p, KeyPreset, presets) },
		write: func(t Trigger) string { return string(t.Queue.Preset) }},
	textKey(KeyKeyPrefix, func(t *Trigger) *string { return &t.Queue.KeyPrefix }, "of a preset's keys", "the framework's"),
	{key: KeyPrioritySteps, meaning: "Celery's `priority_steps`: whole numbers from 0 to 255 in rising order, 32 at most", byDefault: "the framework's: 0,3,6,9",
		read:  func(p *parser, t *Trigger) { t.Queue.PrioritySteps = p.prioritySteps() },
		write: func(t Trigger) string { return framework.StepsOf(t.Queue.PrioritySteps) }},
	textKey(KeyPrioritySeparator, func(t *Trigger) *string { return &t.Queue.PrioritySeparator }, "Celery's `sep`, between a queue's name and a priority", "the framework's: the bytes 06 and 16 (hexadecimal)"),
	{key: KeyInFlight, meaning: "which work of Celery's `unacked`, which all queues of a database share, counts: " + codes(inFlights), byDefault: code(InFlightOfDatabase),
		read:  func(p *parser, t *Trigger) { t.Queue.InFlight = oneOf(p, KeyInFlight, inFlights) },
		write: func(t Trigger) string { return unless(InFlightOfDatabase, t.Queue.InFlight) }},
	{key: KeyScheduled, meaning: "whether RQ's due jobs count: " + codes(scheduleds) + ", where no worker runs with `--with-scheduler`", byDefault: code(ScheduledCount),
		read:  func(p *parser, t *Trigger) { t.Queue.Scheduled = oneOf(p, KeyScheduled, scheduleds) },
		write: func(t Trigger) string { return unless(ScheduledCount, t.Queue.Scheduled) }},
	textKey(KeyConsumerGroup, func(t *Trigger) *string { return &t.Queue.ConsumerGroup }, "a stream's consumer group", "its only group"),
	{key: KeyScore, meaning: "what a sorted set's scores say: " + codes(scores), byDefault: code(AnyScore),
		read:  func(p *parser, t *Trigger) { t.Queue.Score = oneOf(p, KeyScore, scores) },
		write: func(t Trigger) string { return unless(AnyScore, t.Queue.Score) }},
	{key: KeyMaxAge, meaning: "how long a message may wait, such as `90s` or `5m`: 1s to 720h", byDefault: "no limit",
		read: func(p *parser, t *Trigger) { t.Policy.MaxAge = p.duration(KeyMaxAge) },
		write: func(t Trigger) string {
			if t.Policy.MaxAge > 0 {
				return t.Policy.MaxAge.String()
			}
			return ""
		}},

	oneWord(KeyRedisAddress, "`host:port`, several separated by commas for sentinels or cluster nodes; a host without a dot is a Service in the ScaledObject's namespace", code(DefaultRedisAddress),
		func(p *parser, t *Trigger) { t.Redis.Address = p.text(KeyRedisAddress, DefaultRedisAddress) },
		func(t Trigger) string { return t.Redis.Address }),
	{key: KeyRedisMode, connects: true, meaning: codes(modes), byDefault: code(Standalone),
		read:  func(p *parser, t *Trigger) { t.Redis.Mode = oneOf(p, KeyRedisMode, modes) },
		write: func(t Trigger) string { return unless(Standalone, t.Redis.Mode) }},
	oneWord(KeySentinelMaster, "the name under which the sentinels know the master", "–",
		func(p *parser, t *Trigger) { t.Redis.SentinelMaster = p.metadata[KeySentinelMaster] },
		func(t Trigger) string { return t.Redis.SentinelMaster }),
	{key: KeyDatabase, connects: true, meaning: "the logical database, 0 to 65535", byDefault: "0",
		read:  func(p *parser, t *Trigger) { t.Redis.Database = int(p.number(KeyDatabase, 0, 32)) },
		write: func(t Trigger) string { return unless("0", strconv.Itoa(t.Redis.Database)) }},
	valueKey(KeyUsername, func(r *Redis) *Secret { return &r.Username }, false),
	valueKey(KeyPassword, func(r *Redis) *Secret { return &r.Password }, true),
	valueKey(KeySentinelUsername, func(r *Redis) *Secret { return &r.SentinelUsername }, false),
	valueKey(KeySentinelPassword, func(r *Redis) *Secret { return &r.SentinelPassword }, true),
	secretKey(KeyUsernameFromSecret, KeyUsername, "username", func(r *Redis) *Secret { return &r.Username }, "the user: "+ofSecret("username"), "none"),
	secretKey(KeyPasswordFromSecret, KeyPassword, "password", func(r *Redis) *Secret { return &r.Password }, "the password: "+ofSecret("password"), "none"),
	secretKey(KeySentinelUsernameFromSecret, KeySentinelUsername, "username", func(r *Redis) *Secret { return &r.SentinelUsername }, "likewise, for the sentinels", "none"),
	secretKey(KeySentinelPasswordFromSecret, KeySentinelPassword, "password", func(r *Redis) *Secret { return &r.SentinelPassword }, "likewise, for the sentinels", "none"),
	{key: KeyTLS, connects: true, meaning: "`true` or `false`: whether the server is spoken to by TLS (`enableTLS` is KEDA's, for its connection to the scaler)", byDefault: "`false`",
		read:  func(p *parser, t *Trigger) { t.Redis.TLS = oneOf(p, KeyTLS, []string{"false", "true"}) == "true" },
		write: func(t Trigger) string { return unless("false", strconv.FormatBool(t.Redis.TLS)) }},
	{key: KeySentinelTLS, connects: true, meaning: "`true` or `false`: whether the sentinels are spoken to by TLS, where that differs from `tls`", byDefault: "as `tls`",
		read: func(p *parser, t *Trigger) { t.Redis.SentinelTLS = p.sentinelTLS(t.Redis) },
		write: func(t Trigger) string {
			if t.Redis.Mode != Sentinel || t.Redis.SentinelTLS == t.Redis.TLS {
				return ""
			}
			return strconv.FormatBool(t.Redis.SentinelTLS)
		}},
	oneWord(KeyTLSServerName, "the name that the server's certificate must have", "the address's host",
		func(p *parser, t *Trigger) { t.Redis.TLSServerName = p.metadata[KeyTLSServerName] },
		func(t Trigger) string { return t.Redis.TLSServerName }),
	secretKey(KeyCAFromSecret, "", "ca.crt", func(r *Redis) *Secret { return &r.CA }, "the authorities to trust: "+ofSecret("ca.crt"), "the system's"),
	oneWord(KeyClientCertificateFromSecret, "the name of a Secret of type `kubernetes.io/tls`", "none",
		func(p *parser, t *Trigger) { t.Redis.ClientCertificate = p.metadata[KeyClientCertificateFromSecret] },
		func(t Trigger) string { return t.Redis.ClientCertificate }),

	{key: KeyPolicy, meaning: codes(policies) + ", which scales by how busy the workers are", byDefault: code(policy.ByThreshold),
		read:  func(p *parser, t *Trigger) { t.Policy.Policy = oneOf(p, KeyPolicy, policies) },
		write: func(t Trigger) string { return unless(policy.ByThreshold, t.Policy.Policy) }},
	{key: KeyWorkerConcurrency, meaning: "messages that one worker works on at once, for `Utilization`: 1–10000", byDefault: "1",
		read:  func(p *parser, t *Trigger) { t.Policy.WorkerConcurrency = p.workerConcurrency(t.Policy) },
		write: func(t Trigger) string { return writtenConcurrency(t.Policy) }},
	count32(KeyMinReplicas, func(s *policy.Spec) *int32 { return &s.MinReplicas }, "the least replicas; keep it equal to `minReplicaCount`"),
	count32(KeyMaxReplicas, func(s *policy.Spec) *int32 { return &s.MaxReplicas }, "the most replicas; keep it equal to `maxReplicaCount`"),
	count64(KeyTargetQueueDepth, func(s *policy.Spec) *int64 { return &s.TargetQueueDepth }, "messages for each replica"),
	count32(KeyScaleUpThreshold, func(s *policy.Spec) *int32 { return &s.ScaleUpThreshold }, "percent of target × replicas above which there are more: 1–1000"),
	count32(KeyScaleDownThreshold, func(s *policy.Spec) *int32 { return &s.ScaleDownThreshold }, "percent of target × replicas below which there are fewer: 1–100"),
	{key: KeyCooldownPeriod, meaning: "least time between two scalings, in seconds", byDefault: "60",
		read: func(p *parser, t *Trigger) {
			t.Policy.Cooldown = time.Duration(p.number(KeyCooldownPeriod, int64(t.Policy.Cooldown/time.Second), 32)) * time.Second
		},
		write: func(t Trigger) string { return strconv.FormatInt(int64(t.Policy.Cooldown/time.Second), 10) }},
	count64(KeyActivationQueueDepth, func(s *policy.Spec) *int64 { return &s.ActivationQueueDepth }, "the depth that must be exceeded to wake a target of 0 replicas"),
	// Unset is a default of its own for each: a step without limit is left out where it is that.
	stepKey(KeyMaxScaleUpStep, func(s *policy.Spec) *policy.Step { return &s.MaxScaleUpStep }, "", "replicas that one scaling may add: "+stepForms, code(noLimit)),
	stepKey(KeyMaxScaleDownStep, func(s *policy.Spec) *policy.Step { return &s.MaxScaleDownStep }, noLimit, "replicas that one scaling may remove: "+stepForms, "`20%`"),
	busyKey(KeyUtilizationTarget, func(u *policy.UtilizationSpec) *int32 { return &u.Target }, "of `Utilization`: percent busy that growing aims at"),
	busyKey(KeyUtilizationScaleUp, func(u *policy.UtilizationSpec) *int32 { return &u.ScaleUp }, "of `Utilization`: percent busy above which there are more, greater than the target"),
	busyKey(KeyUtilizationScaleDown, func(u *policy.UtilizationSpec) *int32 { return &u.ScaleDown }, "of `Utilization`: percent busy that fewer may at most be, less than the target"),
	{key: KeyUtilizationWindow, meaning: "of `Utilization`: how long the work in flight is watched before there are fewer, such as `120s` or `10m`: 15s to 1h", byDefault: "120s",
		read: func(p *parser, t *Trigger) { p.utilizationWindow(&t.Policy) },
		write: func(t Trigger) string {
			if t.Policy.Policy != policy.ByUtilization {
				return ""
			}
			return t.Policy.UtilizationWindow().String()
		}},

	{key: KeyCurrentReplicas,
		read: func(p *parser, t *Trigger) { t.CurrentReplicas = p.currentReplicas() },
		write: func(t Trigger) string {
			if t.CurrentReplicas == nil {
				return ""
			}
			return strconv.Itoa(int(*t.CurrentReplicas))
		}},
	{key: KeyLastScaleTime,
		read: func(p *parser, t *Trigger) { t.LastScaleTime = p.lastScaleTime() },
		write: func(t Trigger) string {
			if t.LastScaleTime == nil {
				return ""
			}
			return t.LastScaleTime.Format(time.RFC3339Nano)
		}},
}

// What the table says, by key. It is found out in an init because the parser's errors, which the
// table's functions make, ask for it.
var (
	known, hidden, connecting = map[string]bool{}, map[string]bool{}, map[string]bool{}
	singleLine                []string
)

func init() {
	for _, row := range table {
		known[row.key] = true
		if row.secret {
			hidden[row.key] = true
		}
		if row.connects {
			connecting[row.key] = true
		}
		if row.oneLine {
			singleLine = append(singleLine, row.key)
		}
	}
}

const stepForms = "a number, a percentage (rounded down, at least 1), or `none`"

func ofSecret(key string) string {
	return "`name/key` of a Secret in the ScaledObject's namespace; the key is `" + key + "` where it is left out"
}

func code[T ~string](value T) string { return "`" + string(value) + "`" }

// codes are values as a document has them: "`a`, `b` or `c`".
func codes[T ~string](values []T) string {
	marked := make([]string, len(values))
	for i, value := range values {
		marked[i] = code(value)
	}
	return joined(marked, "or")
}

// unless is a value; empty where it is the one by default.
func unless[T ~string](byDefault, value T) string {
	if value == byDefault {
		return ""
	}
	return string(value)
}

func textKey(key string, field func(*Trigger) *string, meaning, byDefault string) keyRow {
	return keyRow{key: key, meaning: meaning, byDefault: byDefault,
		read:  func(p *parser, t *Trigger) { *field(t) = p.metadata[key] },
		write: func(t Trigger) string { return *field(&t) }}
}

// oneWord is a key that says where to connect.
func oneWord(key, meaning, byDefault string, read func(*parser, *Trigger), write func(Trigger) string) keyRow {
	return keyRow{key: key, meaning: meaning, byDefault: byDefault, read: read, write: write, connects: true, oneLine: true}
}

// valueKey is a credential itself, which comes from an environment.
func valueKey(key string, field func(*Redis) *Secret, secret bool) keyRow {
	return keyRow{key: key, connects: true, secret: secret,
		read: func(p *parser, t *Trigger) { *field(&t.Redis) = Secret{Value: p.metadata[key]} },
		write: func(t Trigger) string {
			if s := *field(&t.Redis); s.Name == "" {
				return s.Value
			}
			return ""
		}}
}

// secretKey is the reference to a Secret. It comes after the row of the value that it may not be
// given together with.
func secretKey(key, valueKey, defaultKey string, field func(*Redis) *Secret, meaning, byDefault string) keyRow {
	return oneWord(key, meaning, byDefault,
		func(p *parser, t *Trigger) {
			if p.metadata[key] != "" {
				*field(&t.Redis) = p.secret(valueKey, key, defaultKey)
			}
		},
		func(t Trigger) string {
			s := *field(&t.Redis)
			if s.Name == "" {
				return ""
			}
			return s.Name + "/" + s.Key
		})
}

func count32(key string, field func(*policy.Spec) *int32, meaning string) keyRow {
	byDefault := policy.DefaultSpec()
	return keyRow{key: key, meaning: meaning, byDefault: strconv.Itoa(int(*field(&byDefault))),
		read: func(p *parser, t *Trigger) {
			*field(&t.Policy) = int32(p.number(key, int64(*field(&t.Policy)), 32))
		},
		write: func(t Trigger) string { return strconv.Itoa(int(*field(&t.Policy))) }}
}

func count64(key string, field func(*policy.Spec) *int64, meaning string) keyRow {
	byDefault := policy.DefaultSpec()
	return keyRow{key: key, meaning: meaning, byDefault: strconv.FormatInt(*field(&byDefault), 10),
		read: func(p *parser, t *Trigger) {
			*field(&t.Policy) = p.number(key, *field(&t.Policy), 64)
		},
		write: func(t Trigger) string { return strconv.FormatInt(*field(&t.Policy), 10) }}
}

// stepKey writes a step without limit as unlimited.
func stepKey(key string, field func(*policy.Spec) *policy.Step, unlimited, meaning, byDefault string) keyRow {
	return keyRow{key: key, meaning: meaning, byDefault: byDefault,
		read: func(p *parser, t *Trigger) { *field(&t.Policy) = p.step(key, *field(&t.Policy)) },
		write: func(t Trigger) string {
			if text := field(&t.Policy).String(); text != "" {
				return text
			}
			return unlimited
		}}
}
