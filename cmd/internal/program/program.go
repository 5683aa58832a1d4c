// Package program has what the programs under cmd share: signals, exit codes, the version text
// and the log.
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

// Exit codes. 0 is success, including --help and --version.
const (
	Failed = 1 // the program can't go on
	Usage  = 2 // a flag or a setting is wrong
)

// Main runs a program and exits with the code that run returns. The first SIGINT or SIGTERM ends
// run's context. A second one ends the process at once, even if run is still cleaning up.
func Main(run func(ctx context.Context) int) {
	catchStandardLog(errorsOnly())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx))
}

// Version is what --version prints and the log shows: the version that the build set (empty if
// it set none), with the commit if the build recorded it. Without it, it is the version of the
// module, as with go install …@v1.2.3, or dev.
func Version(set string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return version(set, info)
}

// commitDigits is how many digits of a commit are shown, as in Go's pseudo-versions.
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

// NewLogger returns a structured logger with a format that IsLogFormat accepts.
func NewLogger(out io.Writer, level slog.Leveler, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == LogText {
		return slog.New(slog.NewTextHandler(out, options))
	}
	return slog.New(slog.NewJSONHandler(out, options))
}
