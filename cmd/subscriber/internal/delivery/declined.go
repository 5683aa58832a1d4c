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
// the protocol (Go 1.26, http2Transport.RoundTripOpt), of which a proxy may say so at each delivery, and which the message may
// be the cause of. So it is given requests that it can't send again, whose error tells why it would (sendOnce). Where that was not
// possible, its own second attempt is dropped (exchange.set), and exchange.send makes one whose error tells.

// first sends a request for the first time. In HTTP/2 net/http must not send it again by itself. In HTTP/1.1 it may: if the
// connection was gone before a byte was written. Which one it will be is known before only of handlers that were heard before. At the first request
// there is no connection that can be gone.
//
// Of an empty message net/http tells the length only if it could send it again. That is worth more to handlers than to be told of
// a broken protocol only once; unless it is to come at most once.
func (e *exchange) first(client *client, request *http.Request, once bool) (response *http.Response, untaken bool, err error) {
	if e.mayBeShared(request.URL) && (once || request.Body != http.NoBody) {
		return sendOnce(client, request)
	}
	response, err = client.Do(request)
	return response, false, err //nolint:wrapcheck // it names the request
}

// mayBeShared tells whether the request may go by HTTP/2.
func (e *exchange) mayBeShared(to *url.URL) bool {
	return e.protocol == HTTP2 || e.protocol == Auto && to.Scheme == "https" && !e.http1.Load()
}

// sendOnce sends a request that net/http can't send again, and so says why it would. untaken says that the handler surely did not take it.
func sendOnce(client *client, request *http.Request) (response *http.Response, untaken bool, err error) {
	request.Body, request.GetBody = io.NopCloser(request.Body), nil // of http.NoBody it would make another itself
	response, err = client.Do(request)
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		reason, ok := strings.CutPrefix(failed.Err.Error(), "http2: Transport: cannot retry err [")
		if ok {
			reason, _, _ = strings.Cut(reason, "] after Request.Body was written")
			failed.Err = errors.New(reason)
		}
		untaken = (ok || reason == unsent) && decline(err) != ""
	}
	return response, untaken, err //nolint:wrapcheck // it names the request
}

// unsent is what net/http says of a request of sendOnce that was to go by an HTTP/2 connection which ended meanwhile. It has closed the
// body without reading any of it, and does not look whether it has (Go 1.26, rewindBody).
const unsent = "net/http: cannot rewind body after connection loss"

// declines is what net/http says of a request that an HTTP/2 handler did not take, for which it has no type that others can
// see, and what is told of it.
var declines = []struct{ text, told string }{
	{"; REFUSED_STREAM; received from peer", "it refuses the stream (REFUSED_STREAM)"},
	{"; HTTP_1_1_REQUIRED; received from peer", "it wants HTTP/1.1 (HTTP_1_1_REQUIRED): set HANDLER_PROTOCOL to HTTP1"},
	{"http2: Transport received Server's graceful shutdown GOAWAY", "it says goodbye (GOAWAY)"},
	// Of the first stream of a connection alone. Those that it may have taken have another text, with the handler's words.
	{"http2: Transport received GOAWAY from server ErrCode:", "it says goodbye because of an error (GOAWAY)"},
	{unsent, "its connection ended before the request was sent"},
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
