package simulation

// histogram is the waits of single messages, in seconds, to the millisecond, so that millions
// need little memory. Their number, sum and maximum are exact.
type histogram struct {
	none   float64   // messages that did not wait at all
	millis []float64 // messages by milliseconds, rounded down
	count  float64
	total  float64
	max    float64
}

func (h *histogram) add(wait float64) {
	h.count++
	if wait <= 0 {
		h.none++
		return
	}
	h.total += wait
	h.max = max(h.max, wait)
	bin := int(wait * 1000)
	for len(h.millis) <= bin {
		h.millis = append(h.millis, 0)
	}
	h.millis[bin]++
}

func (h *histogram) waits() *waits {
	w := &waits{count: h.count, total: h.total, max: h.max}
	if h.none > 0 {
		w.spans = append(w.spans, span{count: h.none})
	}
	for bin, count := range h.millis {
		if count > 0 {
			w.spans = append(w.spans, span{count, float64(bin) / 1000, min(float64(bin+1)/1000, max(h.max, float64(bin)/1000))})
		}
	}
	return w
}
