package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The keys of a list with subscribers, as scaler/queue/names.go of the product has them.
const (
	consumersKey     = "{" + queueKey + "}:consumers"
	processingPrefix = "{" + queueKey + "}:processing:"
)

// askLimit bounds one read of the queue.
const askLimit = 5 * time.Second

// queueReader reads the queue through one long-lived redis-cli in the server's pod. After
// an error it starts another with the next call. It is for one goroutine.
type queueReader struct {
	tools     tools
	namespace string

	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string // closed when the redis-cli has ended
	said  *strings.Builder
}

func newQueueReader(t tools, namespace string) *queueReader {
	return &queueReader{tools: t, namespace: namespace}
}

// depth is the number of messages that wait, and that workers hold.
func (q *queueReader) depth(ctx context.Context) (ready, held int64, err error) {
	// In this order a message that moves meanwhile is counted twice, not missed.
	waiting, err := q.ask(ctx, "LLEN "+queueKey)
	if err != nil {
		return 0, 0, err
	}
	if ready, err = sum(waiting); err != nil {
		return 0, 0, err
	}
	processing, err := q.processing(ctx)
	if err != nil || len(processing) == 0 {
		return ready, 0, err
	}
	lengths, err := q.ask(ctx, withPrefix("LLEN ", processing)...)
	if err != nil {
		return 0, 0, err
	}
	held, err = sum(lengths)
	return ready, held, err
}

// empty deletes what waits and what workers hold.
func (q *queueReader) empty(ctx context.Context) error {
	processing, err := q.processing(ctx)
	if err != nil {
		return err
	}
	_, err = q.ask(ctx, "DEL "+strings.Join(append([]string{queueKey}, processing...), " "))
	return err
}

// processing names the lists of what workers hold.
func (q *queueReader) processing(ctx context.Context) ([]string, error) {
	consumers, err := q.ask(ctx, "ZRANGE "+consumersKey+" 0 -1")
	return withPrefix(processingPrefix, consumers), err
}

func withPrefix(prefix string, words []string) []string {
	words = slices.Clone(words)
	for i := range words {
		words[i] = prefix + words[i]
	}
	return words
}

// sum adds up the replies, all of which must be whole numbers.
func sum(replies []string) (total int64, err error) {
	for _, reply := range replies {
		n, err := strconv.ParseInt(reply, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("redis-cli: %s", strings.Join(replies, " "))
		}
		total += n
	}
	return total, nil
}

// end is what the server is asked to say after its replies.
const end = "-- end of replies --"

// ask sends commands and returns the lines of all replies.
func (q *queueReader) ask(ctx context.Context, commands ...string) ([]string, error) {
	if q.cmd == nil {
		if err := q.open(ctx); err != nil {
			return nil, err
		}
	}
	replies, err := q.exchange(ctx, commands)
	if err != nil {
		q.close()
		err = fmt.Errorf("reading the queue with redis-cli: %w", withEnding(err, q.said.String()))
	}
	return replies, err
}

func withEnding(err error, said string) error {
	if said = strings.TrimSpace(said); said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

func (q *queueReader) exchange(ctx context.Context, commands []string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	if _, err := io.WriteString(q.stdin, strings.Join(commands, "\n")+"\nECHO \""+end+"\"\n"); err != nil {
		return nil, err
	}
	var replies []string
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case line, open := <-q.lines:
			switch {
			case !open:
				return nil, errors.New("redis-cli has ended")
			case line == end:
				return replies, nil
			case line != "": // an empty list is an empty line
				replies = append(replies, line)
			}
		}
	}
}

func (q *queueReader) open(ctx context.Context) error {
	// It outlives this call, and close ends it.
	cmd := q.tools.command(context.WithoutCancel(ctx), "kubectl", "exec", "--stdin", "--namespace", q.namespace, "deployment/dragonfly", "--", "redis-cli")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	q.said = &strings.Builder{}
	cmd.Stderr = q.said
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("kubectl exec: %w", err)
	}
	lines := make(chan string, 256)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	q.cmd, q.stdin, q.lines = cmd, stdin, lines
	return nil
}

// close ends the redis-cli, if there is one.
func (q *queueReader) close() {
	if q.cmd == nil {
		return
	}
	_ = q.stdin.Close()      // redis-cli ends at the end of its input
	_ = q.cmd.Process.Kill() // and kubectl, which may hang, in any case
	for range q.lines {      // its end closes the lines
	}
	_ = q.cmd.Wait() // how it ended is of no interest
	q.cmd = nil
}
