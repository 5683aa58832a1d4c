package redistest

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const monitorDeadline = time.Minute // for the server to tell of a command

// Command is a command that a server has got.
type Command struct {
	Addr     string // the client's
	User     string // who the client was when its first command but AUTH and HELLO came
	Database int
	Args     []string // the name first, as the client wrote it
}

// Monitor records what a server gets, as its MONITOR tells: all but AUTH, CLIENT LIST and
// other commands of administrators, and what the server refused (which ACL LOG and
// INFO commandstats tell).
type Monitor struct {
	t       testing.TB
	control *redis.Client
	own     map[string]bool // addresses of the monitor's own connections

	mu       sync.Mutex
	users    map[string]string // by address
	commands []Command
	err      error
}

// Monitor begins to record, until the test ends.
func (s *Server) Monitor(t testing.TB) *Monitor {
	t.Helper()
	options := s.options()
	options.PoolSize = 1
	m := &Monitor{t: t, control: redis.NewClient(options), own: map[string]bool{}, users: map[string]string{}}
	connection, err := m.connect(options)
	if err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(connection)
	t.Cleanup(func() { _ = connection.Close(); _ = m.control.Close() })
	var request []string
	if options.Username != "" {
		request = append(request, fmt.Sprintf("AUTH %s %s", options.Username, options.Password))
	} else if options.Password != "" {
		request = append(request, "AUTH "+options.Password)
	}
	request = append(request, "MONITOR")
	if _, err := connection.Write([]byte(strings.Join(request, "\r\n") + "\r\n")); err != nil {
		t.Fatal(err)
	}
	for range request {
		if line, err := reader.ReadString('\n'); err != nil || line != "+OK\r\n" {
			t.Fatalf("MONITOR of %s: %q, %v", s.Addr, line, err)
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.record(reader)
	}()
	t.Cleanup(func() { _ = connection.Close(); <-ended })
	return m
}

func (m *Monitor) connect(options *redis.Options) (net.Conn, error) {
	if options.TLSConfig != nil {
		return tls.Dial("tcp", options.Addr, options.TLSConfig)
	}
	return net.Dial("tcp", options.Addr)
}

// Commands are those that came so far, of other connections than the monitor's own. What a
// client got a reply to before the call is among them.
func (m *Monitor) Commands() []Command {
	m.t.Helper()
	mark := rand.Text()
	m.control.Echo(m.t.Context(), mark)
	var commands []Command
	err := await(monitorDeadline, func(context.Context) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.err != nil {
			return m.err
		}
		commands = nil
		for _, command := range m.commands {
			if len(command.Args) == 2 && command.Args[1] == mark {
				m.own[command.Addr] = true
			}
		}
		seen := false
		for _, command := range m.commands {
			if m.own[command.Addr] {
				seen = seen || command.Args[len(command.Args)-1] == mark
				continue
			}
			if user, ok := m.users[command.Addr]; ok {
				command.User = user
			}
			commands = append(commands, command)
		}
		if !seen {
			return fmt.Errorf("MONITOR did not tell of an ECHO")
		}
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return commands
}

// Of are the commands of one user so far.
func (m *Monitor) Of(user string) []Command {
	m.t.Helper()
	var commands []Command
	for _, command := range m.Commands() {
		if command.User == user {
			commands = append(commands, command)
		}
	}
	return commands
}

// Reset forgets the commands that came so far.
func (m *Monitor) Reset() {
	m.t.Helper()
	_ = m.Commands() // those on their way are of the past, too
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commands = nil
}

func (m *Monitor) record(reader *bufio.Reader) {
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			m.fail(err)
			return
		}
		command, err := parseMonitored(strings.TrimSpace(line))
		if err != nil {
			m.fail(err)
			return
		}
		m.identify(command)
		m.mu.Lock()
		m.commands = append(m.commands, command)
		m.mu.Unlock()
	}
}

func (m *Monitor) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = fmt.Errorf("MONITOR ended: %w", err)
}

// identify asks who a client is that has not been seen before. Its first commands tell
// the server who it is.
func (m *Monitor) identify(command Command) {
	switch strings.ToLower(command.Args[0]) {
	case "auth", "hello":
		return
	}
	m.mu.Lock()
	_, known := m.users[command.Addr]
	m.mu.Unlock()
	if known {
		return
	}
	clients, err := m.control.ClientList(context.Background()).Result()
	if err != nil {
		return // the test is over, or the server
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for line := range strings.Lines(clients) {
		fields := map[string]string{}
		for field := range strings.FieldsSeq(line) {
			name, value, _ := strings.Cut(field, "=")
			fields[name] = value
		}
		if _, known := m.users[fields["addr"]]; !known && fields["addr"] == command.Addr {
			m.users[fields["addr"]] = fields["user"]
		}
	}
}

// parseMonitored reads a line of MONITOR: 1339518083.107412 [0 127.0.0.1:60866] "get" "a".
func parseMonitored(line string) (Command, error) {
	_, rest, _ := strings.Cut(line, " [")
	client, rest, ok := strings.Cut(rest, "] ")
	database, addr, okAddr := strings.Cut(client, " ")
	number, err := strconv.Atoi(database)
	if !ok || !okAddr || err != nil {
		return Command{}, fmt.Errorf("%q is not a line of MONITOR", line)
	}
	command := Command{Addr: addr, Database: number}
	for rest != "" {
		quoted, err := strconv.QuotedPrefix(rest) // Redis escapes as Go does
		if err != nil {
			return Command{}, fmt.Errorf("%q is not a line of MONITOR", line)
		}
		arg, err := strconv.Unquote(quoted)
		if err != nil {
			return Command{}, err
		}
		command.Args = append(command.Args, arg)
		rest = strings.TrimPrefix(rest[len(quoted):], " ")
	}
	if len(command.Args) == 0 {
		return Command{}, fmt.Errorf("%q is not a line of MONITOR", line)
	}
	return command, nil
}
