package program

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// records is a log that is read while it is written.
type records struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (r *records) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Write(line)
}

func (r *records) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.String()
}

// caught has the standard log caught at a level, until the test ends.
func caught(t *testing.T, level slog.Level) *records {
	t.Helper()
	out, flags := log.Writer(), log.Flags()
	t.Cleanup(func() {
		log.SetOutput(out)
		log.SetFlags(flags)
	})
	told := &records{}
	CatchStandardLog(NewLogger(told, level, LogJSON))
	return told
}

// said is the only record of the log.
func said(t *testing.T, told *records) (level, text string) {
	t.Helper()
	var record struct{ Level, Said string }
	require.NoError(t, json.Unmarshal([]byte(told.String()), &record), told.String())
	return record.Level, record.Said
}

func TestTheStandardLogIsStructured(t *testing.T) {
	for message, want := range map[string]string{
		"http: TLS handshake error from 127.0.0.1:1: EOF\n": "http: TLS handshake error from 127.0.0.1:1: EOF",
		`starting with "Bearer hunter2\" hunter2"; err=EOF`: `starting with "…"; err=EOF`,
		`header "authorization" = "hunter2"`:                `header "…" = "…"`,
		`cut off "hunter2`:                                  `cut off "…"`,
		`cut off "hunter2\`:                                 `cut off "…"`,
		strings.Repeat("ü", 1000):                           strings.Repeat("ü", 150) + "…",
	} {
		told := caught(t, slog.LevelDebug)
		log.Print(message)
		level, text := said(t, told)
		assert.Equal(t, "DEBUG", level)
		assert.Equal(t, want, text)
	}
	told := caught(t, slog.LevelInfo)
	log.Print("quiet")
	assert.Empty(t, told.String())
}

// A server may answer what it was not asked, and net/http tells what it said.
func TestAnAnswerThatNobodyAskedFor(t *testing.T) {
	told := caught(t, slog.LevelDebug)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	var serving sync.WaitGroup
	defer serving.Wait()
	unasked := make(chan struct{})
	serving.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
		<-unasked
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nSet-Cookie: hunter2\r\nContent-Length: 3\r\n\r\n\"hi\"")
		_, _ = conn.Read(make([]byte, 1)) // until the client has seen it
	})
	client := http.Client{Transport: &http.Transport{}}
	response, err := client.Get("http://" + listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	close(unasked)
	require.Eventually(t, func() bool { return strings.Contains(told.String(), "\n") }, time.Minute, time.Millisecond)
	level, text := said(t, told)
	assert.Equal(t, "DEBUG", level)
	assert.Equal(t, `Unsolicited response received on idle HTTP channel starting with "…"; err=<nil>`, text)
}

// exhausted is a listener of a process with too many open files, until it is closed.
type exhausted struct {
	net.Listener
	closed chan struct{}
}

func (e exhausted) Accept() (net.Conn, error) {
	select {
	case <-e.closed:
		return nil, net.ErrClosed
	default:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
}

// A server that can take no connections answers no probe either: that is told whatever the level is.
func TestAServerThatTakesNoConnectionsIsAnError(t *testing.T) {
	told := caught(t, slog.LevelError)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	closed := make(chan struct{})
	var serving sync.WaitGroup
	serving.Go(func() {
		server := http.Server{ReadHeaderTimeout: time.Minute}
		_ = server.Serve(exhausted{listener, closed})
	})
	require.Eventually(t, func() bool { return strings.Contains(told.String(), "\n") }, time.Minute, time.Millisecond)
	close(closed)
	serving.Wait()
	first, _, _ := strings.Cut(told.String(), "\n")
	assert.Contains(t, first, `"level":"ERROR"`)
	assert.Contains(t, first, "too many open files")
}

func TestAPanicOfAHandlerIsAnError(t *testing.T) {
	for name, withTLS := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			told := caught(t, slog.LevelError)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oh") }))
			server.EnableHTTP2 = withTLS
			if withTLS {
				server.StartTLS()
			} else {
				server.Start()
			}
			defer server.Close()
			response, err := server.Client().Get(server.URL)
			if err == nil {
				_ = response.Body.Close()
			}
			require.Error(t, err)
			require.Eventually(t, func() bool { return strings.Contains(told.String(), "\n") }, time.Minute, time.Millisecond)
			level, text := said(t, told)
			assert.Equal(t, "ERROR", level)
			assert.Contains(t, text, "oh")
			assert.Contains(t, text, "libraries_test.go", "where it was")
			assert.LessOrEqual(t, len(text), maxPanic+len("…"))
		})
	}
}

// Until a program has its log, and where it has none, nothing is written to the terminal.
func TestAProgramWithoutALogIsQuiet(t *testing.T) {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), asProgram+"=careless")
	out, err := command.CombinedOutput()
	require.NoError(t, err)
	assert.Empty(t, string(out))
}

// A program that has a log catches there what libraries write.
func TestEveryLogHasTheStandardLog(t *testing.T) {
	for _, source := range programs(t) {
		made, caught := strings.Count(source.text, "program.NewLogger("), strings.Count(source.text, "program.CatchStandardLog(")
		assert.Equal(t, made, caught, source.name)
	}
}
