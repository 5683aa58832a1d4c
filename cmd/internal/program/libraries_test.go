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

// caught has what libraries write caught at a level, until the test ends.
func caught(t *testing.T, level slog.Level) *records {
	t.Helper()
	out, flags := log.Writer(), log.Flags()
	t.Cleanup(func() {
		log.SetOutput(out)
		log.SetFlags(flags)
		grpcLog.Store(nil)
	})
	told := &records{}
	CatchLibraries(NewLogger(told, level, LogJSON))
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

// wordsOf are the functions of package log that end the program or the goroutine, by the exit code of a program that ends so.
var wordsOf = map[string]struct {
	say  func(text string)
	code int
}{
	"Fatal":           {func(text string) { log.Fatal(text) }, 1},
	"Fatalf":          {func(text string) { log.Fatalf("%s", text) }, 1},
	"Fatalln":         {func(text string) { log.Fatalln(text) }, 1},
	"Panic":           {func(text string) { log.Panic(text) }, 2},
	"Panicf":          {func(text string) { log.Panicf("%s", text) }, 2},
	"Panicln":         {func(text string) { log.Panicln(text) }, 2},
	"Logger.Fatal":    {func(text string) { log.Default().Fatal(text) }, 1},
	"Logger.Fatalf":   {func(text string) { log.Default().Fatalf("%s", text) }, 1},
	"Logger.Fatalln":  {func(text string) { log.Default().Fatalln(text) }, 1},
	"Logger.Panic":    {func(text string) { log.Default().Panic(text) }, 2},
	"Logger.Panicf":   {func(text string) { log.Default().Panicf("%s", text) }, 2},
	"Logger.Panicln":  {func(text string) { log.Default().Panicln(text) }, 2},
	"a library's own": {func(text string) { log.New(log.Writer(), "library: ", log.LstdFlags).Fatal(text) }, 1},
}

// What ends a program is told, whatever the level is. It is not told by its words: the same text is quiet otherwise.
func TestLastWordsAreTold(t *testing.T) {
	const text = `no port is left for "hunter2"`
	for name, last := range wordsOf {
		for _, stage := range []string{ownLog, noLog} {
			t.Run(name+", "+stage, func(t *testing.T) {
				t.Parallel()
				code, said := runAs(t, "last words", stage, name, text)
				assert.Equal(t, last.code, code)
				first, _, _ := strings.Cut(said, "\n") // what follows a panic is the runtime's
				assert.Contains(t, first, "ERROR")
				assert.Contains(t, first, "no port is left for ")
				assert.NotContains(t, first, "hunter2")
				if stage == ownLog {
					assert.True(t, json.Valid([]byte(first)), first)
				}
			})
		}
	}
	told := caught(t, slog.LevelInfo)
	log.Print(text)
	assert.Empty(t, told.String())
}

// What grpc-go writes by itself is structured, and of it the errors alone.
func TestTheLogOfGRPCIsStructured(t *testing.T) {
	for stage, isJSON := range map[string]bool{ownLog: true, noLog: false} {
		t.Run(stage, func(t *testing.T) {
			code, said := runAs(t, "grpc", stage, "", `it has "hunter2"`+strings.Repeat(" and more", 100)+" and the end")
			assert.Equal(t, 1, code, "its last word ends the program")
			lines := strings.Split(strings.TrimSpace(said), "\n")
			require.Len(t, lines, 2, said)
			for i, want := range []string{"an error: it has", "the last word: it has"} {
				assert.Equal(t, isJSON, json.Valid([]byte(lines[i])), lines[i])
				assert.Contains(t, lines[i], "ERROR")
				assert.Contains(t, lines[i], want)
				assert.NotContains(t, lines[i], "hunter2")
				assert.NotContains(t, lines[i], "/", "the time is the log's")
			}
			assert.NotContains(t, lines[0], "the end")
			assert.Contains(t, lines[1], "the end")
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

// Every program's log has what libraries write, and none has grpc-go write elsewhere: of each program that begins here
// (TestEveryProgramBeginsHere) this room has it from the first moment.
func TestEveryLogHasWhatLibrariesWrite(t *testing.T) {
	logs := 0
	for _, source := range sources(t) {
		made, caught := strings.Count(source.text, "program.NewLogger("), strings.Count(source.text, "program.CatchLibraries(")
		assert.Equal(t, made, caught, source.name)
		logs += made
		if !strings.Contains(source.name, "/internal/program/") {
			assert.NotContains(t, source.text, `"google.golang.org/grpc/grpclog"`, source.name)
			assert.NotContains(t, source.text, "log.SetOutput(", source.name)
		}
	}
	assert.Greater(t, logs, 3, "the programs' logs were not found")
}
