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
	ReasonScaledObjectConflict = "ScaledObjectConflict" // a ScaledObject of that name belongs to somebody else
	ReasonKEDANotInstalled     = "KEDANotInstalled"     // the ScaledObject CRD is missing
	ReasonKEDANotReady         = "KEDANotReady"         // KEDA reports the ScaledObject as not ready
	ReasonInvalidSpec          = "InvalidSpec"          // the API server refuses what the channel asks for
)

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
	EnvRedisAddr      = "REDIS_ADDR"      // host:port (original)
	EnvChannel        = "CHANNEL"         // the queue's key (original)
	EnvMessageTimeout = "MESSAGE_TIMEOUT" // seconds (original)
	EnvQueueType      = "QUEUE_TYPE"      // Auto, List or Stream
	EnvConsumerGroup  = "CONSUMER_GROUP"  // set only where the channel names one
	EnvPodName        = "POD_NAME"        // the consumer's name
)
