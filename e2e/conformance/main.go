// Command conformance checks a KEDA external scaler, at any address, against KEDA's
// contract. See README.md.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/jawaracloud/pubsub-operator/e2e/conformance/internal/command"
	"github.com/jawaracloud/pubsub-operator/e2e/conformance/kedaclient"
)

var keda = command.KEDA{New: kedaclient.New, LogTo: kedaclient.LogTo}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command.Run(ctx, keda, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
