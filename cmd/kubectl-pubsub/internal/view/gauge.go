package view

import (
	"strconv"
	"strings"
	"unicode/utf8"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// gaugeWidth is the length of the scale, in characters.
const gaugeWidth = 60

// gauge draws where the depth is, and the band within which the fleet holds:
//
//	                                         500
//	──────────┣━━━━━━━━━━━━━━━━━━━━━━━━━━┫────●────
//	         150                        450
//
// It is empty where there is no band.
func gauge(a *inspectv1.ExplainResponse) string {
	lower, upper, depth := a.GetLowerBound(), a.GetUpperBound(), a.GetQueueDepth()
	if upper <= 0 || a.GetReplicas() == 0 {
		return ""
	}
	// The band stays wide enough to be seen however deep the queue is.
	end := float64(upper) * 1.25
	if depth > upper {
		end = min(float64(depth)*1.1, float64(upper)*2)
	}
	at := func(value int64) int {
		return min(gaugeWidth-1, int(float64(value)/end*gaugeWidth))
	}
	line := []rune(strings.Repeat("─", gaugeWidth))
	for i := at(lower); i <= at(upper); i++ {
		line[i] = '━'
	}
	line[at(lower)], line[at(upper)] = '┣', '┫'
	mark := '●'
	if float64(depth) > end {
		mark = '▶'
	}
	line[at(depth)] = mark
	var bounds, value labels
	bounds.put(at(lower), strconv.FormatInt(lower, 10))
	bounds.put(at(upper), strconv.FormatInt(upper, 10))
	value.put(at(depth), strconv.FormatInt(depth, 10))
	return "\n  " + value.String() + "\n  " + string(line) + "\n  " + bounds.String() + "\n"
}

// labels is a line of texts, each centred under or over its place as far as those before
// it leave room.
type labels struct{ strings.Builder }

func (l *labels) put(place int, text string) {
	length := utf8.RuneCountInString(l.String())
	start := max(0, place-(len(text)-1)/2)
	if length > 0 {
		start = max(start, length+1)
	}
	l.WriteString(strings.Repeat(" ", start-length) + text)
}
