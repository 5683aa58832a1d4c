package broker_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// stranger listens for connections, each of which is answered by talk; TLS where the
// authority is given.
func stranger(t *testing.T, authority *redistest.Authority, talk func(net.Conn)) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	if authority != nil {
		certificate, err := tls.LoadX509KeyPair(authority.ServerCertFile, authority.ServerKeyFile)
		require.NoError(t, err)
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = connection.Close() })
			go talk(connection)
		}
	}()
	return listener.Addr().String()
}

// echoing answers everything with what it got, as said by reply: often enough for a pipeline.
func echoing(reply func(got string) string) func(net.Conn) {
	return func(connection net.Conn) {
		buffer := make([]byte, 64<<10)
		var got strings.Builder
		for {
			n, err := connection.Read(buffer)
			if err != nil {
				return
			}
			got.Write(buffer[:n])
			if _, err := io.WriteString(connection, strings.Repeat(reply(got.String()), 40)); err != nil {
				return
			}
		}
	}
}

func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }

// array is of texts, or of what begins as a reply does.
func array(items ...string) string {
	return fmt.Sprintf("*%d\r\n%s", len(items), strings.Join(items, ""))
}

// parrot is a server that takes any password and then answers with it: in the place of
// names, types, addresses and numbers.
func parrot(answers func(command, secret string) string) func(net.Conn) {
	return func(connection net.Conn) {
		reader := bufio.NewReader(connection)
		secret := ""
		for {
			command, err := readCommand(reader)
			if err != nil {
				return
			}
			name := strings.ToUpper(command[0])
			reply := "+OK\r\n"
			switch name {
			case "AUTH":
				secret = command[len(command)-1]
			case "HELLO":
				reply = "-ERR unknown command 'HELLO'\r\n" // go-redis then uses AUTH
			case "SELECT", "CLIENT":
			default:
				reply = answers(name+" "+strings.ToUpper(strings.Join(command[1:min(2, len(command))], " ")), secret)
			}
			if _, err := io.WriteString(connection, reply); err != nil {
				return
			}
		}
	}
}

func readCommand(reader *bufio.Reader) ([]string, error) {
	number := func() (int, error) {
		line, err := reader.ReadString('\n')
		if err != nil || len(line) < 2 {
			return 0, io.ErrUnexpectedEOF
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
	n, err := number()
	if err != nil || n < 1 {
		return nil, io.ErrUnexpectedEOF
	}
	words := make([]string, n)
	for i := range words {
		length, err := number()
		if err != nil {
			return nil, err
		}
		word := make([]byte, length+2)
		if _, err := io.ReadFull(reader, word); err != nil {
			return nil, err
		}
		words[i] = string(word[:length])
	}
	return words, nil
}

// What is no Redis server may be anything that the scaler reaches: nothing of what it says
// is told.
func TestNothingOfAStrangersAnswerIsTold(t *testing.T) {
	const banner = "mail.internal-banner"
	tests := map[string]string{
		"SMTP":             "220 " + banner + " ESMTP Postfix\r\n",
		"HTTP":             "HTTP/1.1 400 Bad Request\r\nServer: " + banner + "\r\n\r\n",
		"SSH":              "SSH-2.0-" + banner + "\r\n",
		"POP3":             "+OK " + banner + " ready\r\n",
		"MySQL":            "J\x00\x00\x00\x0a" + banner + "\x00\r\n",
		"no number":        ":" + banner + "\r\n",
		"no length":        "$" + banner + "\r\n",
		"no length of one": "*" + banner + "\r\n",
		"a push":           ">2\r\n" + bulk(banner) + bulk(banner),
		"a text":           bulk(banner),
		"a line only":      banner + "\n",
	}
	for name, says := range tests {
		for _, mode := range []broker.Mode{broker.Standalone, broker.Sentinel, broker.Cluster} {
			t.Run(fmt.Sprint(name, " as ", mode), func(t *testing.T) {
				t.Parallel()
				address := stranger(t, nil, echoing(func(string) string { return says }))
				var log log
				pool := newPool(t, sampling.Options{Options: broker.Options{ReadTimeout: quick, Logger: log.logger()}})
				server := broker.Server{Mode: mode, Address: address}
				if mode == broker.Sentinel {
					server.SentinelMaster = "main"
				}
				_, err := pool.Depth(t.Context(), server, list("q"))
				require.Error(t, err)
				assert.NotContains(t, err.Error()+log.String(), banner)
				assert.NotEqual(t, broker.Cause(""), causeOf(err))
			})
		}
	}
	address := stranger(t, nil, echoing(func(string) string { return tests["SMTP"] }))
	pool := newPool(t, sampling.Options{Options: broker.Options{ReadTimeout: quick}})
	_, err := pool.Depth(t.Context(), broker.Server{Address: address}, list("q"))
	assert.ErrorContains(t, err, "does not answer as Redis does (RESP2): a reply begins with the byte 0x32: correct redisAddress")
}
