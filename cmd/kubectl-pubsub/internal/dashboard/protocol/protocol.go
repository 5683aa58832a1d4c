// Package protocol has the messages that the dashboard's server and its page exchange over the
// WebSocket at /ws, as JSON. Times are RFC 3339 in UTC with milliseconds; durations are seconds.
// What is unknown is absent, never 0. The page's script has the same names.
package protocol

import (
	"encoding/json"
	"time"
)

// Kinds of messages from the server.
const (
	KindHello      = "hello"      // once, first
	KindHeartbeat  = "heartbeat"  // again and again: without it, nothing tells a page that its connection is dead
	KindConnection = "connection" // the API server went away, or is back
	KindFleet      = "fleet"      // rows that are new or have changed, and those that are gone
	KindChannel    = "channel"    // the channel that is open: in full at first, then what changed
	KindAnswer     = "answer"     // to a request, with its ID
)

// Kinds of requests from the page. Each has an ID, and gets one Answer with the same. A replay is answered
// beside the others, so its answer may come after theirs. The next replay, open or close ends it.
const (
	KindOpen   = "open"   // follow this channel's detail; answered by {}, then Channel messages
	KindClose  = "close"  // no longer; answered by {}
	KindWhatIf = "whatif" // answered by a Decision
	KindReplay = "replay" // answered by a Replay
	KindPing   = "ping"   // answered by {}: a page that was asleep asks whether its connection still is one
)

// Envelope is each message from the server: Kind says which one of the others is there.
type Envelope struct {
	Kind       string      `json:"kind"`
	Hello      *Hello      `json:"hello,omitempty"`
	Heartbeat  *Heartbeat  `json:"heartbeat,omitempty"`
	Connection *Connection `json:"connection,omitempty"`
	Fleet      *Fleet      `json:"fleet,omitempty"`
	Channel    *Channel    `json:"channel,omitempty"`
	Answer     *Answer     `json:"answer,omitempty"`
}

// Hello says what the page shows.
type Hello struct {
	Version string    `json:"version"`
	Cluster string    `json:"cluster"` // the kubeconfig's context
	Now     time.Time `json:"now"`     // the server's clock; the page shows ages by it
	// Heartbeat is how often a page hears from the server at least, in seconds; more than 0.
	Heartbeat  float64 `json:"heartbeat"`
	Prometheus bool    `json:"prometheus"`
	// Namespaces are those that are shown, and those that the user may not read.
	Namespaces []Namespace `json:"namespaces"`
}

// Heartbeat is sent although nothing has changed.
type Heartbeat struct {
	Now time.Time `json:"now"` // as Hello's
}

// Namespace is one of which the channels are shown or are not permitted. Name is empty for
// all namespaces at once.
type Namespace struct {
	Name      string `json:"name"`
	Permitted bool   `json:"permitted"`
	Why       string `json:"why,omitempty"` // with the remedy, where it is not permitted
}

// Connection is how the API server answers.
type Connection struct {
	Up      bool      `json:"up"`
	Since   time.Time `json:"since"`
	Problem string    `json:"problem,omitempty"`
}

// Fleet is what changed since the last one; the first has all rows, and Full.
type Fleet struct {
	Full       bool        `json:"full,omitempty"`
	Now        time.Time   `json:"now"`
	Rows       []Row       `json:"rows,omitempty"`
	Gone       []string    `json:"gone,omitempty"`       // keys
	Namespaces []Namespace `json:"namespaces,omitempty"` // where a permission changed: all of them
}

// Row is one channel in the fleet.
type Row struct {
	Key       string `json:"key"` // namespace/name
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Phase     string `json:"phase"`
	// Severity: 0 is well, 1 is to be watched, 2 is wrong. Rows are sorted by it first.
	Severity int    `json:"severity"`
	Trouble  string `json:"trouble,omitempty"` // the reason of the first condition that is not as it should be
	Words    string `json:"words"`             // the trouble's or the decision's message

	Autoscaled bool   `json:"autoscaled"`
	Paused     bool   `json:"paused,omitempty"`
	Policy     string `json:"policy,omitempty"` // that is in use

	Replicas int32 `json:"replicas"`
	Ready    int32 `json:"ready"`
	Desired  int32 `json:"desired"`
	Min      int32 `json:"min"`
	Max      int32 `json:"max"`

	Depth      *int64 `json:"depth,omitempty"`
	AtLeast    bool   `json:"atLeast,omitempty"` // Depth is a lower bound
	Waiting    *int64 `json:"waiting,omitempty"`
	InFlight   *int64 `json:"inFlight,omitempty"`
	LowerBound *int64 `json:"lowerBound,omitempty"`
	UpperBound *int64 `json:"upperBound,omitempty"`
	Rate       *int64 `json:"rate,omitempty"` // arrivals per second

	Action string     `json:"action,omitempty"` // Hold, ScaleUp, ScaleDown
	Reason string     `json:"reason,omitempty"`
	Oldest *time.Time `json:"oldest,omitempty"` // since when the oldest message waits

	// Points are those since the last message about this row; in the first, all that there are,
	// at most the newest 120, for the sparkline.
	Points []Point `json:"points,omitempty"`
}

