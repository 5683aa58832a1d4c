package v1

// PodDisruptionBudget says whether the operator makes a PodDisruptionBudget for the workers.
type PodDisruptionBudget struct {
	// enabled lets the operator make a PodDisruptionBudget where there can be more than one
	// worker: a drain takes a quarter of them at a time, rounded up. Where another
	// PodDisruptionBudget selects the workers there is none either, because two of them on
	// one pod make every eviction fail.
	//
	// Example: enabled: false
	// +optional
	// +kubebuilder:default=true
	Enabled *bool `json:"enabled,omitempty"`
}
