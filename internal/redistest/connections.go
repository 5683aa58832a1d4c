package redistest

import (
	"net"
	"sync"
)

// Connections are those of a server of the test's own, which end with it.
type Connections struct {
	mu    sync.Mutex
	open  map[net.Conn]bool
	ended bool
}

// Keep keeps connections, to be closed at the end; false where that has come.
func (c *Connections) Keep(connections ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	if c.open == nil {
		c.open = map[net.Conn]bool{}
	}
	for _, connection := range connections {
		c.open[connection] = true
	}
	return true
}

// Forget is for a connection that has ended by itself.
func (c *Connections) Forget(connection net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, connection)
}

// End closes all, and lets no further one be kept.
func (c *Connections) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for connection := range c.open {
		_ = connection.Close() // it may have ended already
	}
}
