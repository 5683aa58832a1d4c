package broker

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A deadline that passes while no connection could be made is a server that can't be reached.
func TestWhatAPassedDeadlineMeans(t *testing.T) {
	server := Server{Address: "127.0.0.1:1"}
	used := &Link{server: server, redactor: newRedactor(server, material{})}
	used.node("").dialing.Store(true)
	failure := used.Diagnose("", context.DeadlineExceeded)
	assert.Equal(t, Unreachable, causeOf(failure), "%v", failure)
	assert.Equal(t, failure, used.Diagnose("", failure), "once")
	used.node("").dialing.Store(false)
	assert.Equal(t, Slow, causeOf(used.Diagnose("", context.DeadlineExceeded)), "it was reached")
}
