package dragonflytest

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// value is a value of RESP2 or RESP3, as it is on the wire.
type value struct {
	kind  byte // the first byte of its type
	text  string
	null  bool    // $-1 or *-1
	items []value // of an aggregate; a map's keys and values in turn
}

func bulk(text string) value    { return value{kind: '$', text: text} }
func failure(text string) value { return value{kind: '-', text: text} }
func null() value               { return value{kind: '$', null: true} }

func (v value) failed() bool { return v.kind == '-' }

func read(reader *bufio.Reader) (value, error) {
	line, err := reader.ReadString('\n')
	if err != nil {
		return value{}, err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return value{}, fmt.Errorf("an empty line is not RESP")
	}
	v := value{kind: line[0], text: line[1:]}
	switch v.kind {
	case '$', '=', '!':
		return readBulk(reader, v)
	case '*', '~', '>', '%':
		return readAggregate(reader, v)
	case '+', '-', ':', ',', '#', '(', '_':
		return v, nil
	}
	return value{}, fmt.Errorf("%q is not RESP", line)
}

func readBulk(reader *bufio.Reader, v value) (value, error) {
	length, err := strconv.Atoi(v.text)
	if err != nil || length < 0 {
		v.null, v.text = true, ""
		return v, err
	}
	content := make([]byte, length+2)
	if _, err := io.ReadFull(reader, content); err != nil {
		return value{}, err
	}
	v.text = string(content[:length])
	return v, nil
}

func readAggregate(reader *bufio.Reader, v value) (value, error) {
	length, err := strconv.Atoi(v.text)
	if err != nil || length < 0 {
		v.null = true
		return v, err
	}
	if v.kind == '%' {
		length *= 2
	}
	v.text = ""
	for range length {
		item, err := read(reader)
		if err != nil {
			return value{}, err
		}
		v.items = append(v.items, item)
	}
	return v, nil
}

func write(writer *bufio.Writer, v value) {
	_ = writer.WriteByte(v.kind) // a bufio.Writer keeps its error until Flush
	switch v.kind {
	case '$', '=', '!':
		if v.null {
			_, _ = writer.WriteString("-1\r\n")
			return
		}
		_, _ = fmt.Fprintf(writer, "%d\r\n%s\r\n", len(v.text), v.text)
	case '*', '~', '>', '%':
		length := len(v.items)
		switch {
		case v.null:
			length = -1
		case v.kind == '%':
			length /= 2
		}
		_, _ = fmt.Fprintf(writer, "%d\r\n", length)
		for _, item := range v.items {
			write(writer, item)
		}
	default:
		_, _ = writer.WriteString(v.text + "\r\n")
	}
}

// request is a command as a client sends it.
func request(args []string) value {
	v := value{kind: '*'}
	for _, arg := range args {
		v.items = append(v.items, bulk(arg))
	}
	return v
}

// field is the value of that name in a reply of names and values, in turn; nil where
// there is none.
func (v value) field(name string) *value {
	for i := 0; i+1 < len(v.items); i += 2 {
		if v.items[i].text == name {
			return &v.items[i+1]
		}
	}
	return nil
}

// number is the integer of a field, where it has one.
func (v value) number(name string) (int64, bool) {
	field := v.field(name)
	if field == nil || field.kind != ':' {
		return 0, false
	}
	number, err := strconv.ParseInt(field.text, 10, 64)
	return number, err == nil
}

func integer(number int64) value {
	return value{kind: ':', text: strconv.FormatInt(number, 10)}
}
