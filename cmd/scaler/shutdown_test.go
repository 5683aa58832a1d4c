package main

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A scaler that is stopped answers on for the delay, and not a moment longer.
func TestShutdownDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signalled, signal := context.WithCancel(t.Context())
		lasting := lingering(signalled, 31*time.Second, slog.New(slog.DiscardHandler))
		signal()
		<-time.After(31*time.Second - time.Nanosecond) // by the clock of the bubble
		synctest.Wait()
		require.NoError(t, lasting.Err())
		<-time.After(time.Nanosecond)
		synctest.Wait()
		assert.ErrorIs(t, lasting.Err(), context.Canceled)
	})
}

func TestWithoutShutdownDelay(t *testing.T) {
	signalled, signal := context.WithCancel(t.Context())
	lasting := lingering(signalled, 0, slog.New(slog.DiscardHandler))
	signal()
	assert.Error(t, lasting.Err())
}
