package demo

import "strings"

// eighths are the left eighths of a character cell, from 1/8 to 8/8.
var eighths = []rune("▏▎▍▌▋▊▉█")

// levels are the heights of a sparkline.
var levels = []rune("▁▂▃▄▅▆▇█")

// bar draws value out of limit in at most width cells, in steps of an eighth of a cell;
// more than the limit fills it, and more than nothing shows.
func bar(value, limit int64, width int) string {
	if value <= 0 || limit <= 0 || width <= 0 {
		return ""
	}
	parts := int(min(value, limit) * int64(width) * 8 / limit)
	parts = max(parts, 1)
	text := strings.Repeat("█", parts/8)
	if rest := parts % 8; rest > 0 {
		text += string(eighths[rest-1])
	}
	return text
}

// replicaBar draws one block of cells for each replica up to limit: ready ones full, wanted
// ones that are not ready shaded, the others light. Ones that are ready and not wanted any
// more are still full.
func replicaBar(ready, wanted, limit int32, cells int) string {
	var text strings.Builder
	for i := int32(1); i <= max(ready, wanted, limit); i++ {
		block := "░"
		switch {
		case i <= ready:
			block = "█"
		case i <= wanted:
			block = "▒"
		}
		text.WriteString(strings.Repeat(block, cells))
	}
	return text.String()
}

// sparkline draws the values, oldest first, as heights between 0 and limit. More values
// than width are drawn together, several to a column, by the greatest of them.
func sparkline(values []int64, limit int64, width int) string {
	if len(values) == 0 || width <= 0 {
		return ""
	}
	limit = max(limit, 1)
	perColumn := (len(values) + width - 1) / width
	var text strings.Builder
	for from := 0; from < len(values); from += perColumn {
		greatest := int64(0)
		for _, value := range values[from:min(from+perColumn, len(values))] {
			greatest = max(greatest, value)
		}
		level := min(greatest, limit) * int64(len(levels)-1) / limit
		if level == 0 && greatest > 0 {
			level = 1 // little is not nothing
		}
		text.WriteRune(levels[level])
	}
	return text.String()
}

// wrap breaks text between words into lines of at most width characters; a longer word
// stands alone.
func wrap(text string, width int) []string {
	var lines []string
	line, length := "", 0
	for word := range strings.FieldsSeq(text) {
		size := len([]rune(word))
		if length > 0 && length+1+size > width {
			lines = append(lines, line)
			line, length = "", 0
		}
		if length > 0 {
			line, length = line+" ", length+1
		}
		line, length = line+word, length+size
	}
	if length > 0 {
		lines = append(lines, line)
	}
	return lines
}
