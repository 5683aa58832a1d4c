// Package dragonflytest models how DragonFly's answers differ from those of Redis: a
// server that hands each command to a real redis-server and alters what comes back. The
// differences are those that a real DragonFly 1.40.1 showed; this is no DragonFly, and what
// a test proves with it holds as far as the model does.
package dragonflytest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

// Server is the model. It ends with the test.
type Server struct {
	Addr  string            // host:port
	Redis *redistest.Server // behind it: what is done there directly is not altered

	t       testing.TB
	traits  []Trait
	loading atomic.Bool
	demoted atomic.Pointer[string] // the new master

	mu          sync.Mutex
	connections redistest.Connections
	stale       map[groupName]value // the lag as StaleLag keeps it
	arbitrary   map[groupName]bool  // made at another id than 0, for NilLag
}

type groupName struct{ key, group string }

// Start runs a model with those differences, in front of a redis-server of its own.
func Start(t testing.TB, traits ...Trait) *Server {
	t.Helper()
	return Front(t, redistest.Start(t), traits...)
}

// Front puts a model in front of a redis-server.
func Front(t testing.TB, server *redistest.Server, traits ...Trait) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		Addr: listener.Addr().String(), Redis: server, t: t, traits: traits,
		stale: map[groupName]value{}, arbitrary: map[groupName]bool{},
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { s.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		s.connections.End()
		running.Wait()
	})
	return s
}

// Client returns a client of the model that is closed when the test ends.
func (s *Server) Client() *redis.Client {
	client := redis.NewClient(&redis.Options{
		Addr: s.Addr, MaxRetries: -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	s.t.Cleanup(func() { _ = client.Close() })
	return client
}

// SetLoading has every command but PING, AUTH and HELLO refused with LOADING, as DragonFly
// does while another takes over, and while it loads its data.
func (s *Server) SetLoading(loading bool) { s.loading.Store(loading) }

// Demote has ROLE say that it is a replica of a master at that address, while everything else is
// answered as before, as after a failover in which a Service's selector moved on.
func (s *Server) Demote(master string) { s.demoted.Store(&master) }

// Promote ends Demote.
func (s *Server) Promote() { s.demoted.Store(nil) }

// session is a client's connection, and one to Redis for it alone.
type session struct {
	server  *Server
	backend net.Conn
	replies *bufio.Reader
}

func (s *Server) serve(client net.Conn) {
	defer client.Close()
	backend, err := net.Dial("tcp", s.Redis.Addr)
	if err != nil {
		return
	}
	defer backend.Close()
	if !s.connections.Keep(client, backend) {
		return
	}
	c := &session{server: s, backend: backend, replies: bufio.NewReader(backend)}
	requests, writer := bufio.NewReader(client), bufio.NewWriter(client)
	for {
		command, err := read(requests)
		if err != nil {
			return
		}
		reply, err := c.answer(command)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				s.t.Logf("the model of DragonFly: %v", err)
			}
			return
		}
		write(writer, reply)
		if requests.Buffered() == 0 {
			if writer.Flush() != nil {
				return
			}
		}
	}
}

// answer is what DragonFly says to a command.
func (c *session) answer(command value) (value, error) {
	args := make([]string, len(command.items))
	for i, item := range command.items {
		args[i] = item.text
	}
	if len(args) == 0 {
		return failure("ERR unknown command ''"), nil
	}
	name := strings.ToUpper(args[0])
	if c.server.loading.Load() && name != "PING" && name != "AUTH" && name != "HELLO" {
		return failure("LOADING Dragonfly is loading the dataset in memory"), nil
	}
	if master := c.server.demoted.Load(); master != nil && name == "ROLE" {
		host, port, _ := net.SplitHostPort(*master)
		return replicaOf(host, port, "online"), nil
	}
	for _, trait := range c.server.traits {
		if trait.refuse == nil {
			continue
		}
		if text := trait.refuse(name, args); text != "" {
			return failure(text), nil
		}
	}
	for _, trait := range c.server.traits {
		if trait.before != nil {
			if err := trait.before(c, name, &args); err != nil {
				return value{}, err
			}
		}
	}
	reply, err := c.do(args...)
	if err != nil {
		return value{}, err
	}
	for _, trait := range c.server.traits {
		if trait.alter != nil {
			if err := trait.alter(c, name, args, &reply); err != nil {
				return value{}, err
			}
		}
	}
	return reply, nil
}

// do asks Redis.
func (c *session) do(args ...string) (value, error) {
	writer := bufio.NewWriter(c.backend)
	write(writer, request(args))
	if err := writer.Flush(); err != nil {
		return value{}, err
	}
	return read(c.replies)
}
