package program

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/grpclog"
)

// asProgram makes the test binary a program that does not end, or ends as it is told to.
const asProgram = "PROGRAM_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	switch os.Getenv(asProgram) {
	case "stubborn":
		Main(func(ctx context.Context) int {
			fmt.Println("started")
			<-ctx.Done()
			fmt.Println("told to end")
			select {} // a clean-up that hangs
		})
	case "prompt":
		Main(func(ctx context.Context) int {
			fmt.Println("started")
			<-ctx.Done()
			return 7
		})
	case "careless":
		Main(func(context.Context) int {
			log.Print("hunter2")
			grpclog.Warning("hunter2")
			return 0
		})
	case "last words":
		Main(func(context.Context) int {
			beginLog()
			wordsOf[os.Getenv(asProgram+"_BY")].say(os.Getenv(asProgram + "_TEXT"))
			return 0
		})
	case "grpc":
		Main(func(context.Context) int {
			beginLog()
			text := os.Getenv(asProgram + "_TEXT")
			grpclog.Info("a note: " + text)
			grpclog.Warning("a warning: " + text)
			grpclog.Error("an error: " + text)
			grpclog.Fatal("the last word: " + text)
			return 0
		})
	default:
		os.Exit(m.Run())
	}
}

// The stages of a program.
const ownLog, noLog = "with its own log", "before it has a log"

// beginLog makes the log of a test's program, if it is to have one.
func beginLog() {
	if os.Getenv(asProgram+"_STAGE") == ownLog {
		CatchLibraries(NewLogger(os.Stderr, slog.LevelError, LogJSON))
	}
}

// runAs runs the test binary as a program, and returns its exit code and what it wrote.
func runAs(t *testing.T, program, stage, by, text string) (code int, said string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), asProgram+"="+program, asProgram+"_STAGE="+stage, asProgram+"_BY="+by, asProgram+"_TEXT="+text,
		"GRPC_GO_LOG_SEVERITY_LEVEL=info")
	out, err := command.CombinedOutput()
	if ended := (*exec.ExitError)(nil); !errors.As(err, &ended) {
		require.NoError(t, err)
	}
	return command.ProcessState.ExitCode(), string(out)
}

func TestSignals(t *testing.T) {
	// A shell has what it runs in the background ignore SIGINT, and so would the programs, after the first. Of what is
	// caught here they have the default.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, os.Interrupt)
	defer signal.Stop(caught)
	for name, test := range map[string]struct {
		kind   string
		signal syscall.Signal
		code   int // -1: killed by the signal
	}{
		"the first ends the context":             {"prompt", syscall.SIGTERM, 7},
		"an interrupt, too":                      {"prompt", syscall.SIGINT, 7},
		"the second ends what hangs":             {"stubborn", syscall.SIGTERM, -1},
		"a second interrupt ends what hangs too": {"stubborn", syscall.SIGINT, -1},
	} {
		t.Run(name, func(t *testing.T) {
			command := exec.Command(os.Args[0])
			command.Env = append(os.Environ(), asProgram+"="+test.kind)
			out, err := command.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, command.Start())
			t.Cleanup(func() { _ = command.Process.Kill() }) // it may have ended
			lines := make(chan string)
			go func() {
				defer close(lines)
				for scanner := bufio.NewScanner(out); scanner.Scan(); {
					lines <- scanner.Text()
				}
			}()
			require.Equal(t, "started", <-lines)
			require.NoError(t, command.Process.Signal(test.signal))
			deadline := time.After(2 * time.Minute)
			again := time.NewTicker(10 * time.Millisecond)
			defer again.Stop()
			for open := true; open; {
				select {
				case _, open = <-lines:
				case <-again.C: // until the first has been taken note of, it is the same one
					if test.kind == "stubborn" {
						_ = command.Process.Signal(test.signal) // it may have ended
					}
				case <-deadline:
					require.FailNow(t, "it did not end")
				}
			}
			_ = command.Wait() // the state tells
			assert.Equal(t, test.code, command.ProcessState.ExitCode())
		})
	}
}

func TestVersion(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	stamped := []debug.BuildSetting{{Key: "vcs.time", Value: "2026-01-01T00:00:00Z"}, {Key: "vcs.revision", Value: commit}}
	for want, test := range map[string]struct {
		set  string
		info debug.BuildInfo
	}{
		"v1.2.3":              {"v1.2.3", debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}},
		"v1.2.3+0123456789ab": {"v1.2.3", debug.BuildInfo{Main: debug.Module{Version: "v0.0.0"}, Settings: stamped}},
		"v1.2.4":              {"", debug.BuildInfo{Main: debug.Module{Version: "v1.2.4"}}},
		"v0.0.0-20260101000000-0123456789ab+dirty": {"", debug.BuildInfo{Main: debug.Module{Version: "v0.0.0-20260101000000-0123456789ab+dirty"}, Settings: stamped}},
		"dev":              {"", debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}},
		"dev+0123456789ab": {"", debug.BuildInfo{Settings: stamped}},
	} {
		assert.Equal(t, want, version(test.set, &test.info))
	}
	assert.True(t, strings.HasPrefix(Version("v1"), "v1"))
	assert.NotEmpty(t, Version(""))
}

func TestNewLogger(t *testing.T) {
	var out bytes.Buffer
	log := NewLogger(&out, slog.LevelWarn, LogJSON)
	log.Info("quiet")
	log.Warn("loud", "depth", 5)
	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line), out.String())
	assert.Equal(t, "loud", line["msg"])
	out.Reset()
	NewLogger(&out, slog.LevelDebug, LogText).Debug("low", "depth", 5)
	assert.Contains(t, out.String(), "level=DEBUG msg=low depth=5")
	assert.True(t, IsLogFormat("json") && IsLogFormat("text"))
	assert.False(t, IsLogFormat("xml") || IsLogFormat(""))
}

// Every program begins here, so that all of them take signals, exit codes and the version
// alike.
func TestEveryProgramBeginsHere(t *testing.T) {
	for _, source := range programs(t) {
		assert.Contains(t, source.text, "\tprogram.Main(", source.name)
		assert.NotContains(t, source.text, `"os/signal"`, source.name)
		assert.NotContains(t, source.text, "os.Exit(", source.name)
	}
}

type mainFile struct{ name, text string }

// programs are the main files of all.
func programs(t *testing.T) (all []mainFile) {
	t.Helper()
	mains, err := filepath.Glob("../../*/main.go")
	require.NoError(t, err)
	require.Greater(t, len(mains), 4, "the programs were not found")
	for _, file := range mains {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		all = append(all, mainFile{file, string(source)})
	}
	return all
}

// sources are all Go files of the programs but the tests.
func sources(t *testing.T) (all []mainFile) {
	t.Helper()
	require.NoError(t, filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		all = append(all, mainFile{filepath.ToSlash(path), string(source)})
		return err
	}))
	return all
}
