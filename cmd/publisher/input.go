package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
)

// input is the lines of the standard input.
type input struct {
	lines chan string // closed at the end
	err   error       // once lines is closed; nil at the end of the input
}

// readLines reads up to that many lines ahead, in the background until the input's end: a read can't be interrupted.
func readLines(from io.Reader, ahead int) *input {
	in := &input{lines: make(chan string, ahead)}
	go func() {
		defer close(in.lines)
		scanner := bufio.NewScanner(from)
		scanner.Buffer(nil, maxSize+1)
		for scanner.Scan() {
			in.lines <- scanner.Text()
		}
		in.err = scanner.Err()
		if errors.Is(in.err, bufio.ErrTooLong) {
			in.err = fmt.Errorf("%w: a line of the standard input has more than %d bytes, which a message may have at most", errPermanent, maxSize)
		}
	}()
	return in
}

// take waits for a line, and returns it with those that are there already, at most limit. It
// returns io.EOF after the last one.
func (in *input) take(ctx context.Context, limit int64) (taken []string, err error) {
	for int64(len(taken)) < limit {
		if len(taken) > 0 && len(in.lines) == 0 {
			return taken, nil
		}
		select {
		case <-ctx.Done():
			return taken, nil
		case line, open := <-in.lines:
			switch {
			case open:
				taken = append(taken, line)
			case len(taken) > 0:
				return taken, nil // the next call tells the end
			case in.err != nil:
				return nil, in.err
			default:
				return nil, io.EOF
			}
		}
	}
	return taken, nil
}
