package delivery

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// In HTTP/2 a handler, or a proxy in front of it, says which requests it surely did not process: it refuses the
// stream, or says goodbye (GOAWAY) with a last stream that comes before it (RFC 9113, 8.7). net/http sends such a request
// again for a minute, more and more seldom, in which it looks like one that is on its way; and so it does with one that breaks
// the protocol (Go 1.26, http2Transport.RoundTripOpt), of which a proxy may say so at each delivery. So its own second
// attempt is dropped (exchange.set), and exchange.send makes one whose error tells why.

// sendOnce sends a request that net/http can't send again, and so says why it would.
func sendOnce(client *client, request *http.Request) (*http.Response, error) {
	request.Body, request.GetBody = io.NopCloser(request.Body), nil // of http.NoBody it would make another itself
	response, err := client.Do(request)
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		if reason, ok := strings.CutPrefix(failed.Err.Error(), "http2: Transport: cannot retry err ["); ok {
			reason, _, _ = strings.Cut(reason, "] after Request.Body was written")
			failed.Err = errors.New(reason)
		}
	}
	return response, err //nolint:wrapcheck // it names the request
}

// declines is what net/http says of a request that an HTTP/2 handler did not take, for which it has no type that others can
// see, and what is told of it.
var declines = []struct{ text, told string }{
	{"; REFUSED_STREAM; received from peer", "it refuses the stream (REFUSED_STREAM)"},
	{"; HTTP_1_1_REQUIRED; received from peer", "it wants HTTP/1.1 (HTTP_1_1_REQUIRED): set HANDLER_PROTOCOL to HTTP1"},
	{"http2: Transport received Server's graceful shutdown GOAWAY", "it says goodbye (GOAWAY)"},
	// Of the first stream of a connection alone. Those that it may have taken have another text, with the handler's words.
	{"http2: Transport received GOAWAY from server ErrCode:", "it says goodbye because of an error (GOAWAY)"},
}

// decline tells how the handler said that it did not take the request; empty: it did not say so.
func decline(err error) string {
	var failed *url.Error
	if !errors.As(err, &failed) {
		return ""
	}
	text := failed.Err.Error()
	for _, d := range declines {
		whole := strings.HasPrefix(text, "stream error: ") && strings.HasSuffix(text, d.text)
		if whole || strings.HasPrefix(text, d.text) {
			return d.told
		}
	}
	return ""
}
