// Package redistest runs real redis-servers for a test, on free loopback ports: one alone
// (Start), a cluster (StartCluster), or a master with replicas and sentinels
// (StartSentinel). Each can speak TLS only (Authority.Args) and want an ACL user
// (ACLArgs). All end with the test; tests may run in parallel.
package redistest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

const startAttempts = 5 // a free port can be taken by another before the server has it

// Server is a redis-server that ends with the test.
type Server struct {
	// Addr is host:port; it stays the same over Restart.
	Addr string

	t       testing.TB
	dir     string
	args    arguments
	cluster bool   // listens on busPort, too
	busPort string // of the cluster's bus
	config  string // a sentinel's file, which it rewrites; empty: not a sentinel
	// other is a sentinel's second address, where it speaks the other way of TLS and plain
	// text; certificates are for that. Both are empty where it has one address only.
	other        string
	certificates arguments
	// monitored are the name and the address of a sentinel's first master.
	monitored [2]string

	mu      sync.Mutex
	process *process
}

// Start runs a redis-server that keeps nothing on disk, waits until it answers PING, and
// stops it when the test ends. args are further arguments of redis-server, for example
// "--requirepass", "secret", or "--appendonly", "yes" for a server whose data survive
// Kill and Restart (its folder lasts as long as the test), or those of Authority.Args and
// ACLArgs. It fails the test when there is no redis-server or when it doesn't start.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return start(t, &Server{args: args})
}

// start runs a server whose nature is set.
func start(t testing.TB, s *Server) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("redis-server is not in PATH: apt-get install redis-server, or make test")
	}
	s.t = t
	if s.dir == "" {
		s.dir = t.TempDir()
	}
	t.Cleanup(s.Kill)
	var err error
	for range startAttempts {
		if err = s.choosePorts(); err != nil {
			continue
		}
		if err = s.run(); err == nil {
			return s
		}
	}
	t.Fatal(err)
	return nil
}

// Client returns a client that is closed when the test ends. It has all rights: where the
// server has ACL users, it is AdminUser's.
func (s *Server) Client() *redis.Client {
	s.t.Helper()
	client := redis.NewClient(s.options())
	s.t.Cleanup(func() { _ = client.Close() })
	return client
}

// Calls is how often a client's server has run a command, by its own count; 0 where it never has.
func Calls(t testing.TB, client *redis.Client, command string) int {
	t.Helper()
	stats, err := client.InfoMap(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if _, err := fmt.Sscanf(stats["Commandstats"]["cmdstat_"+command], "calls=%d", &n); err != nil {
		return 0
	}
	return n
}

// Stop ends the server as an administrator would (SIGTERM), and waits for it.
func (s *Server) Stop() {
	s.t.Helper()
	s.end(syscall.SIGTERM)
}

// Kill ends the server at once (SIGKILL), and waits for it.
func (s *Server) Kill() {
	s.end(syscall.SIGKILL)
}

// Pause halts the server (SIGSTOP): its connections stay open and nothing is answered,
// until Resume.
func (s *Server) Pause() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
}

// Resume lets a server go on that was paused (SIGCONT).
func (s *Server) Resume() {
	s.t.Helper()
	s.signal(syscall.SIGCONT)
}

// Restart starts the server anew at the same address, after Stop where it still runs.
// Unless Start was told to keep data, it is empty.
func (s *Server) Restart() {
	s.t.Helper()
	s.end(syscall.SIGTERM)
	if err := s.run(); err != nil {
		s.t.Fatal(err)
	}
}

// AppendOnlyFile is the file that the server writes its commands to, one that was started with "--appendonly", "yes", and
// its size in bytes. While it is down, the file may be cut: a server that starts passes over a command, or a transaction, that
// is not whole at the end (aof-load-truncated). Before the first command it has neither.
func (s *Server) AppendOnlyFile() (path string, size int64) {
	files, err := filepath.Glob(filepath.Join(s.dir, "appendonlydir", "appendonly.aof.*.incr.aof"))
	if err != nil {
		s.t.Fatal(err)
	}
	newest := 0
	for _, file := range files { // numbered in the order in which they were begun (Redis 7)
		number := 0
		if _, err := fmt.Sscanf(filepath.Base(file), "appendonly.aof.%d.incr.aof", &number); err == nil && number > newest {
			newest, path = number, file
		}
	}
	if path == "" {
		return "", 0
	}
	info, err := os.Stat(path)
	if err != nil {
		s.t.Fatal(err)
	}
	return path, info.Size()
}

func addrs(servers []*Server) []string {
	var addrs []string
	for _, server := range servers {
		addrs = append(addrs, server.Addr)
	}
	return addrs
}