// Point is what was so from a time on, from a status, until the next point.
type Point struct {
	Time time.Time `json:"t"`
	// Gap: from here to the next point nothing was heard of the channel. So nothing is known, and nothing else is in it.
	Gap bool `json:"gap,omitempty"`
	// Held: up to here it was as the point before says. Without it both are samples so close together
	// that the depth may have changed at any time in between.
	Held     bool   `json:"held,omitempty"`
	Depth    *int64 `json:"depth,omitempty"`
	Replicas int32  `json:"replicas"`
	Ready    int32  `json:"ready"`
	// Desired is the number last set on the Deployment: not what a decision asks for, which a cooldown
	// or a limit may hold up.
	Desired    int32  `json:"desired"`
	LowerBound *int64 `json:"lower,omitempty"`
	UpperBound *int64 `json:"upper,omitempty"`
	Rate       *int64 `json:"rate,omitempty"` // arrivals per second
	InFlight   *int64 `json:"-"`              // for replays; the page has that of its row
}

// MarshalJSON implements json.Marshaler: the numbers of a gap are absent, as 0 would be a claim.
func (p Point) MarshalJSON() ([]byte, error) {
	type whole Point
	if !p.Gap {
		return json.Marshal(whole(p))
	}
	return json.Marshal(struct {
		Time time.Time `json:"t"`
		Gap  bool      `json:"gap"`
	}{p.Time, true})
}

// Channel is the channel that is open. A part that is absent has not changed, and one that became
// empty is there as []; Points and Marks are those that came since the last message. A message
// that is Full replaces all, also later, such as when the older points of a Prometheus are there.
type Channel struct {
	Key        string      `json:"key"`
	Full       bool        `json:"full,omitempty"`
	Gone       bool        `json:"gone,omitempty"` // it was deleted, or may not be read any more
	Row        *Row        `json:"row,omitempty"`  // without Points
	Decision   *Decision   `json:"decision,omitempty"`
	NoDecision string      `json:"noDecision,omitempty"` // why there is none, where there is none
	Points     []Point     `json:"points,omitempty"`
	Marks      []Mark      `json:"marks,omitempty"`
	Events     []Event     `json:"events,omitzero"` // all, the newest first
	Conditions []Condition `json:"conditions,omitzero"`
	Workers    []Worker    `json:"workers,omitzero"`
	Settings   []Setting   `json:"settings,omitzero"`
	// ScaledObject are its conditions, as KEDA has them.
	ScaledObject []Condition `json:"scaledObject,omitzero"`
	// Forbidden are the parts that can't be read: events, workers, scaledObject, and history (of a
	// Prometheus), each with the words to show in its place.
	Forbidden map[string]string `json:"forbidden,omitzero"`
	// Notes are in words what is not shown of a part: of events and workers there may be more, and a history may be
	// on its way.
	Notes map[string]string `json:"notes,omitzero"`
}

// Decision is a decision with its arithmetic.
type Decision struct {
	Action     string     `json:"action"`
	Reason     string     `json:"reason"`
	Words      string     `json:"words"`
	Arithmetic string     `json:"arithmetic,omitempty"`
	Replicas   int32      `json:"replicas"`
	Desired    int32      `json:"desired"`
	Depth      int64      `json:"depth"`
	AtLeast    bool       `json:"atLeast,omitempty"`
	Waiting    int64      `json:"waiting"`
	InFlight   *int64     `json:"inFlight,omitempty"`
	LowerBound int64      `json:"lowerBound"`
	UpperBound int64      `json:"upperBound"`
	Cooldown   float64    `json:"cooldown"` // the period
	CooledDown *time.Time `json:"cooledDown,omitempty"`
	LastScale  *time.Time `json:"lastScale,omitempty"`
	Active     bool       `json:"active"`
	Policy     string     `json:"policy"` // in use
	Busy       *float64   `json:"busy,omitempty"`
	Slots      *int64     `json:"slots,omitempty"`
	Time       time.Time  `json:"time"` // when it was observed
	// Unheard, of a what-if, is since when nothing was heard of the channel: what was not set in place of
	// it is as it was then. Absent: it is heard.
	Unheard *time.Time `json:"unheard,omitempty"`
}

