package redistest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Scripted is a server that answers as a test says, byte for byte: whatever a hostile or a
// broken one may send. It ends with the test.
type Scripted struct {
	Addr string // host:port
	// Connected is how many connections were made.
	Connected atomic.Int64

	answer Answer
	done   chan struct{} // closed at the test's end

	connections Connections
}

// Answer writes the reply to a command, whose name is in lower case; where it writes
// nothing, the server is silent. It may go on until a write fails, or done is closed.
type Answer func(to io.Writer, command []string, done <-chan struct{})

// StartScripted runs a server.
func StartScripted(t testing.TB, answer Answer) *Scripted {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Scripted{Addr: listener.Addr().String(), answer: answer, done: make(chan struct{})}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			s.Connected.Add(1)
			running.Go(func() { s.serve(client) })
		}
	})
	t.Cleanup(func() {
		close(s.done)
		_ = listener.Close()
		s.connections.End()
		running.Wait()
	})
	return s
}

func (s *Scripted) serve(connection net.Conn) {
	defer func() {
		_ = connection.Close()
		s.connections.Forget(connection)
	}()
	if !s.connections.Keep(connection) {
		return
	}
	commands := bufio.NewReader(connection)
	for {
		command, err := readCommand(commands)
		if err != nil {
			return
		}
		s.answer(connection, command, s.done)
	}
}

// readCommand reads an array of strings, as clients send it.
func readCommand(from *bufio.Reader) ([]string, error) {
	count, err := readLength(from, "*")
	if err != nil {
		return nil, err
	}
	command := make([]string, count)
	for i := range command {
		length, err := readLength(from, "$")
		if err != nil {
			return nil, err
		}
		text := make([]byte, length+len("\r\n"))
		if _, err := io.ReadFull(from, text); err != nil {
			return nil, err
		}
		command[i] = string(text[:length])
	}
	if count == 0 {
		return nil, errors.New("an empty command")
	}
	command[0] = strings.ToLower(command[0])
	return command, nil
}

func readLength(from *bufio.Reader, kind string) (int, error) {
	line, err := from.ReadString('\n')
	if err != nil {
		return 0, err
	}
	digits, ok := strings.CutPrefix(strings.TrimSpace(line), kind)
	if !ok {
		return 0, errors.New("no " + kind)
	}
	return strconv.Atoi(digits)
}

// AfterHello refuses the greeting as Redis before 6 does, and leaves the rest to an answer.
func AfterHello(answer Answer) Answer {
	return func(to io.Writer, command []string, done <-chan struct{}) {
		if command[0] == "hello" {
			_, _ = io.WriteString(to, "-ERR unknown command 'HELLO'\r\n") // the client may be gone
			return
		}
		answer(to, command, done)
	}
}

// Bulk is a string as a reply.
func Bulk(text string) string {
	return "$" + strconv.Itoa(len(text)) + "\r\n" + text + "\r\n"
}

// Array is an array of replies as a reply.
func Array(elements ...string) string {
	return "*" + strconv.Itoa(len(elements)) + "\r\n" + strings.Join(elements, "")
}

// Hostile is replies that a server may send to do harm. Each ends a careless client, or
// keeps it busy without an end.
var Hostile = map[string]Answer{
	"a string of 2^63 bytes":        fixed("$9223372036854775800\r\n"),
	"an array of 2^63 elements":     fixed("*9223372036854775800\r\n"),
	"a string of 2 GiB":             fixed("$2147483647\r\n"),
	"an array of 2 Gi elements":     fixed("*2147483647\r\n"),
	"a string of 2^64 bytes":        fixed("$18446744073709551616\r\n"),
	"a string of 8 MiB, then none":  fixed("$8388608\r\n"),
	"a string of -2 bytes":          fixed("$-2\r\n"),
	"an array of -5 elements":       fixed("*-5\r\n"),
	"a string without a length":     fixed("$\r\n"),
	"an empty line":                 fixed("\r\n"),
	"a banner":                      fixed("220 mail.example.org ESMTP\r\n"),
	"a map of RESP3":                fixed("%2147483647\r\n"),
	"a map with arrays for keys":    fixed("%1\r\n*1\r\n:1\r\n:1\r\n"),
	"a streamed string":             fixed("$?\r\n;4\r\nabcd\r\n;0\r\n"),
	"an array of arrays of 64 Ki":   fixed("*65536\r\n" + strings.Repeat("*65536\r\n", 6)),
	"arrays of 64 Ki in turn":       fixed("*65536\r\n" + strings.Repeat("*0\r\n", 65535) + strings.Repeat("*65536\r\n", 5)),
	"an address of one part":        fixed("*1\r\n$1\r\na\r\n"),
	"an empty array":                fixed("*0\r\n"),
	"nil":                           fixed("$-1\r\n"),
	"a nil array":                   fixed("*-1\r\n"),
	"a negative number":             fixed(":-9223372036854775808\r\n"),
	"an endless line":               endless("+", "xxxxxxxxxxxxxxxx"),
	"an endless error":              endless("-ERR ", "xxxxxxxxxxxxxxxx"),
	"an endless string":             endless("$9223372036854775807\r\n", "xxxxxxxxxxxxxxxx"),
	"endless nesting":               endless("", "*1\r\n"),
	"endless attributes":            endless("", "|1\r\n+a\r\n+b\r\n"),
	"endless pushes":                endless("", ">1\r\n+a\r\n"),
	"endless numbers":               endless("", ":1\r\n"),
	"an endless array of strings":   endless("*2147483647\r\n", "$1\r\na\r\n"),
	"128 Ki strings of 64 KiB each": endless("*131072\r\n", Bulk(strings.Repeat("x", 64<<10))),
	"bytes that trickle":            trickling("$1000\r\n"),
	"silence":                       fixed(""),
	"the end of the connection": func(to io.Writer, _ []string, _ <-chan struct{}) {
		_ = to.(io.Closer).Close() // that is the answer
	},
}

func fixed(reply string) Answer {
	return func(to io.Writer, _ []string, _ <-chan struct{}) { _, _ = io.WriteString(to, reply) } // the client may be gone
}

// endless repeats a part until the client has gone.
func endless(begin, part string) Answer {
	parts := strings.Repeat(part, 1+(16<<10)/len(part))
	return func(to io.Writer, _ []string, done <-chan struct{}) {
		_, err := io.WriteString(to, begin)
		for err == nil {
			select {
			case <-done:
				return
			default:
				_, err = io.WriteString(to, parts)
			}
		}
	}
}

// trickling sends a byte each 100 ms.
func trickling(begin string) Answer {
	return func(to io.Writer, _ []string, done <-chan struct{}) {
		_, err := io.WriteString(to, begin)
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for err == nil {
			select {
			case <-done:
				return
			case <-ticker.C:
				_, err = io.WriteString(to, "x")
			}
		}
	}
}
