package v1

// Schedule keeps a minimum number of workers during certain hours, as KEDA's cron trigger does.
// If the queue asks for more workers, there are more. Outside all schedules the queue alone
// decides.
//
// +kubebuilder:validation:XValidation:rule="self.start != self.end",fieldPath=".end",message="end must not be the same as start: a schedule that ends when it starts keeps nothing"
type Schedule struct {
	// name identifies the schedule. Schedules and triggers must have different names.
	//
	// Example: name: office-hours
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="name must consist of lower case letters, digits and '-', for example office-hours"
	Name string `json:"name"`

	// timezone is the time zone of start and end, as an IANA name, for example Europe/Berlin or
	// UTC. Daylight saving time is followed.
	//
	// Example: timezone: Europe/Berlin
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="timestamp('2026-01-01T00:00:00Z').getFullYear(self) > 0",message="timezone must be the IANA name of a time zone, for example Europe/Berlin or UTC"
	// +kubebuilder:validation:XValidation:rule="self != 'Local' && self.matches('^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$')",message="timezone must be the IANA name of a time zone, for example Europe/Berlin or UTC"
	Timezone string `json:"timezone"`

	// start is when the schedule begins: a cron expression of five fields
	// (minute, hour, day of the month, month, day of the week), for example 0 8 * * 1-5.
	//
	// Example: start: 0 8 * * 1-5
	// +required
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^ *[^ ]+( +[^ ]+){4} *$')",message="start must be a cron expression of five fields (minute, hour, day of the month, month, day of the week), for example 0 8 * * 1-5"
	Start string `json:"start"`

	// end is when the schedule ends: a cron expression like that of start.
	//
	// Example: end: 0 18 * * 1-5
	// +required
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^ *[^ ]+( +[^ ]+){4} *$')",message="end must be a cron expression of five fields (minute, hour, day of the month, month, day of the week), for example 0 18 * * 1-5"
	End string `json:"end"`

	// minReplicas is the minimum number of workers from start to end.
	//
	// Example: minReplicas: 5
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MinReplicas int32 `json:"minReplicas"`
}
