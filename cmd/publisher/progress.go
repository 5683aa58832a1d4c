package main

import (
	"fmt"
	"io"
	"time"
)

// progress writes a line about the run at each interval. On a terminal it rewrites the same line;
// elsewhere it writes one line after the other.
type progress struct {
	out      io.Writer
	terminal bool
	interval time.Duration // 0: no lines
	now      func() time.Time

	began, last time.Time
	lastSent    int64
	open        bool // the cursor stands behind a line
	down        bool
	behind      bool
}

func (p *progress) start(began time.Time) { p.began, p.last = began, began }

// report writes a line if it is time for one.
func (p *progress) report(t totals) {
	now := p.now()
	since := now.Sub(p.last)
	if p.interval == 0 || since < p.interval {
		return
	}
	rate := float64(t.sent-p.lastSent) / since.Seconds()
	p.last, p.lastSent = now, t.sent
	line := fmt.Sprintf("%8.1f s  sent %d  %.1f messages/s%s", now.Sub(p.began).Seconds(), t.sent, rate, rest(t))
	if p.terminal {
		// To the line's start, and after the line erase what an earlier one left.
		fmt.Fprintf(p.out, "\r%s\x1b[K", line)
		p.open = true
		return
	}
	fmt.Fprintln(p.out, line)
}

// trouble prints once that the server fails, and once, for nil, that it works again.
func (p *progress) trouble(err error) {
	if p.down == (err != nil) {
		return
	}
	p.down = err != nil
	p.end()
	if err != nil {
		fmt.Fprintf(p.out, "publisher: the server fails, trying again: %v\n", err)
		return
	}
	fmt.Fprintln(p.out, "publisher: the server works again")
}

// late prints once that messages can't be sent when they are due, and once that they are
// again.
func (p *progress) late(behind bool, t totals) {
	if p.behind == behind {
		return
	}
	p.behind = behind
	p.end()
	if behind {
		fmt.Fprintf(p.out, "publisher: the rate is not kept: messages are sent %.1f s late; raise --pipeline, or start several publishers at a part of the rate\n", t.lag.Seconds())
		return
	}
	fmt.Fprintf(p.out, "publisher: the rate is kept again; %s given up so far\n", plural(t.missed, "message"))
}

// end leaves the line.
func (p *progress) end() {
	if p.open {
		fmt.Fprintln(p.out)
		p.open = false
	}
}

// summary is the last line of a run.
func summary(t totals, took time.Duration) string {
	rate := 0.0
	if took > 0 {
		rate = float64(t.sent) / took.Seconds()
	}
	line := fmt.Sprintf("sent %s in %.1f s: %.1f messages/s, %s",
		plural(t.sent, "message"), took.Seconds(), rate, plural(t.errors, "error"))
	if t.unknown > 0 {
		line += fmt.Sprintf("; %s without a reply, which may be in the queue or not", plural(t.unknown, "more message"))
	}
	if t.same > 0 {
		line += fmt.Sprintf("; %d of them were in the sorted set already, and got a new score", t.same)
	}
	if t.missed > 0 {
		line += fmt.Sprintf("; the rate was not kept: %s short", plural(t.missed, "message"))
	}
	if t.longestLag >= maxLag {
		line += fmt.Sprintf("; messages were sent up to %.1f s late", t.longestLag.Seconds())
	}
	return line
}

// plural prints a count: "1 message", "2 messages".
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func rest(t totals) string {
	line := ""
	if t.errors > 0 {
		line += fmt.Sprintf("  errors %d", t.errors)
	}
	if t.unknown > 0 {
		line += fmt.Sprintf("  unknown %d", t.unknown)
	}
	if t.missed > 0 {
		line += fmt.Sprintf("  missed %d", t.missed)
	}
	if t.lag >= maxLag {
		line += fmt.Sprintf("  %.1f s late", t.lag.Seconds())
	}
	return line
}
