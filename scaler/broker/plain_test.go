package broker

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A server that says why it hangs up before it was asked anything is heard, though what is
// written to it can't be sent any more.
func TestWhyAServerHangsUp(t *testing.T) {
	tests := map[string]struct {
		says  string
		cause Cause
		words string
	}{
		"too many clients": {"-ERR max number of clients reached\r\n", Unreachable, "ERR max number of clients reached: the server takes no more connections"},
		"protected mode":   {"-DENIED Redis is running in protected mode because\r\n", Forbidden, "the server is in protected mode: give it a password"},
		"TLS":              {"\x15\x03\x01\x00\x02\x02\x46", TLSFailed, "the server expects TLS there: set tls to true"},
		"nothing":          {"", Unreachable, "(perhaps it expects TLS there: set tls to true)"},
		"something else":   {"-ERR unknown command\r\n", Unreachable, "(perhaps it expects TLS there: set tls to true)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			here, there := pair(t)
			_, err := io.WriteString(there, test.says)
			require.NoError(t, err)
			require.NoError(t, there.SetLinger(0)) // the end is a reset, which a write meets
			require.NoError(t, there.Close())
			connection := &plainConn{Conn: here, guard: new(guards).add("server", newShare(newBudget(), "")), setting: "tls"}
			require.Eventually(t, func() bool {
				_, err = connection.Write([]byte("PING\r\n"))
				return err != nil
			}, time.Minute, time.Millisecond)
			failure := &ReadError{Err: redactor{}.safe(err)}
			assert.Equal(t, test.cause, failure.Cause(), "%v", failure)
			assert.ErrorContains(t, failure, test.words)
		})
	}
}

// What a server says later is an answer to a command.
func TestOnlyTheFirstAnswerIsARefusal(t *testing.T) {
	here, there := pair(t)
	connection := &plainConn{Conn: here, guard: new(guards).add("server", newShare(newBudget(), "")), setting: "tls"}
	words := make([]byte, 100)
	for _, says := range []string{"+PONG\r\n", "-DENIED by a proxy\r\n"} {
		_, err := io.WriteString(there, says)
		require.NoError(t, err)
		n, err := connection.Read(words)
		require.NoError(t, err)
		assert.Equal(t, says, string(words[:n]))
	}
}

// pair is the two ends of a connection.
func pair(t *testing.T) (here, there *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	dialled, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = dialled.Close() })
	accepted, err := listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = accepted.Close() })
	return dialled.(*net.TCPConn), accepted.(*net.TCPConn)
}
