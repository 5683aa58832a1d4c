package delivery_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/delivery"
)

// byHand speaks HTTP/2 on a connection: answer has each request's stream once the request is complete, until it returns false.
func byHand(conn net.Conn, answer func(framer *http2.Framer, stream uint32) bool) {
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	framer := http2.NewFramer(conn, conn)
	_ = framer.WriteSettings()
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = framer.WriteSettingsAck()
			}
		case *http2.HeadersFrame:
			if f.StreamEnded() && !answer(framer, f.StreamID) {
				return
			}
		case *http2.DataFrame:
			if f.StreamEnded() && !answer(framer, f.StreamID) {
				return
			}
		}
	}
}

func reset(code http2.ErrCode) func(*http2.Framer, uint32) bool {
	return func(framer *http2.Framer, stream uint32) bool { return framer.WriteRSTStream(stream, code) == nil }
}

func goodbye(code http2.ErrCode, taken func(stream uint32) uint32) func(*http2.Framer, uint32) bool {
	return func(framer *http2.Framer, stream uint32) bool {
		_ = framer.WriteGoAway(taken(stream), code, []byte("stream error: ; REFUSED_STREAM; received from peer"))
		return false
	}
}

func none(uint32) uint32          { return 0 }
func all(stream uint32) uint32    { return stream }
func before(stream uint32) uint32 { return stream - 1 }

// What an HTTP/2 handler says it did not take has not been delivered, however often it says so; what it may have taken has.
// The former is sent twice, the latter once. Only of an empty message whose protocol is broken net/http does not tell which it is: that is
// sent twice, unless it is to come at most once.
func TestAHandlerThatTakesNoRequests(t *testing.T) {
	server := httptest.NewUnstartedServer(nil) // for its certificate
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	for name, tc := range map[string]struct {
		answer func(*http2.Framer, uint32) bool
		want   string
		told   string
		sent   int64 // how often, for one delivery
	}{
		"streams refused":               {reset(http2.ErrCodeRefusedStream), unavailable, "REFUSED_STREAM", 2},
		"HTTP/1.1 wanted":               {reset(http2.ErrCodeHTTP11Required), unavailable, "set HANDLER_PROTOCOL to HTTP1", 1},
		"goodbye before the stream":     {goodbye(http2.ErrCodeNo, before), unavailable, "GOAWAY", 2},
		"goodbye, for an error":         {goodbye(http2.ErrCodeEnhanceYourCalm, none), unavailable, "GOAWAY", 1},
		"goodbye after the stream":      {goodbye(http2.ErrCodeNo, all), failed, "GOAWAY", 1},
		"goodbye after it, for errors":  {goodbye(http2.ErrCodeInternal, all), failed, "GOAWAY", 1},
		"the protocol broken":           {reset(http2.ErrCodeProtocol), failed, "PROTOCOL_ERROR", 1},
		"a fault of its own":            {reset(http2.ErrCodeInternal), failed, "INTERNAL_ERROR", 1},
		"a request that is given up":    {reset(http2.ErrCodeCancel), failed, "CANCEL", 1},
		"streams that come too quickly": {reset(http2.ErrCodeEnhanceYourCalm), failed, "ENHANCE_YOUR_CALM", 1},
	} {
		for body, payload := range map[string]string{"": "hello", ", of an empty message": ""} {
			for protocol, withTLS := range map[string]bool{", without TLS": false, ", in TLS": true} {
				for manner, once := range map[string]bool{"": false, ", at most once": true} {
					t.Run(name+body+protocol+manner, func(t *testing.T) {
						t.Parallel()
						var requests atomic.Int64
						address, _ := accept(t, func(_ int, conn net.Conn) {
							if withTLS {
								conn = tls.Server(conn, &tls.Config{
									MinVersion: tls.VersionTLS12, Certificates: server.TLS.Certificates, NextProtos: []string{"h2"},
								})
							}
							byHand(conn, func(framer *http2.Framer, stream uint32) bool {
								requests.Add(1)
								return tc.answer(framer, stream)
							})
						})
						d := deliverTo(address, func(o *delivery.Options) {
							o.Protocol, o.AtMostOnce = delivery.HTTP2, once
							if withTLS {
								o.HandlerURL.Scheme, o.TLS.CAFile, o.Protocol = "https", caFile(t, server), delivery.Auto
							}
						})
						ctx, cancel := context.WithTimeout(t.Context(), patient)
						defer cancel()
						sent := tc.sent
						if payload == "" && !once && tc.told == "PROTOCOL_ERROR" {
							sent = 2
						}
						for i := range int64(3) {
							m := message
							m.Payload = payload
							err := d.Deliver(ctx, m)
							require.Equal(t, tc.want, kindOf(err), err)
							require.ErrorContains(t, err, tc.told)
							require.NotContains(t, err.Error(), "GetBody")
							require.Equal(t, sent*(i+1), requests.Load())
						}
					})
				}
			}
		}
	}
}

