package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// QueueType is a kind of queue.
// +kubebuilder:validation:Enum=Auto;List;Stream;SortedSet;PubSub
type QueueType string

// The kinds of queue.
const (
	// QueueTypeAuto asks the server for each key's type (TYPE): a list, a stream or a
	// sorted set.
	QueueTypeAuto QueueType = "Auto"
	// QueueTypeList is a list. Its depth is LLEN and what subscribers have in flight.
	QueueTypeList QueueType = "List"
	// QueueTypeStream is a stream read by a consumer group. Its depth is the group's lag and its
	// pending entries.
	QueueTypeStream QueueType = "Stream"
	// QueueTypeSortedSet is a sorted set. Its depth is all members, or those that are due.
	QueueTypeSortedSet QueueType = "SortedSet"
	// QueueTypePubSub is a channel of PUBLISH and SUBSCRIBE, which has no queue. Its depth is an
	// estimate of what slow subscribers have not taken yet.
	QueueTypePubSub QueueType = "PubSub"
)

// QueuePreset is a job framework whose keys the scaler knows.
// +kubebuilder:validation:Enum=Sidekiq;Celery;BullMQ;Asynq;RQ;Laravel;Bull;BeeQueue;Arq
type QueuePreset string

// The presets.
const (
	PresetSidekiq  QueuePreset = "Sidekiq"
	PresetCelery   QueuePreset = "Celery"
	PresetBullMQ   QueuePreset = "BullMQ"
	PresetAsynq    QueuePreset = "Asynq"
	PresetRQ       QueuePreset = "RQ"
	PresetLaravel  QueuePreset = "Laravel"
	PresetBull     QueuePreset = "Bull"
	PresetBeeQueue QueuePreset = "BeeQueue"
	PresetArq      QueuePreset = "Arq"
)

// SortedSetScore is the meaning of the score of a sorted set's members.
// +kubebuilder:validation:Enum=Any;UnixSeconds;UnixMilliseconds
type SortedSetScore string

// The meanings of a score.
const (
	// ScoreAny means that every member is ready, whatever its score.
	ScoreAny SortedSetScore = "Any"
	// ScoreUnixSeconds means that a member is ready from that time on.
	ScoreUnixSeconds SortedSetScore = "UnixSeconds"
	// ScoreUnixMilliseconds means that a member is ready from that time on.
	ScoreUnixMilliseconds SortedSetScore = "UnixMilliseconds"
)

// InFlight says which work in flight counts, for a framework that keeps the work of all queues together.
// +kubebuilder:validation:Enum=Database;Queue;None
type InFlight string

// The values of InFlight.
const (
	// InFlightOfDatabase counts the work of all queues in the database.
	InFlightOfDatabase InFlight = "Database"
	// InFlightOfQueues counts the work of the channel's own queues, by what the jobs say.
	InFlightOfQueues InFlight = "Queue"
	// InFlightNone counts no work in flight.
	InFlightNone InFlight = "None"
)

// Scheduled says whether due jobs count that only a scheduler moves to their queue.
// +kubebuilder:validation:Enum=Count;Ignore
type Scheduled string

// The values of Scheduled.
const (
	// ScheduledCount counts them.
	ScheduledCount Scheduled = "Count"
	// ScheduledIgnore does not count them.
	ScheduledIgnore Scheduled = "Ignore"
)

