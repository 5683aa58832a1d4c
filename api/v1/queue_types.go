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

// QueueSpec says what the queue is made of, and how its depth is read.
// +kubebuilder:validation:XValidation:rule="!has(self.consumerGroup) || (!has(self.preset) && (!has(self.type) || self.type in ['Auto', 'Stream']))",fieldPath=".consumerGroup",message="consumerGroup belongs to a stream: leave consumerGroup out, or set type to Stream and leave preset out"
// +kubebuilder:validation:XValidation:rule="!has(self.preset) || !has(self.type) || self.type == 'Auto'",fieldPath=".type",message="preset says what the keys hold: leave type out"
// +kubebuilder:validation:XValidation:rule="!has(self.score) || self.score == 'Any' || (!has(self.preset) && (!has(self.type) || self.type in ['Auto', 'SortedSet']))",fieldPath=".score",message="score belongs to a sorted set: leave score out, or set type to SortedSet and leave preset out"
// +kubebuilder:validation:XValidation:rule="!has(self.keyPrefix) || (has(self.preset) && self.preset in ['Sidekiq', 'Celery', 'BullMQ', 'Laravel', 'Bull', 'BeeQueue'])",fieldPath=".keyPrefix",message="keyPrefix belongs to the presets Sidekiq, Celery, BullMQ, Laravel, Bull and BeeQueue: leave it out, and write keys in full"
// +kubebuilder:validation:XValidation:rule="!has(self.maxAge) || (has(self.preset) ? !(self.preset in ['Celery', 'Laravel', 'BeeQueue', 'Arq']) : (!has(self.type) || !(self.type in ['List', 'PubSub'])))",fieldPath=".maxAge",message="nothing records when a message of a List, a PubSub channel, Celery, Laravel, BeeQueue or Arq came: leave maxAge out, or use a Stream"
// +kubebuilder:validation:XValidation:rule="!has(self.maxAge) || !has(self.type) || self.type != 'SortedSet' || (has(self.score) && self.score != 'Any')",fieldPath=".maxAge",message="the age of a sorted set's members is known from their score only: set score to UnixSeconds or UnixMilliseconds, or leave maxAge out"
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
	// due in its keys, and channelName and keys are the names of its queues.
	//
	// Example: preset: BullMQ
	// +optional
	Preset QueuePreset `json:"preset,omitempty"`

	// keyPrefix is what the framework puts before its keys: BullMQ's and Bull's prefix (default
	// bull), BeeQueue's (default bq), Celery's global_keyprefix, Sidekiq's namespace, or the prefix of Laravel's Redis
	// connection (default none; an application of Laravel's has one, such as shop_database_).
	//
	// Example: keyPrefix: shop
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	KeyPrefix string `json:"keyPrefix,omitempty"`

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
