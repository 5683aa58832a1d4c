package trigger

// Keys of the trigger's metadata. They are named like the fields of PubSubChannel. What else is known
// of each, the table says.
const (
	KeyChannelName          = "channelName"          // the queue's key, or a preset's queue; required
	KeyKeys                 = "keys"                 // all of them, separated by commas, or a JSON array; default channelName
	KeyQueueType            = "queueType"            // Auto (default), List, Stream, SortedSet or PubSub
	KeyPreset               = "preset"               // a framework's name (framework.All); default none
	KeyKeyPrefix            = "keyPrefix"            // of a preset's keys; default the framework's
	KeyPrioritySteps        = "prioritySteps"        // a preset's priorities with a key of their own; default the framework's
	KeyPrioritySeparator    = "prioritySeparator"    // between a queue's name and a priority; default the framework's
	KeyInFlight             = "inFlight"             // what of the work counts that a preset's queues share: Database (default), Queue or None
	KeyScheduled            = "scheduled"            // whether due jobs count that only a scheduler moves: Count (default) or Ignore
	KeyConsumerGroup        = "consumerGroup"        // of a stream; default: its only group
	KeyScore                = "score"                // of a sorted set: Any (default), UnixSeconds or UnixMilliseconds
	KeyMaxAge               = "maxAge"               // of the oldest message, 1s to 720h; default no limit
	KeyPolicy               = "policy"               // Threshold (default) or Utilization
	KeyWorkerConcurrency    = "workerConcurrency"    // messages that a worker works on at once, 1 to 10000, default 1
	KeyMinReplicas          = "minReplicas"          // default 1
	KeyMaxReplicas          = "maxReplicas"          // default 10
	KeyTargetQueueDepth     = "targetQueueDepth"     // messages for each replica, default 100
	KeyScaleUpThreshold     = "scaleUpThreshold"     // percent, 1 to 1000, default 150
	KeyScaleDownThreshold   = "scaleDownThreshold"   // percent, 1 to 100, default 50
	KeyCooldownPeriod       = "cooldownPeriod"       // seconds, default 60
	KeyActivationQueueDepth = "activationQueueDepth" // messages, default 0
	KeyMaxScaleUpStep       = "maxScaleUpStep"       // number or percentage, default no limit
	KeyMaxScaleDownStep     = "maxScaleDownStep"     // number or percentage, default 20%

	// Of the policy Utilization, which alone may have them.
	KeyUtilizationTarget    = "utilizationTarget"    // percent of the slots, default 80
	KeyUtilizationScaleUp   = "utilizationScaleUp"   // percent of the slots, more than the target, default 90
	KeyUtilizationScaleDown = "utilizationScaleDown" // percent of the slots, less than the target, default 70
	KeyUtilizationWindow    = "utilizationWindow"    // a Go duration, 15s to 1h, default 120s

	KeyRedisAddress   = "redisAddress"   // host:port, several separated by commas; default dragonfly:6379
	KeyRedisMode      = "redisMode"      // Standalone (default), Sentinel or Cluster
	KeySentinelMaster = "sentinelMaster" // the master's name with the sentinels
	KeyDatabase       = "database"       // default 0
	KeyTLS            = "tls"            // true or false (default)
	KeySentinelTLS    = "sentinelTLS"    // true or false; default that of tls
	KeyTLSServerName  = "tlsServerName"  // default: the address's host

	// Secrets, in the namespace of the ScaledObject: name/key, where the key has a default.
	KeyUsernameFromSecret          = "usernameFromSecret"          // default key username
	KeyPasswordFromSecret          = "passwordFromSecret"          // default key password
	KeySentinelUsernameFromSecret  = "sentinelUsernameFromSecret"  // default key username
	KeySentinelPasswordFromSecret  = "sentinelPasswordFromSecret"  // default key password
	KeyCAFromSecret                = "caFromSecret"                // default key ca.crt
	KeyClientCertificateFromSecret = "clientCertificateFromSecret" // name alone: tls.crt and tls.key

	// Values, which come with FromEnv at the end of the key; passwords so only.
	KeyUsername         = "username"
	KeyPassword         = "password"
	KeySentinelUsername = "sentinelUsername"
	KeySentinelPassword = "sentinelPassword"

	// For a scaler without a cluster (--without-cluster), the state that the cluster
	// would tell.
	KeyCurrentReplicas = "currentReplicas"
	KeyLastScaleTime   = "lastScaleTime" // RFC 3339
)

// KeyCertificatesHash has a value that changes whenever KEDA's certificates for the scaler
// do, so that KEDA connects anew; it means nothing to the scaler.
const KeyCertificatesHash = "certificatesHash"

// ofKEDAsRedis are the keys of KEDA's own redis scalers that have another name here (KEDA 2.21, pkg/scalers/redis_scaler.go, redis_streams_scaler.go): many a trigger
// was one of those before.
var ofKEDAsRedis = map[string]string{
	"address": KeyRedisAddress, "addresses": KeyRedisAddress, "host": KeyRedisAddress, "hosts": KeyRedisAddress,
	"port": KeyRedisAddress + " (host:port)", "ports": KeyRedisAddress + " (host:port)",
	"listName": KeyChannelName, "stream": KeyChannelName,
	"listLength": KeyTargetQueueDepth, "streamLength": KeyTargetQueueDepth, "pendingEntriesCount": KeyTargetQueueDepth, "lagCount": KeyTargetQueueDepth,
	"activationListLength": KeyActivationQueueDepth, "activationLagCount": KeyActivationQueueDepth,
	"databaseIndex": KeyDatabase, "ca": KeyCAFromSecret, "cert": KeyClientCertificateFromSecret, "Cert": KeyClientCertificateFromSecret, "key": KeyClientCertificateFromSecret,
}

// kedaKeys are those that concern KEDA alone, most of them its own keys of an external trigger
// (KEDA 2.21, pkg/scalers/external_scaler.go, externalScalerMetadata): it sends them along.
var kedaKeys = map[string]bool{"scalerAddress": true, "enableTLS": true, "unsafeSsl": true, KeyCertificatesHash: true}
