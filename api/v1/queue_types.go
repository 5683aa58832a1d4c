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
	// QueueTypeList is a list: depth is LLEN and what subscribers hold.
	QueueTypeList QueueType = "List"
	// QueueTypeStream is a stream read by a consumer group: depth is its lag and its
	// pending entries.
	QueueTypeStream QueueType = "Stream"
	// QueueTypeSortedSet is a sorted set: depth is its members, or those that are due.
	QueueTypeSortedSet QueueType = "SortedSet"
	// QueueTypePubSub is a channel of PUBLISH and SUBSCRIBE, which has no queue: depth is an
	// estimate of what slow subscribers have not taken yet.
	QueueTypePubSub QueueType = "PubSub"
)

// QueuePreset is a job framework whose keys are known.
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

// SortedSetScore is what the score of a sorted set's members says.
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

// InFlight is which work counts, where a preset's framework keeps that of all queues together.
// +kubebuilder:validation:Enum=Database;Queue;None
type InFlight string

// The work that counts.
const (
	// InFlightOfDatabase means that of all queues in the database.
	InFlightOfDatabase InFlight = "Database"
	// InFlightOfQueues means that of the channel's own queues, as the jobs tell.
	InFlightOfQueues InFlight = "Queue"
	// InFlightNone means that none counts.
	InFlightNone InFlight = "None"
)

// Scheduled is whether jobs count that are due, but are moved to their queue by a scheduler alone.
// +kubebuilder:validation:Enum=Count;Ignore
type Scheduled string

// Whether they count.
const (
	// ScheduledCount means that they do.
	ScheduledCount Scheduled = "Count"
	// ScheduledIgnore means that they don't.
	ScheduledIgnore Scheduled = "Ignore"
)

// QueueSpec says what the queue is made of, and how its depth is read.
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
	// type is the kind of queue. With a preset it is left out.
	//
	// Example: type: Stream
	// +optional
	// +kubebuilder:default=Auto
	Type QueueType `json:"type,omitempty"`

	// keys are the keys whose depths are summed: those of lists, streams, sorted sets or
	// Pub/Sub channels, or the names of a preset's queues. 1 to 32, default [channelName].
	//
	// Example: keys: [orders, refunds]
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Keys []string `json:"keys,omitempty"`

	// preset is the job framework that the workers use: depth is what is ready, in work and
	// due in its keys, and channelName and keys are the names of its queues. Celery's tasks in work count only
	// with task_acks_late: without it Celery acknowledges a task as it begins, nothing on the server tells of it any more, and
	// a worker may be taken away from under it.
	//
	// Example: preset: BullMQ
	// +optional
	Preset QueuePreset `json:"preset,omitempty"`

	// keyPrefix is what the framework puts before its keys: BullMQ's and Bull's prefix (default
	// bull), BeeQueue's (default bq), Celery's global_keyprefix, Sidekiq's namespace, the prefix of Laravel's Redis
	// connection (default none; an application of Laravel's has one, such as shop_database_), or what a connection
	// of yours puts before RQ's keys.
	//
	// Example: keyPrefix: shop
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	KeyPrefix string `json:"keyPrefix,omitempty"`

	// prioritySteps is Celery's transport option priority_steps: the priorities, from 0 to 255 in
	// rising order, each of which has a list of its own. 1 to 32; default [0, 3, 6, 9]. Set it to what the
	// workers have: tasks of any other step are not seen.
	//
	// Example: prioritySteps: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:Minimum=0
	// +kubebuilder:validation:items:Maximum=255
	PrioritySteps []int32 `json:"prioritySteps,omitempty"`

	// prioritySeparator is Celery's transport option sep, between a queue's name and a
	// priority. Default: kombu's, the bytes 06 and 16 (hexadecimal).
	//
	// Example: prioritySeparator: ":"
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	PrioritySeparator string `json:"prioritySeparator,omitempty"`

	// inFlight says which tasks of Celery's unacked count, which all queues of a database
	// share. Database (the default): all, so that one queue's work keeps another's workers. Queue: those that
	// were sent to one of the channel's queues by its name. Each is read once, with its payload, to find out: at
	// 64 KiB a second, and until all are read the depth is a lower bound, by which nothing shrinks. None: none, so a worker may
	// be taken away from under its work.
	//
	// Example: inFlight: Queue
	// +optional
	InFlight InFlight `json:"inFlight,omitempty"`

	// scheduled says whether RQ's scheduled jobs count once they are due. Count (the default): they do,
	// so that they wake workers, which run RQ's scheduler (--with-scheduler). Ignore: they don't. Set it where no worker
	// runs the scheduler: nobody moves those jobs to their queue, so they would count for ever.
	//
	// Example: scheduled: Ignore
	// +optional
	Scheduled Scheduled `json:"scheduled,omitempty"`

	// consumerGroup is the stream's consumer group. Unset: the stream's only group; with
	// several groups it must be set.
	//
	// Example: consumerGroup: workers
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	ConsumerGroup string `json:"consumerGroup,omitempty"`

	// score says what the score of a sorted set's members means. Any (the default): all
	// of them are ready. UnixSeconds or UnixMilliseconds: each is ready from that time on.
	//
	// Example: score: UnixSeconds
	// +optional
	Score SortedSetScore `json:"score,omitempty"`

	// maxAge is how long a message may wait for a worker: while the oldest waits longer,
	// the queue counts as over its upper bound, however short it is. From 1s to 720h, such
	// as 90s or 5m; unset: no limit. For streams (from the entry's id), for sorted sets
	// whose score is a time, and for the presets
	// Sidekiq, BullMQ, Asynq, RQ and Bull.
	//
	// Example: maxAge: 90s
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="maxAge must be a duration from 1s to 720h: for example 90s or 5m"
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`
}
