package broker

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// plainConn is a connection that is not encrypted.
type plainConn struct {
	net.Conn // of type tcp
	guard    *guard
	answered atomic.Bool // something was received
	setting  string      // the trigger's key that would encrypt it
	// refused is what the server answered instead of taking the connection: go-redis takes it
	// for the answer to its HELLO, passes over it, and writes on.
	refused atomic.Pointer[refusal]
}

// SyscallConn is for go-redis's check of idle connections, which looks at the socket.
func (c *plainConn) SyscallConn() (syscall.RawConn, error) {
	return c.Conn.(syscall.Conn).SyscallConn()
}

// tlsAlert is the first byte of a TLS alert record (RFC 8446, section 5.1). No reply of
// RESP begins so.
const tlsAlert = 0x15

var (
	errAnswersTLS = errors.New("it answers with a TLS alert")
	// errHungUp is no certain sign: a proxy without a server behind it hangs up, too.
	errHungUp = errors.New("the server ended the connection before its first answer")
)

// What a server sent before it hung up is there, or does not come any more.
const (
	lastWordsWait  = 100 * time.Millisecond
	lastWordsBytes = 1024 // Redis's longest, DENIED, has 1,000
)

// refusal is the error with which a server ends a connection before it was asked anything: it takes no more clients,
// or none from other hosts (Redis 7, src/networking.c, acceptCommonHandler and clientAcceptHandler).
type refusal string

func (r refusal) Error() string { return string(r) }

// RedisError makes it one of the server's errors, whose texts are shown in part only.
func (refusal) RedisError() {}

func (c *plainConn) Read(p []byte) (int, error) {
	if refused := c.refused.Load(); refused != nil {
		return 0, outer(*refused)
	}
	n, err := c.Conn.Read(p)
	if !c.answered.Load() {
		switch {
		case n > 0 && p[0] == tlsAlert:
			return 0, c.expectsTLS()
		case n > 0 && c.refuses(p[:n]):
			return 0, outer(*c.refused.Load())
		case n > 0:
			c.answered.Store(true)
		case hungUp(err):
			return 0, c.hungUpEarly(err)
		}
	}
	if refused := c.guard.received(p[:n]); refused != nil {
		_ = c.Close() // nothing of it is good any more
		return 0, refused
	}
	return n, err
}

// Write tells more than "broken pipe" where a server hung up that was never asked anything: it
// said why, and go-redis would not read that any more.
func (c *plainConn) Write(p []byte) (int, error) {
	if refused := c.refused.Load(); refused != nil {
		return 0, outer(*refused)
	}
	c.guard.sending()
	n, err := c.Conn.Write(p)
	if err == nil || c.answered.Load() || !hungUp(err) {
		return n, err
	}
	words := make([]byte, lastWordsBytes)
	_ = c.SetReadDeadline(time.Now().Add(lastWordsWait)) // where that fails the read ends, too: the connection is broken
	got, _ := c.Conn.Read(words)
	switch {
	case got > 0 && words[0] == tlsAlert:
		return n, c.expectsTLS()
	case c.refuses(words[:got]):
		return n, outer(*c.refused.Load())
	}
	return n, c.hungUpEarly(err)
}

// refuses notes whether the first that a server sends is a refusal to take the connection.
func (c *plainConn) refuses(first []byte) bool {
	line, _, _ := strings.Cut(string(first), "\r\n")
	if !strings.HasPrefix(line, "-ERR "+tooManyClients) && !strings.HasPrefix(line, "-DENIED ") {
		return false
	}
	refused := refusal(line[1:])
	c.refused.Store(&refused) // it is not closed: go-redis would tell of that alone
	return true
}

// hungUp reports whether an error is that of a connection that the other side ended.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func (c *plainConn) expectsTLS() error {
	hint := "the server expects TLS there: set " + c.setting + " to true"
	return outer(&TLSError{Address: c.RemoteAddr().String(), Err: errAnswersTLS, Hint: hint})
}

func (c *plainConn) hungUpEarly(err error) error {
	return outer(&hungUpError{setting: c.setting, err: err})
}

// hungUpError is a connection that ended before anything was received.
type hungUpError struct {
	setting string // the trigger's key that would encrypt it
	err     error
}

func (e *hungUpError) Unwrap() []error { return []error{errHungUp, e.err} }

func (e *hungUpError) Error() string {
	return fmt.Sprintf("%v (perhaps it expects TLS there: set %s to true): %v", errHungUp, e.setting, e.err)
}

func (c *plainConn) Close() error {
	c.guard.closed()
	return c.Conn.Close()
}
