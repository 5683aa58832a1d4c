package program

import (
	"context"
	"io"
	"log"
	"log/slog"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/grpclog"
)

// Libraries write by package log what they have no other place for: net/http, for one, that a server answered without being
// asked, with up to 4 KiB of what it said (Go 1.26, net/http.persistConn.readLoopPeekFailLocked). That is not structured, comes
// whatever the level is, and may hold what must not be told. grpc-go writes lines of its own to standard error.

// CatchLibraries has what libraries write by themselves in the structured log. What they quote is left out, and the rest is cut to
// 300 bytes, where the program may end or a handler panicked to 4 KiB.
//
// Package log's messages are at the debug level; at the error level, if a server's handler panicked, a server can take no
// connections, or the message is a program's last (log.Fatal and log.Panic). Of grpc-go's there are the errors alone: it notes
// each connection that opens and closes.
func CatchLibraries(logger *slog.Logger) {
	catchStandardLog(logger)
	LogGRPC(logger)
}

// LogGRPC has the errors that grpc-go writes by itself in that log.
func LogGRPC(logger *slog.Logger) { grpcLog.Store(logger) }

func catchStandardLog(logger *slog.Logger) {
	log.SetFlags(0)
	log.SetOutput(standardLog{logger})
}

// errorsOnly is the log of programs that have none, and of all until they have theirs.
func errorsOnly() *slog.Logger { return NewLogger(os.Stderr, slog.LevelError, LogText) }

// grpcLog is where grpc-go's errors go; nil: to errorsOnly.
var grpcLog atomic.Pointer[slog.Logger]

// grpclog is not guarded, so its output is set before any goroutine runs. So every program has it, and whatever opens gRPC later:
// traces, which any program may send.
func init() {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, grpcErrors{}))
}

type grpcErrors struct{}

// grpcHead is what grpc-go writes before a message: the date, the time and the severity.
var grpcHead = regexp.MustCompile(`^\S+ \S+ (ERROR|FATAL): `)

// Write takes one message, as grpc-go writes it. FATAL is the program's last.
func (grpcErrors) Write(message []byte) (int, error) {
	logger := grpcLog.Load()
	if logger == nil {
		logger = errorsOnly()
	}
	text, most := message, maxStandard
	if head := grpcHead.FindSubmatch(message); head != nil {
		text = message[len(head[0]):]
		if string(head[1]) == "FATAL" {
			most = maxPanic
		}
	}
	tell(logger, slog.LevelError, text, most)
	return len(message), nil
}

type standardLog struct{ logger *slog.Logger }

// maxStandard and maxPanic bound what is told of one message, in bytes; a panic's has a stack, and a program's last words have
// nobody to ask for the rest.
const maxStandard, maxPanic = 300, 4 << 10

// panics is how net/http begins a message about a panic, in HTTP/1.1 and in HTTP/2, and refusals one about connections that it
// can't take, for one because too many files are open: what asks whether the program lives is not answered then.
var (
	panics   = regexp.MustCompile(`^http2?: panic serving `)
	refusals = regexp.MustCompile(`^http: Accept error: `)
)

// Write takes one message, as package log writes it.
func (s standardLog) Write(message []byte) (int, error) {
	level, most := slog.LevelDebug, maxStandard
	switch {
	case panics.Match(message), isLast():
		level, most = slog.LevelError, maxPanic
	case refusals.Match(message):
		level = slog.LevelError
	}
	tell(s.logger, level, message, most)
	return len(message), nil
}

// lastWords are the functions of package log that end the program, or the goroutine, once they have written.
var lastWords = regexp.MustCompile(`^log\.(?:\(\*Logger\)\.)?(?:Fatal|Panic)(?:f|ln)?$`)

// isLast tells whether one of them writes. Nothing runs after log.Fatal, and its text is as any other, but it calls the writer
// itself, so it is on the stack.
func isLast() bool {
	var callers [32]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
	for {
		frame, more := frames.Next()
		if lastWords.MatchString(frame.Function) {
			return true
		}
		if !more {
			return false
		}
	}
}

// quoted is what %q writes, or its beginning: what others sent.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*(?:"|\\?$)`)

// tell has a library's message in the log, without what it quotes.
func tell(logger *slog.Logger, level slog.Level, message []byte, most int) {
	if !logger.Enabled(context.Background(), level) {
		return
	}
	text := quoted.ReplaceAllLiteralString(strings.TrimSpace(string(message)), `"…"`)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	logger.Log(context.Background(), level, "a library says", "said", text)
}
