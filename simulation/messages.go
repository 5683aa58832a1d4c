package simulation

import (
	"math/rand/v2"

	"github.com/jawaracloud/pubsub-operator/simulation/work"
)

// messages is a first-in, first-out queue whose messages are taken one by one, by slots of pods
// that each work on one at a time. Each message arrives at a random moment of its second and
// takes a random time. Both depend on the seed and on its number alone, so all autoscalers
// have the same messages. Times are seconds from the start.
type messages struct {
	work             work.Work
	mean             float64 // seconds that a message takes on average, at full speed
	moments, lengths *rand.Rand
	goOn             func() bool // asked after each askAfter events: a second may have millions
	events           int

	now      float64
	queue    fifo[float64] // when each of the waiting messages arrived
	idle     fifo[*pod]    // an entry for each free slot; the longest idle takes the next message
	busy     busySlots
	joined   int       // of the fleet's pods, how many have started and have their slots above
	arrivals []float64 // of the current second

	arrived, done float64
	times         histogram
	waitingTime   float64 // the integral of the waiting messages over time, in message-seconds
	workTime      float64 // the same of those in work
}

func newMessages(config Config) *messages {
	return &messages{
		work:    config.Work,
		mean:    float64(config.Work.Slots()) / config.ServiceRate,
		moments: rand.New(rand.NewPCG(config.Seed, 1)),
		lengths: rand.New(rand.NewPCG(config.Seed, 2)),
		goOn:    always,
	}
}

func (m *messages) waiting() float64  { return float64(m.queue.len()) }
func (m *messages) left() float64     { return m.waiting() }
func (m *messages) inWork() float64   { return float64(len(m.busy)) }
func (m *messages) finished() float64 { return m.done }
func (m *messages) entered() float64  { return m.arrived }

// second replays what happens in a second in the order of time. A pod that was removed finishes
// what it has.
func (m *messages) second(now float64, arrivals int64, fleet *fleet) {
	m.draw(now, arrivals)
	m.joined = min(m.joined, len(fleet.pods))
	end, next := now+1, 0
	for {
		if m.events++; m.events%askAfter == 0 && !m.goOn() {
			return
		}
		at, what := end, nothing
		if next < len(m.arrivals) && m.arrivals[next] < at {
			at, what = m.arrivals[next], arrival
		}
		if len(m.busy) > 0 && m.busy[0].until < at {
			at, what = m.busy[0].until, completion
		}
		if m.joined < len(fleet.pods) && fleet.pods[m.joined].readyAt < at {
			at, what = max(m.now, fleet.pods[m.joined].readyAt), podStart
		}
		m.pass(at)
		switch what {
		case arrival:
			m.queue.push(at)
			m.arrived++
			next++
		case completion:
			m.done++
			if p := m.busy.pop().pod; !p.gone {
				m.idle.push(p)
			}
		case podStart:
			for range m.work.Slots() {
				m.idle.push(fleet.pods[m.joined])
			}
			m.joined++
		case nothing:
			return
		}
		m.take()
	}
}

// askAfter is some fractions of a millisecond.
const askAfter = 4096

// event is what happens next.
type event int

const (
	nothing event = iota
	arrival
	completion
	podStart
)

// draw fills in the moments at which a second's messages arrive, in their order: the partial
// sums of exponential numbers, divided by the sum, are spread as sorted uniform numbers are.
func (m *messages) draw(now float64, count int64) {
	m.arrivals = m.arrivals[:0]
	if count == 0 {
		return
	}
	var sum float64
	for range count {
		sum += m.moments.ExpFloat64()
		m.arrivals = append(m.arrivals, sum)
	}
	sum += m.moments.ExpFloat64()
	for i := range m.arrivals {
		m.arrivals[i] = now + m.arrivals[i]/sum
	}
}

// pass lets the time pass.
func (m *messages) pass(at float64) {
	m.waitingTime += m.waiting() * (at - m.now)
	m.workTime += m.inWork() * (at - m.now)
	m.now = at
}

// take gives waiting messages to free slots.
func (m *messages) take() {
	for m.queue.len() > 0 && m.idle.len() > 0 {
		p := m.idle.pop()
		if p.gone {
			continue
		}
		m.times.add(m.now - m.queue.pop())
		m.busy.push(slot{m.now + m.mean*m.work.Draw(m.lengths)/m.work.Speed(m.now), p})
	}
}

func (m *messages) giveUp(now float64) *waits {
	for m.queue.len() > 0 {
		m.times.add(now - m.queue.pop())
	}
	return m.times.waits()
}

// fifo is a first-in, first-out list.
type fifo[T any] struct {
	items []T
	head  int
}

func (f *fifo[T]) len() int { return len(f.items) - f.head }

func (f *fifo[T]) push(item T) {
	if f.head > 1024 && f.head > len(f.items)/2 {
		f.items = append(f.items[:0], f.items[f.head:]...)
		f.head = 0
	}
	f.items = append(f.items, item)
}

func (f *fifo[T]) pop() T {
	item := f.items[f.head]
	f.head++
	return item
}

// slot is one of a pod's, with a message.
type slot struct {
	until float64
	pod   *pod
}

// busySlots is a heap: the first is the next to finish. container/heap would allocate for
// each message.
type busySlots []slot

func (b *busySlots) push(s slot) {
	*b = append(*b, s)
	heap := *b
	i := len(heap) - 1
	for i > 0 && heap[(i-1)/2].until > s.until {
		heap[i] = heap[(i-1)/2]
		i = (i - 1) / 2
	}
	heap[i] = s
}

func (b *busySlots) pop() slot {
	heap := *b
	first, last := heap[0], heap[len(heap)-1]
	heap = heap[:len(heap)-1]
	*b = heap
	for i := 0; len(heap) > 0; {
		child := 2*i + 1
		if child+1 < len(heap) && heap[child+1].until < heap[child].until {
			child++
		}
		if child >= len(heap) || heap[child].until >= last.until {
			heap[i] = last
			break
		}
		heap[i] = heap[child]
		i = child
	}
	return first
}
