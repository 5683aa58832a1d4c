package v1

// QueueType is a kind of queue.
// +kubebuilder:validation:Enum=Auto;List;Stream
type QueueType string

// The kinds of queue.
const (
	// QueueTypeAuto asks the server for the key's type (TYPE).
	QueueTypeAuto QueueType = "Auto"
	// QueueTypeList is a list: depth is LLEN and what subscribers hold.
	QueueTypeList QueueType = "List"
	// QueueTypeStream is a stream read by a consumer group: depth is its lag and its
	// pending entries.
	QueueTypeStream QueueType = "Stream"
)

// QueueSpec says how depth is read.
// +kubebuilder:validation:XValidation:rule="!has(self.consumerGroup) || !has(self.type) || self.type != 'List'",fieldPath=".consumerGroup",message="consumerGroup belongs to a stream, but type is List: leave consumerGroup out or set type to Stream"
type QueueSpec struct {
	// type is the kind of queue.
	// +optional
	// +kubebuilder:default=Auto
	Type QueueType `json:"type,omitempty"`

	// consumerGroup is the stream's consumer group. Unset: the stream's only group; with
	// several groups it must be set.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	ConsumerGroup string `json:"consumerGroup,omitempty"`
}
