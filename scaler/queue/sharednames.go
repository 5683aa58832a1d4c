package queue

import "strings"

// A Queue is comparable, so what a framework shares has the names of all queues as one text. A comma that is part of a
// name, and a backslash, have a backslash before them.

var escaped = strings.NewReplacer(`\`, `\\`, `,`, `\,`)

// joined is the names as one text, of which separated makes the names again.
func joined(names []string) string {
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = escaped.Replace(name)
	}
	return strings.Join(parts, ",")
}

func separated(text string) (names []string) {
	var name strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text):
			i++
			name.WriteByte(text[i])
		case text[i] == ',':
			names = append(names, name.String())
			name.Reset()
		default:
			name.WriteByte(text[i])
		}
	}
	return append(names, name.String())
}
