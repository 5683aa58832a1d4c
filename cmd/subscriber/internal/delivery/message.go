package delivery

import (
	"encoding/hex"
	"errors"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
)

// Headers of a post. In their values, and in the names of fields, what is not visible
// ASCII, and % and ", is %XX, byte by byte (CloudEvents' HTTP binding 1.0.2, 3.1.3.2).
const (
	// HeaderMessageID is the message's ID (source.Message.ID). It is the same at each
	// delivery of a message.
	HeaderMessageID = "X-Message-ID"
	// HeaderChannel is the key of the message's queue.
	HeaderChannel = "X-Channel"
	// HeaderDeliveries counts this delivery and those before it, from 1.
	HeaderDeliveries = "X-Delivery-Count"
	// HeaderPreviousFailure is why the message's last delivery failed, where it was this
	// worker's.
	HeaderPreviousFailure = "X-Previous-Failure"
	// HeaderIdempotencyKey is a string, in quotes (draft-ietf-httpapi-idempotency-key-header,
	// 2.1), of the queue's key, a slash and the message's ID: IDs of two queues may be equal.
	// What is delivered once at most has none.
	HeaderIdempotencyKey = "Idempotency-Key"
	// HeaderField and a field's name are a header for each field of a stream's entry that is
	// not in the body.
	HeaderField = "X-Field-"
	// HeaderFieldsOmitted is how many fields there was no room for; there is none where all
	// are there.
	HeaderFieldsOmitted = "X-Fields-Omitted"
)

const (
	// maxFields bounds the headers of fields together, in bytes: servers take headers of
	// 8 KiB (nginx, large_client_header_buffers) to 1 MiB (net/http), and refuse a request
	// that has more.
	maxFields = 6 << 10
	// maxFailure bounds HeaderPreviousFailure, in bytes before %XX.
	maxFailure = 200
)

const (
	octets = "application/octet-stream"
	inJSON = "application/json"
	inForm = "application/x-www-form-urlencoded"

	// fieldContentType is the field by which a publisher names its payload's media type.
	fieldContentType = "content-type"
)

// content is a message's body as it was published, and its media type.
//
// The fields of an entry without a payload of its own are a JSON object. JSON can't hold
// bytes that are no UTF-8; such fields are a form, which can.
func content(m source.Message, byDefault string) (mediaType, body string) {
	fields := m.Fields()
	if !manifold(fields) {
		if named, ok := fields[fieldContentType].(string); ok {
			if CheckMediaType(named) == nil {
				return named, m.Payload
			}
		}
		return byDefault, m.Payload
	}
	form := url.Values{}
	text := true
	for name, value := range fields {
		value, _ := value.(string) // go-redis reads nothing else
		form.Set(name, value)
		text = text && utf8.ValidString(name) && utf8.ValidString(value)
	}
	if text {
		return inJSON, m.Payload
	}
	return inForm, form.Encode()
}

// CheckMediaType tells what is wrong with a media type. One that is well-formed may still be no header: a line break at
// its end, for example. No request could be made with it, which must not look as if the handler was away.
func CheckMediaType(value string) error {
	if _, _, err := mime.ParseMediaType(value); err != nil {
		return err //nolint:wrapcheck // the caller names what holds it
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		return errors.New("it holds a line break or another control character")
	}
	return nil
}

// manifold tells whether all fields together are the payload.
func manifold(fields map[string]any) bool {
	_, named := fields[source.PayloadField]
	return len(fields) > 1 && !named
}

// beside are the names of the fields that are not in the body, sorted.
func beside(fields map[string]any) []string {
	if len(fields) < 2 || manifold(fields) {
		return nil
	}
	names := slices.Sorted(maps.Keys(fields))
	return slices.DeleteFunc(names, func(name string) bool { return name == source.PayloadField })
}

// describe adds the headers that tell of the message. omit are fields that are told
// otherwise.
func describe(header http.Header, m source.Message, atMostOnce bool, omit func(field string) bool) {
	header.Set(HeaderMessageID, escape(m.ID))
	header.Set(HeaderChannel, escape(m.Key))
	header.Set(HeaderDeliveries, strconv.FormatInt(m.Deliveries, 10))
	if !atMostOnce {
		// A string of a structured header escapes the backslash, too (RFC 9651, 3.3.3).
		key := strings.ReplaceAll(escape(m.Key)+"/"+escape(m.ID), `\`, "%5C")
		setIdempotencyKey(header, `"`+key+`"`)
	}
	fields := m.Fields()
	left, omitted := maxFields, 0
	for _, field := range beside(fields) {
		if omit(field) {
			continue
		}
		value, _ := fields[field].(string)
		name, value := HeaderField+escapeName(field), escape(value)
		if left -= len(name) + len(value); left < 0 {
			left += len(name) + len(value)
			omitted++
			continue
		}
		header.Add(name, value)
	}
	if omitted > 0 {
		header.Set(HeaderFieldsOmitted, strconv.Itoa(omitted))
	}
}

// setIdempotencyKey sets the header under a name that net/http does not know, though handlers do: names of headers are the
// same in any case. With one that it knows it would send a POST again on each connection that idles, as long as they
// break (Go 1.26, net/http.Request.isReplayable): so a message of which a handler dies would come as often as there are
// connections, and count as delivered once. exchange.send does it once.
func setIdempotencyKey(header http.Header, key string) {
	header[strings.ToLower(HeaderIdempotencyKey)] = []string{key}
}

// escape makes a header's value of any bytes.
func escape(value string) string {
	return escapeBut(value, func(c byte) bool { return c > ' ' && c < 0x7f && c != '"' && c != '%' })
}

// escapeName makes a header's name of any bytes (RFC 9110, 5.6.2: a token).
func escapeName(name string) string {
	return escapeBut(name, func(c byte) bool {
		return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("!#$&'*+-.^_`|~", c) >= 0
	})
}

func escapeBut(value string, plain func(byte) bool) string {
	var escaped strings.Builder
	for i := range len(value) {
		if plain(value[i]) {
			escaped.WriteByte(value[i])
			continue
		}
		escaped.WriteByte('%')
		escaped.WriteString(strings.ToUpper(hex.EncodeToString([]byte{value[i]})))
	}
	return escaped.String()
}
