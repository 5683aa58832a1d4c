package simulation

// line is the messages that wait and those that are in work. There are two models of it: flow,
// which is fast, and messages, which takes them one by one.
type line interface {
	// second lets arrivals come in during the second that begins at now, while the fleet's
	// ready pods take messages.
	second(now float64, arrivals int64, fleet *fleet)
	waiting() float64  // messages that no worker has taken
	inWork() float64   // messages in flight
	left() float64     // as waiting, but exactly 0 if all were taken
	finished() float64 // messages so far
	entered() float64  // messages that arrived so far
	// giveUp adds the waits so far of the messages that no worker took, and returns all waits.
	giveUp(now float64) *waits
}

// newLine makes one that may leave a second unfinished if it is not to go on.
func newLine(config Config, goOn func() bool) line {
	if config.Work.IsFlow() {
		return &flow{queue: newQueue(1 / config.ServiceRate), rate: config.ServiceRate}
	}
	m := newMessages(config)
	m.goOn = goOn
	return m
}

// flow is the model in which messages are a flow: each worker takes them at the same even rate.
type flow struct {
	*queue
	rate float64 // of one worker
}

func (f *flow) second(now float64, arrivals int64, fleet *fleet) {
	for end := now + 1; now < end; {
		next := fleet.nextReady(now, end)
		f.advance(now, next, float64(arrivals)*(next-now), float64(fleet.ready(now))*f.rate)
		now = next
	}
}

func (f *flow) entered() float64 { return f.arrived }

func (f *flow) giveUp(now float64) *waits {
	f.queue.giveUp(now)
	return &f.waits
}
