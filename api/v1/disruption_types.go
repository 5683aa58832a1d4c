package v1

// PodDisruptionBudget says whether the operator makes a PodDisruptionBudget for the workers.
type PodDisruptionBudget struct {
	// enabled makes the operator create a PodDisruptionBudget if there can be more than one
	// worker. A drain then evicts at most a quarter of the workers at a time, rounded up. If
	// another PodDisruptionBudget selects the workers, the operator makes none, because with
	// two of them on one pod every eviction fails.
	//
	// Example: enabled: false
	// +optional
	// +kubebuilder:default=true
	Enabled *bool `json:"enabled,omitempty"`
}
