package v1

// Conditions of a channel. (original)
const (
	// ConditionReady is True when the workers that are wanted are up and everything that
	// scales them is in place.
	ConditionReady = "Ready"
	// ConditionScaled tells what the autoscaler last decided and why. It is True when the
	// number of workers is the one decided, False while it is on its way or can't be
	// decided.
	ConditionScaled = "Scaled"
	// ConditionConnected is True when the queue's depth could be read from the server.
	ConditionConnected = "Connected"
)

// Reasons of the Ready condition.
const (
	ReasonAvailable            = "Available"            // the wanted workers are ready
	ReasonProgressing          = "Progressing"          // workers are starting or stopping
	ReasonDeploymentFailed     = "DeploymentFailed"     // the Deployment does not progress
	ReasonDeploymentConflict   = "DeploymentConflict"   // a Deployment of that name belongs to somebody else
	ReasonScaledObjectConflict = "ScaledObjectConflict" // a ScaledObject of that name, or another of the same Deployment, belongs to somebody else
	ReasonHPAConflict          = "HPAConflict"          // a HorizontalPodAutoscaler of somebody else's is in the way of KEDA's
	ReasonAdoptionRefused      = "AdoptionRefused"      // an object may be adopted, but can't become the channel's
	ReasonKEDANotInstalled     = "KEDANotInstalled"     // the ScaledObject CRD is missing
	ReasonKEDANotReady         = "KEDANotReady"         // KEDA reports the ScaledObject as not ready
	ReasonInvalidSpec          = "InvalidSpec"          // the API server refuses what the channel asks for
	ReasonNotPermitted         = "NotPermitted"         // the operator's settings don't permit what the channel asks for
	ReasonRefused              = "Refused"              // the API server refuses an object of the channel's: a quota, a policy, a webhook, a missing permission
)

// ReasonDeleting is the reason of the Ready condition while the channel is being deleted.
const ReasonDeleting = "Deleting"

// Reasons of the Scaled condition; with autoscaling on, the scaler's own reasons
// (for example AboveUpperBound, WithinBand, Cooldown) stand here as well.
const (
	ReasonAutoScalingDisabled = "AutoScalingDisabled" // replicas is what the spec says
	ReasonDecisionUnknown     = "DecisionUnknown"     // the scaler can't decide
)

// Reasons of the Connected condition; when the server can't be read, the scaler's gRPC
// code (for example Unavailable, FailedPrecondition) stands here.
const (
	ReasonQueueRead         = "QueueRead"         // the depth was read
	ReasonScalerUnreachable = "ScalerUnreachable" // the scaler itself does not answer
)

// Events on a channel.
const (
	// EventScaled tells of every change of the number of workers. (original)
	EventScaled = "Scaled"
	// EventFinalizerLeft tells, on the ScaledObject of a channel that is gone, that KEDA does
	// not let it go.
	EventFinalizerLeft = "FinalizerLeft"
	// EventNotKept warns of what the API server drops, or changes, of a channel's objects.
	EventNotKept = "NotKept"
)

// Labels of the workers' Deployment and pods. (original)
const (
	LabelApp     = "app"
	LabelChannel = "pubsubchannel"

	// SubscriberApp is the value of LabelApp on workers.
	SubscriberApp = "pubsub-subscriber"
	// OperatorApp is the value of LabelApp on the operator's own pods.
	OperatorApp = "pubsub-operator"
	// SubscriberContainer is the workers' container.
	SubscriberContainer = "subscriber"
	// SubscriberSuffix, appended to the channel's name, names its Deployment.
	SubscriberSuffix = "-subscriber"
)

// Environment of the workers' container.
const (
	EnvRedisAddr      = "REDIS_ADDR"      // host:port, several separated by commas (original)
	EnvChannel        = "CHANNEL"         // channelName (original)
	EnvMessageTimeout = "MESSAGE_TIMEOUT" // seconds (original)
	EnvQueueType      = "QUEUE_TYPE"      // Auto, List, Stream, SortedSet or PubSub
	EnvPodName        = "POD_NAME"        // the consumer's name

	// Set only where the channel says more than the default.
	EnvQueueKeys             = "QUEUE_KEYS"     // a JSON array of all keys
	EnvQueuePreset           = "QUEUE_PRESET"   // the job framework
	EnvConsumerGroup         = "CONSUMER_GROUP" // the stream's
	EnvRedisMode             = "REDIS_MODE"     // Sentinel or Cluster
	EnvRedisSentinelMaster   = "REDIS_SENTINEL_MASTER"
	EnvRedisDatabase         = "REDIS_DATABASE"
	EnvRedisUsername         = "REDIS_USERNAME"
	EnvRedisPassword         = "REDIS_PASSWORD"
	EnvRedisSentinelUsername = "REDIS_SENTINEL_USERNAME"
	EnvRedisSentinelPassword = "REDIS_SENTINEL_PASSWORD"
	EnvRedisTLS              = "REDIS_TLS" // true
	EnvRedisTLSCAFile        = "REDIS_TLS_CA_FILE"
	EnvRedisTLSCertFile      = "REDIS_TLS_CERT_FILE"
	EnvRedisTLSKeyFile       = "REDIS_TLS_KEY_FILE"
	EnvRedisTLSServerName    = "REDIS_TLS_SERVER_NAME"
)

// Files of the workers' container, from the Secrets that spec.redis.tls names.
const (
	RedisCADir          = "/etc/pubsub/redis-ca"
	RedisCertificateDir = "/etc/pubsub/redis-client"
)
