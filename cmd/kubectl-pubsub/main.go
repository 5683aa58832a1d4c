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
		for _, each := range parts(err) {
			fmt.Fprintln(os.Stderr, "error:", each)
		}
		return program.Failed
	}
	return 0
}

// parts are the errors that errors.Join joined, each to be told by itself, or the error alone; none of nil.
func parts(err error) []error {
	if err == nil {
		return nil
	}
	joined, several := err.(interface{ Unwrap() []error })
	if !several || errors.Join(joined.Unwrap()...).Error() != err.Error() {
		return []error{err}
	}
	var all []error
	for _, each := range joined.Unwrap() {
		all = append(all, parts(each)...)
	}
	return all
}

// silenceLibraries drops what libraries log: whatever a user can act on is an error, and
// is told as such.
func silenceLibraries() {
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	program.LogGRPC(slog.New(slog.DiscardHandler))
}
