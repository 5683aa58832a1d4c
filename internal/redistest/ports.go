package redistest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports below those that Linux gives to outgoing connections and to listeners on port 0
// (32768 and up): a server that is down keeps its port until it is started again, and a
// cluster's bus is not hit by a stranger.
const (
	lowestPort = 11000
	ports      = 21000
)

// taken are the ports that servers of this process have had.
var taken struct {
	sync.Mutex
	ports map[int]bool
}

// choosePorts picks the server's ports among those that nobody has now.
func (s *Server) choosePorts() error {
	port, err := freePort()
	if err != nil {
		return err
	}
	s.Addr = net.JoinHostPort("127.0.0.1", port)
	if s.cluster {
		s.busPort, err = freePort()
	}
	if s.certificates != nil && err == nil {
		port, err = freePort()
		s.other = net.JoinHostPort("127.0.0.1", port)
	}
	return err
}

func freePort() (string, error) {
	taken.Lock()
	defer taken.Unlock()
	if taken.ports == nil {
		taken.ports = map[int]bool{}
	}
	var err error
	for range 100 {
		port := lowestPort + rand.IntN(ports)
		if taken.ports[port] {
			continue
		}
		var listener net.Listener
		if listener, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err != nil {
			continue
		}
		taken.ports[port] = true
		return strconv.Itoa(port), listener.Close()
	}
	return "", err
}
