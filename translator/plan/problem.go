package plan

import (
	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// Problem is what no retry mends: somebody has to change something, inside the channel or
// outside. It becomes the Ready condition and the phase.
type Problem struct { //nolint:errname // conditions tell it; it is an error only on its way there
	Phase   v1.Phase
	Reason  string
	Message string
	// Taken says that the object in question is somebody else's.
	Taken bool
}

func (p *Problem) Error() string { return p.Reason + ": " + p.Message }