// Kinds of marks.
const (
	MarkScaling  = "scaling"
	MarkDecision = "decision" // one that is another than before
	MarkSettings = "settings" // spec.autoScaling was changed
	MarkSpec     = "spec"     // something else of the spec was changed, such as the workers' image
	MarkPaused   = "paused"
	MarkResumed  = "resumed"
)

// Mark is a moment on the time line: a scaling, a decision that changed, or a change of the channel.
type Mark struct {
	Time  time.Time `json:"t"`
	Kind  string    `json:"kind"` // one of the constants
	From  int32     `json:"from"`
	To    int32     `json:"to"`
	Words string    `json:"words"`
	// Until is when the cooldown that it began is over, of a scaling.
	Until *time.Time `json:"until,omitempty"`
}

// Event is a Kubernetes event of the channel.
type Event struct {
	Time    time.Time `json:"t"`
	Type    string    `json:"type"` // Normal, Warning
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	Count   int32     `json:"count"`
}

// Condition is one of the channel's.
type Condition struct {
	Type    string    `json:"type"`
	Status  string    `json:"status"`
	Good    bool      `json:"good"` // it is as it should be
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	Since   time.Time `json:"since,omitzero"` // absent: KEDA's conditions don't tell
}

// Worker is one pod.
type Worker struct {
	Name     string    `json:"name"`
	State    string    `json:"state"` // Ready, Starting, Waiting, CrashLoopBackOff, Terminating, …
	Message  string    `json:"message,omitempty"`
	Restarts int32     `json:"restarts"`
	Node     string    `json:"node,omitempty"`
	Since    time.Time `json:"since"`
}

// Setting is one value of the policy, and where it comes from.
type Setting struct {
	Name  string `json:"name"`  // as in spec.autoScaling
	Value string `json:"value"` // for people
	From  string `json:"from"`  // spec, default, the image's CONCURRENCY, …
}

// Request is each message from the page.
type Request struct {
	ID     int            `json:"id"`
	Kind   string         `json:"kind"`
	Key    string         `json:"key"`
	WhatIf *WhatIfRequest `json:"whatif,omitempty"`
	Replay *ReplayRequest `json:"replay,omitempty"`
}

// WhatIfRequest asks for the decision with these in place of what is so.
type WhatIfRequest struct {
	Depth    *int64 `json:"depth,omitempty"`
	Replicas *int32 `json:"replicas,omitempty"`
	// SinceScale is how many seconds ago the last scaling was; negative: never.
	SinceScale *float64 `json:"sinceScale,omitempty"`
	Changes    Changes  `json:"changes"`
}

// ReplayRequest asks what the recorded window would have been with changed settings.
type ReplayRequest struct {
	// Seconds of the recorded window up to now; 0: all of it.
	Seconds float64 `json:"seconds,omitempty"`
	Changes Changes `json:"changes"`
}

// Changes are fields of spec.autoScaling by name, with values as the API takes them, for example
// {"targetQueueDepth": 50, "policy": "Utilization"}.
type Changes map[string]any

// Replay is the recorded window with both settings, by the simulation.
type Replay struct {
	// Assumed are what the simulation had to assume, in words: a worker's speed, pod starts.
	Assumed []string  `json:"assumed"`
	Start   time.Time `json:"start"`
	Step    float64   `json:"step"` // seconds between two values
	Curves  []Curve   `json:"curves"`
}

// Curve is one run: as recorded, as simulated with the settings that there are, and with the changed ones. If the record does not tell
// how fast a worker is, there are two of each name that is simulated: the slowest and the fastest that it may be.
type Curve struct {
	Name         string    `json:"name"`            // recorded, now, changed
	Speed        *float64  `json:"speed,omitempty"` // messages per second of one worker, more than 0, if there are two of the name
	Depth        []float64 `json:"depth"`
	Replicas     []int32   `json:"replicas"`
	P99Wait      *float64  `json:"p99Wait,omitempty"`
	ReplicaHours float64   `json:"replicaHours"`
	Scalings     int       `json:"scalings"`
	MaxReplicas  int32     `json:"maxReplicas"`
}

// Answer is to a request.
type Answer struct {
	ID       int       `json:"id"`
	Error    string    `json:"error,omitempty"` // with the remedy
	Decision *Decision `json:"decision,omitempty"`
	Replay   *Replay   `json:"replay,omitempty"`
}
