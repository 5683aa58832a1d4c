package v1

// Conditions of a channel.
const (
	// ConditionReady is True when the desired number of workers is ready and everything that
	// scales them exists.
	ConditionReady = "Ready"
	// ConditionScaled says what the scaler last decided and why. It is True when the number of
	// workers is the decided one. It is False while that number is still changing, or if there
	// is no decision.
	ConditionScaled = "Scaled"
	// ConditionConnected is True when the queue's depth could be read from the server.
	ConditionConnected = "Connected"
)

// Reasons of the Ready condition.
const (
	ReasonAvailable            = "Available"            // the desired number of workers is ready
	ReasonProgressing          = "Progressing"          // workers are starting or stopping
	ReasonDeploymentFailed     = "DeploymentFailed"     // the Deployment does not progress
	ReasonDeploymentConflict   = "DeploymentConflict"   // a Deployment of that name belongs to somebody else
	ReasonScaledObjectConflict = "ScaledObjectConflict" // a ScaledObject of that name, or another of the same Deployment, belongs to somebody else
	ReasonHPAConflict          = "HPAConflict"          // a HorizontalPodAutoscaler that belongs to somebody else scales the Deployment
	ReasonAdoptionRefused      = "AdoptionRefused"      // an object may be adopted, but can't become the channel's
	ReasonKEDANotInstalled     = "KEDANotInstalled"     // the ScaledObject CRD is missing
	ReasonKEDANotReady         = "KEDANotReady"         // KEDA reports the ScaledObject as not ready
	ReasonInvalidSpec          = "InvalidSpec"          // the spec can't be carried out as it is
	ReasonNotPermitted         = "NotPermitted"         // the operator's settings don't permit what the channel asks for
	ReasonRefused              = "Refused"              // the API server refuses an object of the channel: a quota, a policy, a webhook, a missing permission
)

// ReasonDeleting is the reason of the Ready condition while the channel is being deleted.
const ReasonDeleting = "Deleting"

// Reasons of the Scaled condition. With autoscaling on, it can also have one of the scaler's
// own reasons, for example AboveUpperBound, WithinBand or Cooldown.
const (
	ReasonAutoScalingDisabled = "AutoScalingDisabled" // the number of workers is spec.replicas
	ReasonDecisionUnknown     = "DecisionUnknown"     // there is no decision, because the scaler could not be asked or answered with an error
)

// Reasons of the Connected condition. If the server can't be read, the reason is the scaler's
// gRPC code, for example Unavailable or FailedPrecondition.
const (
	ReasonQueueRead         = "QueueRead"         // the depth was read
	ReasonScalerUnreachable = "ScalerUnreachable" // the scaler does not answer
)

// Events on a channel.
const (
	// EventScaled reports every change of the number of workers.
	EventScaled = "Scaled"
	// EventFinalizerLeft is an event on the ScaledObject of a deleted channel: KEDA has not
	// removed its finalizer.
	EventFinalizerLeft = "FinalizerLeft"
	// EventNotKept warns that the API server dropped or changed a field of one of the channel's
	// objects.
	EventNotKept = "NotKept"
	// EventQueueUnreadable warns that the queue's depth can't be read, so that nothing is
	// scaled by it.
	EventQueueUnreadable = "QueueUnreadable"
)

// Labels of the workers' Deployment and pods.
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
	EnvRedisAddr      = "REDIS_ADDR"      // host:port, several separated by commas
	EnvChannel        = "CHANNEL"         // channelName
	EnvMessageTimeout = "MESSAGE_TIMEOUT" // seconds
	EnvQueueType      = "QUEUE_TYPE"      // Auto, List, Stream, SortedSet or PubSub
	EnvPodName        = "POD_NAME"        // the consumer's name

	// Set only if the channel does not have the default.
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
	EnvRedisTLS              = "REDIS_TLS"          // true
	EnvRedisSentinelTLS      = "REDIS_SENTINEL_TLS" // true or false
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
