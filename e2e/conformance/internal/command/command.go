// Package command is the conformance program, but for KEDA's client, which brings all that
// KEDA depends on.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/jawaracloud/pubsub-operator/e2e/conformance/contract"
)

// Exit codes.
const (
	ExitPassed = 0
	ExitFailed = 1 // a check failed, or not all could be made
	ExitUsage  = 2 // a flag is wrong, or there is no scaler: nothing was judged
)

// KEDA is KEDA's client.
type KEDA struct {
	New   func(contract.Trigger) (contract.KEDA, error)
	LogTo func(io.Writer) // nil drops its log
}

// Run runs the command and returns its exit code.
func Run(ctx context.Context, keda KEDA, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return ExitPassed
	case err != nil:
		fmt.Fprintln(stderr, "conformance:", err)
		return ExitUsage
	case o.list:
		printList(stdout, o.selected)
		return ExitPassed
	}
	o.config.KEDA = keda.New
	if o.verbose {
		keda.LogTo(stderr)
	} else {
		keda.LogTo(nil)
	}
	o.config.Shutdown = o.shutdown(stderr)
	printer := newPrinter(stdout, o)
	results, err := contract.Run(ctx, o.config, o.selected, printer.result)
	if err != nil {
		fmt.Fprintln(stderr, "conformance:", inFlags(err))
		return ExitUsage
	}
	if err := printer.summary(results); err != nil {
		fmt.Fprintln(stderr, "conformance: writing the report:", err)
		return ExitFailed
	}
	if ctx.Err() != nil {
		fmt.Fprintln(stderr, "conformance: interrupted: the report is not complete")
		return ExitFailed
	}
	if count(results)[contract.Fail] > 0 {
		return ExitFailed
	}
	return ExitPassed
}

// shutdown is how the scaler is ended for the last check.
func (o options) shutdown(stderr io.Writer) func(context.Context) error {
	switch {
	case o.shutdownPID != 0:
		return func(context.Context) error {
			process, err := os.FindProcess(o.shutdownPID)
			if err == nil {
				err = process.Signal(syscall.SIGTERM)
			}
			if err != nil {
				return fmt.Errorf("--shutdown-pid is %d: sending SIGTERM to it: %w", o.shutdownPID, err)
			}
			return nil
		}
	case o.config.ShutdownWait > 0:
		return func(context.Context) error {
			fmt.Fprintf(stderr, "conformance: end the scaler now, within %s (SIGTERM, or delete its pod)\n", o.config.ShutdownWait)
			return nil
		}
	default:
		return nil
	}
}
