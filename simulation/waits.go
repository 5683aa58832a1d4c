package simulation

// waits are the waiting times of messages, in seconds. Messages that arrive evenly and are taken
// evenly have waits that are spread evenly between those of the first and the last one.
type waits struct {
	spans []span
	count float64
	total float64 // message-seconds
	max   float64
}

type span struct {
	count      float64
	least, top float64
}

func (w *waits) add(count, first, last float64) {
	if count <= 0 {
		return
	}
	first, last = max(first, 0), max(last, 0)
	w.count += count
	w.total += count * (first + last) / 2
	w.max = max(w.max, first, last)
	next := span{count, min(first, last), max(first, last)}
	if n := len(w.spans); n > 0 && next.top == 0 && w.spans[n-1].top == 0 {
		w.spans[n-1].count += count
		return
	}
	w.spans = append(w.spans, next)
}

// mean is the average wait.
func (w *waits) mean() float64 {
	if w.count == 0 {
		return 0
	}
	return w.total / w.count
}

// quantile is the shortest wait that at least this part of the messages, from 0 to 1, did not
// exceed.
func (w *waits) quantile(part float64) float64 {
	if w.count == 0 || w.within(0) >= part*w.count {
		return 0
	}
	least, most := 0.0, w.max
	for most-least > 1e-4 {
		middle := (least + most) / 2
		if w.within(middle) >= part*w.count {
			most = middle
		} else {
			least = middle
		}
	}
	return most
}

// within returns how many messages did not wait longer than this.
func (w *waits) within(wait float64) float64 {
	var count float64
	for _, s := range w.spans {
		switch {
		case wait >= s.top:
			count += s.count
		case wait > s.least:
			count += s.count * (wait - s.least) / (s.top - s.least)
		}
	}
	return count
}
