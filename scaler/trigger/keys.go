package trigger

// Keys of the trigger's metadata. They are named like the fields of PubSubChannel.
const (
	KeyChannelName          = "channelName"          // the queue's key; required
	KeyRedisAddress         = "redisAddress"         // host:port, default dragonfly:6379
	KeyQueueType            = "queueType"            // Auto (default), List or Stream
	KeyConsumerGroup        = "consumerGroup"        // of a stream; default: its only group
	KeyMinReplicas          = "minReplicas"          // default 1
	KeyMaxReplicas          = "maxReplicas"          // default 10
	KeyTargetQueueDepth     = "targetQueueDepth"     // messages for each replica, default 100
	KeyScaleUpThreshold     = "scaleUpThreshold"     // percent, 1 to 1000, default 150
	KeyScaleDownThreshold   = "scaleDownThreshold"   // percent, 1 to 100, default 50
	KeyCooldownPeriod       = "cooldownPeriod"       // seconds, default 60
	KeyActivationQueueDepth = "activationQueueDepth" // messages, default 0
	KeyMaxScaleUpStep       = "maxScaleUpStep"       // number or percentage, default no limit
	KeyMaxScaleDownStep     = "maxScaleDownStep"     // number or percentage, default 20%

	// For a scaler without a cluster (--without-cluster), the state that the cluster
	// would tell.
	KeyCurrentReplicas = "currentReplicas"
	KeyLastScaleTime   = "lastScaleTime" // RFC 3339
)

// kedaKeys are KEDA's own keys of an external trigger (KEDA 2.21,
// pkg/scalers/external_scaler.go, externalScalerMetadata): it sends them along.
var kedaKeys = map[string]bool{"scalerAddress": true, "enableTLS": true, "unsafeSsl": true}

var known = map[string]bool{
	KeyChannelName: true, KeyRedisAddress: true, KeyQueueType: true, KeyConsumerGroup: true,
	KeyMinReplicas: true, KeyMaxReplicas: true, KeyTargetQueueDepth: true,
	KeyScaleUpThreshold: true, KeyScaleDownThreshold: true, KeyCooldownPeriod: true,
	KeyActivationQueueDepth: true, KeyMaxScaleUpStep: true, KeyMaxScaleDownStep: true,
	KeyCurrentReplicas: true, KeyLastScaleTime: true,
}
