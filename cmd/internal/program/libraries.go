package program

import (
	"context"
	"io"
	"log"
	"log/slog"
	"os"
	"regexp"
	"strings"

	"google.golang.org/grpc/grpclog"
)

// Libraries write by package log what they have no other place for: net/http, for one, that a server answered without being
// asked, with up to 4 KiB of what it said (Go 1.26, net/http.persistConn.readLoopPeekFailLocked). That is not structured, comes
// whatever the level is, and may hold what must not be told.

// CatchStandardLog has what is written by package log in the structured log, at the debug level, and at the error level if a
// server's handler panicked, or a server can take no connections. What it quotes is left out, and the rest is cut to 300 bytes, of
// a panic to 4 KiB.
func CatchStandardLog(logger *slog.Logger) {
	log.SetFlags(0)
	log.SetOutput(standardLog{logger})
}

// QuietGRPC drops grpc-go's notes about connections that open and close, and keeps errors.
func QuietGRPC(logger *slog.Logger) grpclog.LoggerV2 {
	return grpclog.NewLoggerV2(io.Discard, io.Discard, slog.NewLogLogger(logger.Handler(), slog.LevelError).Writer())
}

// catchStandardLog is for programs that have no log, and for all until they have theirs.
func catchStandardLog() { CatchStandardLog(NewLogger(os.Stderr, slog.LevelError, LogText)) }

type standardLog struct{ logger *slog.Logger }

// maxStandard and maxPanic bound what is told of one message, in bytes; a panic's has a stack.
const maxStandard, maxPanic = 300, 4 << 10

// panics is how net/http begins a message about a panic, in HTTP/1.1 and in HTTP/2, and refusals one about connections that it
// can't take, for one because too many files are open: what asks whether the program lives is not answered then.
var (
	panics   = regexp.MustCompile(`^http2?: panic serving `)
	refusals = regexp.MustCompile(`^http: Accept error: `)
)

// quoted is what %q writes, or its beginning: what others sent.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*(?:"|\\?$)`)

// Write takes one message, as package log writes it.
func (s standardLog) Write(message []byte) (int, error) {
	level, most := slog.LevelDebug, maxStandard
	switch {
	case panics.Match(message):
		level, most = slog.LevelError, maxPanic
	case refusals.Match(message):
		level = slog.LevelError
	}
	if !s.logger.Enabled(context.Background(), level) {
		return len(message), nil
	}
	text := quoted.ReplaceAllLiteralString(strings.TrimSpace(string(message)), `"…"`)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	s.logger.Log(context.Background(), level, "a library says", "said", text)
	return len(message), nil
}
