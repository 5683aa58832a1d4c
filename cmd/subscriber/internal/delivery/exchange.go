package delivery

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// exchange is a request on its way, which outlives the wait for it.
//
// HTTP/1.1 has no way to say that nobody waits any more but to close the connection, and a
// client that does so never learns when the handler is done: it may be at work long after,
// beside what it is sent next. So only our half of the connection is closed. The handler's
// server sees that, and most servers tell the handler; the other half stays open until the
// handler has returned.
type exchange struct {
	ctx    context.Context
	cancel context.CancelFunc

	protocol Protocol
	http1    *atomic.Bool // whether the handler's last connection was of HTTP/1.1

	mu       sync.Mutex
	conn     net.Conn // to the handler; nil: there is none
	reused   bool     // conn had requests before
	halved   bool     // our half of conn is closed
	replied  bool     // the first byte of an answer came
	reached  bool     // the request may have reached the handler, by a connection that broke
	answered bool     // the status came, and what it says is told
	told     error

	// declined says that net/http would send the request again by itself, because an HTTP/2 handler did not take it; drop ends
	// the attempt then. nil: net/http may do as it likes.
	declined bool
	drop     context.CancelFunc
}

func newExchange(ctx context.Context, protocol Protocol, http1 *atomic.Bool) *exchange {
	e := &exchange{protocol: protocol, http1: http1}
	e.ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return e
}

// context is the request's.
func (e *exchange) context() context.Context {
	return httptrace.WithClientTrace(e.ctx, &httptrace.ClientTrace{
		GetConn: func(string) { e.set(nil, false) }, // again where an idle connection turns out to be dead
		GotConn: func(got httptrace.GotConnInfo) { e.set(got.Conn, got.Reused) },
		GotFirstResponseByte: func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.replied = true
		},
	})
}

func (e *exchange) set(conn net.Conn, reused bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.drop != nil && e.conn != nil && e.shared() {
		e.declined = true
		e.drop()
	}
	e.conn, e.reused = conn, reused
	if conn != nil {
		e.http1.Store(!e.shared())
	}
	if e.halved {
		e.cancel() // the transport tries another connection, for whom nobody waits
	}
}

// connected tells whether there is a connection to the handler. Without one nothing reached
// it; with one it may have died of the message, which must count as a delivery.
func (e *exchange) connected() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.conn != nil || e.reached
}

// send sends the request. A handler may close a connection that idles just as it is used again: then the
// request is sent once more, on another connection. Nothing tells that from a handler that died of the message; so it
// is once at most, and if there is no other connection, the request counts as one that reached the handler. net/http
// would go on with each connection that idles (see setIdempotencyKey).
func (e *exchange) send(client *client, request *http.Request, once bool) (*http.Response, error) {
	attempt, drop := context.WithCancel(request.Context())
	e.mu.Lock()
	e.drop = drop
	e.mu.Unlock()
	response, untaken, err := e.first(client, request.WithContext(attempt), once)
	untaken = e.isDeclined(untaken)
	if err == nil || !untaken && (once || !e.mayBeStale()) {
		return response, err
	}
	body, bodyErr := request.GetBody()
	if bodyErr != nil {
		return nil, err
	}
	again := request.Clone(request.Context())
	again.Body = body
	if untaken {
		response, _, err = sendOnce(client, again)
		return response, err
	}
	client.CloseIdleConnections()
	response, secondErr := client.Do(again)
	if secondErr != nil && e.unconnected() {
		return nil, err
	}
	return response, secondErr //nolint:wrapcheck // it names the request
}

// isDeclined tells whether the handler did not take the first attempt, or that was dropped, and lets go of it.
func (e *exchange) isDeclined(untaken bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	untaken = untaken || e.declined
	if e.drop = nil; untaken {
		e.conn = nil
	}
	return untaken
}

// mayBeStale tells whether the request failed on a connection that had idled, without a word of the handler's. In HTTP/2
// the handler says which requests it did not take (see sendOnce).
func (e *exchange) mayBeStale() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	stale := e.conn != nil && e.reused && !e.replied && !e.halved && e.ctx.Err() == nil && !e.shared()
	e.reached = e.reached || stale
	return stale
}

// heard tells whether any of an answer came.
func (e *exchange) heard() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.replied
}

func (e *exchange) unconnected() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.conn == nil
}

// decide notes what the status says: that holds, whatever becomes of the rest of the answer.
func (e *exchange) decide(outcome error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answered, e.told = true, outcome
}

// decided is what the status says, once there is one.
func (e *exchange) decided() (outcome error, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.told, e.answered
}

// abandon tells the handler that nobody waits any more, and ends the exchange when that has
// had no effect for that long. It returns false where nothing can have reached the handler.
func (e *exchange) abandon(patience time.Duration) (sent bool) {
	e.mu.Lock()
	sent = e.conn != nil || e.reached
	half, ok := e.conn.(interface{ CloseWrite() error })
	e.halved = ok && !e.shared()
	e.mu.Unlock()
	if !e.halved {
		e.cancel()
		return sent
	}
	timer := time.AfterFunc(patience, e.cancel)
	context.AfterFunc(e.ctx, func() { timer.Stop() })
	go func() {
		// It may wait for a write that is stuck, which ends with the exchange. An error says
		// that the connection is gone, as the exchange learns by itself.
		_ = half.CloseWrite()
	}()
	return true
}

// shared tells whether the connection is HTTP/2's: others are on it, and a request is
// cancelled by itself.
func (e *exchange) shared() bool {
	secured, isTLS := e.conn.(*tls.Conn)
	return e.protocol == HTTP2 || isTLS && secured.ConnectionState().NegotiatedProtocol == "h2"
}

// end is called when the request has returned. A connection of which a half is closed is of
// no more use.
func (e *exchange) end() {
	e.cancel()
	e.mu.Lock()
	conn, halved := e.conn, e.halved
	e.mu.Unlock()
	if halved && conn != nil {
		_ = conn.Close() // it may be closed
	}
}