// QueueSpec says which keys the queue has, and how its depth is read.
// +kubebuilder:validation:XValidation:rule="!has(self.consumerGroup) || (!has(self.preset) && (!has(self.type) || self.type in ['Auto', 'Stream']))",fieldPath=".consumerGroup",message="consumerGroup belongs to a stream: leave consumerGroup out, or set type to Stream and leave preset out"
// +kubebuilder:validation:XValidation:rule="!has(self.preset) || !has(self.type) || self.type == 'Auto'",fieldPath=".type",message="preset says what the keys hold: leave type out"
// +kubebuilder:validation:XValidation:rule="!has(self.score) || self.score == 'Any' || (!has(self.preset) && (!has(self.type) || self.type in ['Auto', 'SortedSet']))",fieldPath=".score",message="score belongs to a sorted set: leave score out, or set type to SortedSet and leave preset out"
// +kubebuilder:validation:XValidation:rule="!has(self.keyPrefix) || (has(self.preset) && self.preset in ['Sidekiq', 'Celery', 'BullMQ', 'RQ', 'Laravel', 'Bull', 'BeeQueue'])",fieldPath=".keyPrefix",message="keyPrefix belongs to the presets Sidekiq, Celery, BullMQ, RQ, Laravel, Bull and BeeQueue: leave it out. Without a preset write keys in full; the keys of another preset have none"
// +kubebuilder:validation:XValidation:rule="!has(self.maxAge) || (has(self.preset) ? !(self.preset in ['Celery', 'Laravel', 'BeeQueue', 'Arq']) : (!has(self.type) || !(self.type in ['List', 'PubSub'])))",fieldPath=".maxAge",message="nothing records when a message of a List, a PubSub channel, Celery, Laravel, BeeQueue or Arq came: leave maxAge out, or use a Stream"
// +kubebuilder:validation:XValidation:rule="!has(self.maxAge) || !has(self.type) || self.type != 'SortedSet' || (has(self.score) && self.score != 'Any')",fieldPath=".maxAge",message="the age of a sorted set's members is known from their score only: set score to UnixSeconds or UnixMilliseconds, or leave maxAge out"
// +kubebuilder:validation:XValidation:rule="(!has(self.prioritySteps) && !has(self.prioritySeparator)) || (has(self.preset) && self.preset in ['Celery'])",fieldPath=".prioritySteps",message="prioritySteps and prioritySeparator belong to the preset Celery: leave them out"
// +kubebuilder:validation:XValidation:rule="!has(self.inFlight) || self.inFlight == 'Database' || (has(self.preset) && self.preset in ['Celery'])",fieldPath=".inFlight",message="inFlight belongs to the preset Celery, whose queues share what is in flight: leave inFlight out"
// +kubebuilder:validation:XValidation:rule="!has(self.scheduled) || self.scheduled == 'Count' || (has(self.preset) && self.preset in ['RQ'])",fieldPath=".scheduled",message="scheduled belongs to the preset RQ, whose scheduler is optional: leave scheduled out"
type QueueSpec struct {
	// type is the kind of queue. Leave it out if preset is set.
	//
	// Example: type: Stream
	// +optional
	// +kubebuilder:default=Auto
	Type QueueType `json:"type,omitempty"`

	// keys are the keys whose depths are summed: lists, streams, sorted sets or Pub/Sub
	// channels, or the names of a preset's queues. There are 1 to 32; the default is
	// [channelName].
	//
	// Example: keys: [orders, refunds]
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Keys []string `json:"keys,omitempty"`

	// preset is the job framework that the workers use. The depth is the number of jobs that
	// are ready, in flight and due in the framework's keys; channelName and keys are the names
	// of its queues. Celery's running tasks count only with task_acks_late. Without it Celery
	// acknowledges a task when it begins, nothing on the server shows it any more, and its
	// worker may be removed.
	//
	// Example: preset: BullMQ
	// +optional
	Preset QueuePreset `json:"preset,omitempty"`

	// keyPrefix is what the framework puts before its keys: BullMQ's and Bull's prefix (default
	// bull), BeeQueue's prefix (default bq), Celery's global_keyprefix, Sidekiq's namespace, the
	// prefix of Laravel's Redis connection (default none; a Laravel application has one, such as
	// shop_database_), or what your own connection puts before RQ's keys.
	//
	// Example: keyPrefix: shop
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	KeyPrefix string `json:"keyPrefix,omitempty"`

	// prioritySteps is Celery's transport option priority_steps: the priorities, from 0 to 255
	// in rising order, each of which has its own list. 1 to 32 of them; default [0, 3, 6, 9].
	// Set it to the value that the workers have: tasks of other steps do not count.
	//
	// Example: prioritySteps: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:Minimum=0
	// +kubebuilder:validation:items:Maximum=255
	// +kubebuilder:validation:XValidation:rule="self.isSorted()",message="prioritySteps must be in rising order, as Celery's priority_steps: for example [0, 3, 6, 9]"
	PrioritySteps []int32 `json:"prioritySteps,omitempty"`

	// prioritySeparator is Celery's transport option sep, between a queue's name and a
	// priority. Default: that of kombu, the bytes 06 and 16 (hexadecimal).
	//
	// Example: prioritySeparator: ":"
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	PrioritySeparator string `json:"prioritySeparator,omitempty"`

	// inFlight says which tasks in Celery's unacked count; all queues of a database share it.
	// Database (the default): all, so that the work of one queue keeps the workers of another.
	// Queue: the tasks that were sent to one of the channel's queues by its name. The scaler
	// reads the payload of each once, at 64 KiB a second; until it has read all, the depth is a
	// lower bound, by which nothing shrinks. None: none, so a worker may be removed while it
	// works.
	//
	// Example: inFlight: Queue
	// +optional
	InFlight InFlight `json:"inFlight,omitempty"`

	// scheduled says whether RQ's scheduled jobs count when they are due. Count (the default):
	// they do, and wake workers, which run RQ's scheduler (--with-scheduler). Ignore: they
	// don't. Set Ignore if no worker runs the scheduler: nobody moves those jobs to their
	// queue, so they would count for ever.
	//
	// Example: scheduled: Ignore
	// +optional
	Scheduled Scheduled `json:"scheduled,omitempty"`

	// consumerGroup is the stream's consumer group. If unset, it is the stream's only group. It
	// must be set if the stream has several groups.
	//
	// Example: consumerGroup: workers
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	ConsumerGroup string `json:"consumerGroup,omitempty"`

	// score is the meaning of the score of a sorted set's members. With Any (the default), all
	// members are ready. With UnixSeconds or UnixMilliseconds, a member is ready from that time
	// on.
	//
	// Example: score: UnixSeconds
	// +optional
	Score SortedSetScore `json:"score,omitempty"`

	// maxAge is how long a message may wait for a worker, from 1s to 720h, for example 90s or
	// 5m. If the oldest message waits longer, the queue counts as above its upper bound,
	// whatever its depth. If unset, there is no limit. It works for streams (the age comes
	// from the entry's id), for sorted sets whose score is a time,
	// and for the presets Sidekiq, BullMQ, Asynq, RQ and Bull.
	//
	// Example: maxAge: 90s
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="maxAge must be a duration from 1s to 720h: for example 90s or 5m"
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`
}
