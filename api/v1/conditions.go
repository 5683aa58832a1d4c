package v1

// AnnotationAdoptedBy is set by the owner of a Deployment, ScaledObject or PodDisruptionBudget
// that no controller owns. It permits the channel that its value names to take the object over.
const AnnotationAdoptedBy = "pubsub.jawaracloud.io/adopted-by"

// ConditionPaused is True while scaling is held, by spec.paused or by one of KEDA's
// annotations.
const ConditionPaused = "Paused"

// ConditionUtilization says whether the policy Utilization has what it needs. It is present
// only if the channel asks for that policy, and the scaler has answered. It is True while the
// scaler decides by the work in flight, and workerConcurrency agrees with what it sees.
const ConditionUtilization = "Utilization"

// Reasons of the Utilization condition.
const (
	ReasonInUse                       = "InUse"                       // the scaler decides by the work in flight
	ReasonFellBack                    = "FellBack"                    // the work in flight can't be seen, so the scaler decides by Threshold
	ReasonWorkerConcurrencyUnexpected = "WorkerConcurrencyUnexpected" // workers work on more, or fewer, messages at once than workerConcurrency says
)

// Conditions that kstatus reads (sigs.k8s.io/cli-utils, pkg/kstatus). Each is present only
// while it is true, with the reason and the message of the Ready condition.
const (
	// ConditionReconciling is True while the channel is becoming ready.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True while somebody has to change something.
	ConditionStalled = "Stalled"
)

// Reasons of the Paused condition.
const (
	ReasonPausedBySpec         = "PausedBySpec"         // spec.paused is true
	ReasonPausedByAnnotation   = "PausedByAnnotation"   // the channel carries one of KEDA's pause annotations
	ReasonPausedOnScaledObject = "PausedOnScaledObject" // somebody annotated the ScaledObject itself
	ReasonPauseIgnored         = "PauseIgnored"         // KEDA's annotations do nothing while autoScaling is off
	ReasonNotPaused            = "NotPaused"            // nothing asks for a pause
)

// Reasons of the Scaled condition, in addition to the scaler's own.
const (
	ReasonPaused         = "Paused"         // a pause keeps the number of workers
	ReasonHeldBySchedule = "HeldBySchedule" // a schedule keeps more workers than the queue asks for
	ReasonHeldByTrigger  = "HeldByTrigger"  // another trigger keeps more workers than the queue asks for
	ReasonFallback       = "Fallback"       // KEDA can't read a trigger and applies fallback

	// For these two, the scaler has asked for another number for the cooldown and 30 s more.
	ReasonNotCarriedOut      = "NotCarriedOut"      // neither KEDA nor the HPA follows
	ReasonHeldByScaledObject = "HeldByScaledObject" // a setting that somebody else made on the ScaledObject keeps the number
)

// Reasons of the Ready condition that come from the workers' pods and the Deployment's rollout.
const (
	ReasonWorkersFailing       = "WorkersFailing"       // a container ends soon after each start: a crash loop
	ReasonWorkersNotStarting   = "WorkersNotStarting"   // a container can't be started: image, settings, Secrets, volumes
	ReasonWorkersUnschedulable = "WorkersUnschedulable" // no node takes a worker
	ReasonRolloutPaused        = "RolloutPaused"        // spec.paused of the Deployment keeps workers from being updated
)
