package feed

import (
	"bytes"
	"errors"
)

// errNotJSON is for bytes that are no object.
var errNotJSON = errors.New("the API server's answer is no JSON object")

// members calls each with the members of an object, without decoding what is in them: a channel
// that changes every second has a new status, and mostly nothing else. It takes JSON that a
// program wrote: of what is wrong in the values it notices little, and who decodes them does. A
// name with an escape in it is left out, since none that we look for has one.
func members(data []byte, each func(name string, value []byte)) error {
	i := space(data, 0)
	if i >= len(data) || data[i] != '{' {
		return errNotJSON
	}
	i = space(data, i+1)
	if i < len(data) && data[i] == '}' {
		return nil
	}
	for i < len(data) && data[i] == '"' {
		end := text(data, i)
		if end < 0 {
			return errNotJSON
		}
		name := data[i+1 : end-1]
		if i = space(data, end); i >= len(data) || data[i] != ':' {
			return errNotJSON
		}
		i = space(data, i+1)
		if end = value(data, i); end < 0 {
			return errNotJSON
		}
		if bytes.IndexByte(name, '\\') < 0 {
			each(string(name), data[i:end])
		}
		if i = space(data, end); i >= len(data) {
			return errNotJSON
		}
		switch data[i] {
		case '}':
			return nil
		case ',':
			i = space(data, i+1)
		default:
			return errNotJSON
		}
	}
	return errNotJSON
}

func space(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\t' || data[i] == '\r') {
		i++
	}
	return i
}

// text is where the string that begins at i ends; -1 if it does not.
func text(data []byte, i int) int {
	for i++; i < len(data); i++ {
		next := bytes.IndexByte(data[i:], '"')
		if next < 0 {
			return -1
		}
		i += next
		escapes := 0
		for data[i-1-escapes] == '\\' { // the quote that begins the string ends this
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
	return -1
}

// value is where the value that begins at i ends; -1 if it does not, or is none.
func value(data []byte, i int) int {
	depth := 0
	for begin := i; i < len(data); i++ {
		switch data[i] {
		case '"':
			end := text(data, i)
			if end < 0 {
				return -1
			}
			if depth == 0 {
				return end
			}
			i = end - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
			if depth < 0 { // the end of the object around a number or a word
				return atLeastOne(begin, i)
			}
		case ',', ' ', '\n', '\t', '\r':
			if depth == 0 {
				return atLeastOne(begin, i)
			}
		}
	}
	return -1
}

func atLeastOne(begin, end int) int {
	if end == begin {
		return -1
	}
	return end
}
