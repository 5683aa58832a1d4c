package redistest

import (
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// StartHangingUp returns the address of a server that ends each connection at once, and how
// many were made. It ends with the test.
func StartHangingUp(t testing.TB) (address string, connections *atomic.Int64) {
	t.Helper()
	connections = &atomic.Int64{}
	return startListener(t, func(connection net.Conn) {
		connections.Add(1)
		_ = connection.Close()
	}), connections
}

// StartSilent returns the address of a server that takes connections and never answers. It
// ends with the test.
func StartSilent(t testing.TB) (address string) {
	t.Helper()
	return startListener(t, func(connection net.Conn) {
		t.Cleanup(func() { _ = connection.Close() })
	})
}

func startListener(t testing.TB, accepted func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			accepted(connection)
		}
	}()
	return listener.Addr().String()
}

// StartFull returns the address of a server that takes no connection: to connect there times
// out, as it does where a packet filter drops packets. It ends with the test.
func StartFull(t testing.TB) (address string) {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(socket, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	address = fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for failed := 0; failed < 3; { // in a row: on a busy machine a connection may take longer than that, too
		connection, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			failed++
			continue
		}
		failed = 0
		t.Cleanup(func() { _ = connection.Close() })
	}
	return address
}