// A handler that says goodbye and is gone has not taken the message.
func TestAHandlerThatSaysGoodbyeAndIsAway(t *testing.T) {
	var stop func()
	address, stop := accept(t, func(_ int, conn net.Conn) {
		byHand(conn, func(framer *http2.Framer, stream uint32) bool {
			stop()
			return goodbye(http2.ErrCodeNo, before)(framer, stream)
		})
	})
	d := deliverTo(address, func(o *delivery.Options) { o.Protocol = delivery.HTTP2 })
	err := d.Deliver(t.Context(), message)
	require.Equal(t, unavailable, kindOf(err), err)
}

// A stream that is refused once is sent again, also what is to come at most once: surely it has not come.
func TestAStreamThatIsRefusedOnceIsSentAgain(t *testing.T) {
	for _, payload := range []string{"hello", ""} {
		for _, once := range []bool{false, true} {
			var refusals atomic.Int64
			var served atomic.Pointer[string]
			next := withoutTLS(t, func(_ http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got := string(body)
				served.Store(&got)
			})
			address, _ := accept(t, func(n int, conn net.Conn) {
				if n == 1 {
					byHand(conn, func(framer *http2.Framer, stream uint32) bool {
						refusals.Add(1)
						return goodbye(http2.ErrCodeNo, before)(framer, stream)
					})
					return
				}
				pass(conn, next)
			})
			d := deliverTo(address, func(o *delivery.Options) { o.Protocol, o.AtMostOnce = delivery.HTTP2, once })
			m := message
			m.Payload = payload
			require.NoError(t, d.Deliver(t.Context(), m))
			require.EqualValues(t, 1, refusals.Load())
			require.Equal(t, payload, *served.Load())
		}
	}
}

// A handler says goodbye just when its connection was chosen for a message. Nothing of that was sent, so it goes by another connection,
// also what is to come at most once.
func TestAGoodbyeBeforeTheRequestIsSent(t *testing.T) {
	for _, payload := range []string{"hello", ""} {
		for _, once := range []bool{false, true} {
			var calls atomic.Int64
			next := withoutTLS(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
			chosen, heard := make(chan struct{}), make(chan struct{})
			address, _ := accept(t, func(n int, conn net.Conn) {
				if n > 1 {
					pass(conn, next)
					return
				}
				defer close(heard)
				byHand(conn, func(framer *http2.Framer, stream uint32) bool {
					accepted(framer, stream)
					select {
					case <-chosen:
					case <-t.Context().Done():
						return false
					}
					_ = framer.WriteGoAway(stream, http2.ErrCodeNo, nil)
					_ = framer.WritePing(false, [8]byte{})
					for { // what comes after it was heard, too
						frame, err := framer.ReadFrame()
						if ping, ok := frame.(*http2.PingFrame); err != nil || ok && ping.IsAck() {
							return false
						}
					}
				})
			})
			d := deliverTo(address, func(o *delivery.Options) { o.Protocol, o.AtMostOnce = delivery.HTTP2, once })
			m := message
			m.Payload = payload
			require.NoError(t, d.Deliver(t.Context(), m))
			var first sync.Once
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
				first.Do(func() {
					close(chosen)
					<-heard
				})
			}})
			require.NoError(t, d.Deliver(ctx, m))
			require.EqualValues(t, 1, calls.Load())
		}
	}
}

// accepted answers a request that the message is done.
func accepted(framer *http2.Framer, stream uint32) {
	var fields bytes.Buffer
	_ = hpack.NewEncoder(&fields).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: fields.Bytes(), EndHeaders: true, EndStream: true})
}

// A handler that dies of a message, and does not answer any more, has been sent it. The other connection that is tried comes
// about no more before the time is up.
func TestAHandlerThatDiesOfAMessageAndHangs(t *testing.T) {
	server := httptest.NewUnstartedServer(nil) // for its certificate
	server.StartTLS()
	defer server.Close()
	died := make(chan struct{})
	address, _ := accept(t, func(n int, conn net.Conn) {
		if n > 1 {
			close(died)
			_, _ = io.Copy(io.Discard, conn) // it never answers a handshake
			return
		}
		secured := tls.Server(conn, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: server.TLS.Certificates})
		requests(secured, func(n int) bool { return n == 1 })
	})
	d := deliverTo(address, func(o *delivery.Options) {
		o.HandlerURL.Scheme, o.TLS.CAFile = "https", caFile(t, server)
	})
	require.NoError(t, d.Deliver(t.Context(), message))
	err := deliverUntil(t, d, message, died)
	require.Equal(t, failed, kindOf(err), err)
}
