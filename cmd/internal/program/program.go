// Package program is what the programs under cmd have in common: signals, exit codes, the
// version's text and the log.
package program

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
)

// Exit codes; 0 is success, help and the version included.
const (
	Failed = 1 // the program can't go on
	Usage  = 2 // a flag or a setting is wrong
)

// Main is the whole of a program: it ends with the code that run returns. The first SIGINT or
// SIGTERM ends run's context; a second one ends the process at once, however long run takes
// to clean up.
func Main(run func(ctx context.Context) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx))
}

// Version is what --version prints and the log tells: the version that the build set (empty:
// none), with the commit where the build recorded it; else that of the module, as of go
// install …@v1.2.3; else dev.
func Version(set string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return version(set, info)
}

// commitDigits is how much of a commit is told, as in the versions that Go makes of commits.
const commitDigits = 12

func version(set string, info *debug.BuildInfo) string {
	text := set
	if text == "" {
		text = info.Main.Version
	}
	if text == "" || text == "(devel)" {
		text = "dev"
	}
	for _, setting := range info.Settings {
		if setting.Key != "vcs.revision" || len(setting.Value) < commitDigits {
			continue
		}
		if commit := setting.Value[:commitDigits]; !strings.Contains(text, commit) {
			text += "+" + commit
		}
	}
	return text
}

// The formats of a log.
const (
	LogJSON = "json"
	LogText = "text"
)

// IsLogFormat reports whether NewLogger knows the format.
func IsLogFormat(format string) bool { return format == LogJSON || format == LogText }

// NewLogger makes a structured log in a format that IsLogFormat knows.
func NewLogger(out io.Writer, level slog.Leveler, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == LogText {
		return slog.New(slog.NewTextHandler(out, options))
	}
	return slog.New(slog.NewJSONHandler(out, options))
}
