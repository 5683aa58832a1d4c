package main

import "sync"

// books have what came of the messages of each queue. They are safe for concurrent use.
type books struct {
	mu     sync.Mutex
	queues map[string]*queue
}

type queue struct {
	begun int
	ended map[int]int // deliveries by number
}

// account is what came of the messages 1 to a total.
type account struct {
	// Begun are deliveries that the handler began to work on.
	Begun int `json:"begun"`
	// Messages are different ones that it finished, and Deliveries how often it did.
	Messages   int `json:"messages"`
	Deliveries int `json:"deliveries"`
	// Missing are the first of those that it never finished, and Foreign of numbers that are not
	// among them.
	Missing []int `json:"missing,omitempty"`
	Foreign []int `json:"foreign,omitempty"`
}

const mostNamed = 20

func (b *books) of(name string) *queue {
	if b.queues == nil {
		b.queues = map[string]*queue{}
	}
	if b.queues[name] == nil {
		b.queues[name] = &queue{ended: map[int]int{}}
	}
	return b.queues[name]
}

func (b *books) begin(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.of(name).begun++
}

func (b *books) end(name string, number int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.of(name).ended[number]++
}

func (b *books) account(name string, total int) account {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.of(name)
	a := account{Begun: q.begun}
	for number, times := range q.ended {
		a.Deliveries += times
		if number >= 1 && number <= total {
			a.Messages++
		} else if len(a.Foreign) < mostNamed {
			a.Foreign = append(a.Foreign, number)
		}
	}
	for number := 1; number <= total && len(a.Missing) < mostNamed; number++ {
		if q.ended[number] == 0 {
			a.Missing = append(a.Missing, number)
		}
	}
	return a
}
