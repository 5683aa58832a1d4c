package decide

import (
	"time"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// OldAfter is how old a status is that may tell nothing any more. A controller that works writes it
// within --status-interval (15 s by default) when something changes, and while nothing changes it writes
// nothing. So an old one is that of an idle channel, or of an operator that is down; the channel
// does not tell which.
const OldAfter = 5 * time.Minute

// Observed is when what a status tells of the decision was so: when the scaler read the queue, or when the
// controller last wrote the status, for whatever reason. The zero time: the status tells of no decision.
func Observed(channel *v1.PubSubChannel) time.Time {
	status := &channel.Status
	if status.Decision == nil {
		return time.Time{}
	}
	read := status.Decision.ObservedTime.Time
	if written := status.ObservedTime; written != nil && written.After(read) {
		return written.Time
	}
	return read
}

// IsOld is whether what was so at a time may no longer hold. The zero time is not old: nothing is told.
func IsOld(observed, now time.Time) bool {
	return !observed.IsZero() && now.Sub(observed) >= OldAfter
}
