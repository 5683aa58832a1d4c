// Command kubectl-pubsub is the kubectl plugin: kubectl runs it as "kubectl pubsub".
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/program"
)

func main() {
	silenceLibraries()
	program.Main(run)
}

// run is the command line, and returns the exit code.
func run(ctx context.Context) int {
	if err := newRootCommand().ExecuteContext(ctx); err != nil { //nolint:contextcheck // cobra hands it on
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(os.Stderr, "error:", err)
		return program.Failed
	}
	return 0
}

// silenceLibraries drops what libraries log: whatever a user can act on is an error, and
// is told as such.
func silenceLibraries() {
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	program.LogGRPC(slog.New(slog.DiscardHandler))
}
