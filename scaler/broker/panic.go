package broker

import "runtime/debug"

// PanicError is a fault of the scaler's own, met while it worked for one server. What it
// was is in the log alone: it may contain secrets.
type PanicError struct {
	value any
	stack []byte
}

func (*PanicError) Error() string {
	return "the scaler has a fault, which it met while it read this server; its log has the details: report it"
}

// Recovered makes a *PanicError of a panic, of which value is what recover returned; it returns
// false, and leaves err alone, where there was none. The
// goroutines that work for one server must not end the process, which works for all.
func Recovered(value any, err *error) bool {
	if value == nil {
		return false
	}
	*err = &PanicError{value: value, stack: debug.Stack()}
	return true
}
