package config

import (
	"net/url"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/delivery"
)

// The environment variables that say how messages are posted, beside those in package
// delivery that name files: HANDLER_TOKEN_FILE, HANDLER_HEADERS_FILE and HANDLER_TLS_*_FILE.
const (
	EnvHandlerURL         = "HANDLER_URL"             // where messages are posted; default none
	EnvHandlerFormat      = "HANDLER_FORMAT"          // Raw (default), CloudEventsBinary or CloudEventsStructured
	EnvHandlerContentType = "HANDLER_CONTENT_TYPE"    // media type of payloads that name none; default application/octet-stream
	EnvHandlerProtocol    = "HANDLER_PROTOCOL"        // Auto (default), HTTP1 or HTTP2
	EnvHandlerServerName  = "HANDLER_TLS_SERVER_NAME" // default the URL's host
	EnvEventType          = "CLOUDEVENTS_TYPE"        // default delivery.DefaultEventType
	EnvEventSource        = "CLOUDEVENTS_SOURCE"      // a URI reference; default /queues/<key>
)

// Handler is where and how messages are posted.
type Handler struct {
	URL         *url.URL // nil where none is set
	Format      delivery.Format
	ContentType string // empty: application/octet-stream

	EventType, EventSource string // empty: package delivery's defaults

	Protocol    delivery.Protocol
	Credentials delivery.Credentials
	TLS         delivery.TLS
}

func (p *parser) handler() Handler {
	h := Handler{
		URL: p.url(EnvHandlerURL),
		Format: delivery.Format(p.oneOf(EnvHandlerFormat,
			string(delivery.Raw), string(delivery.CloudEventsBinary), string(delivery.CloudEventsStructured))),
		ContentType: p.getenv(EnvHandlerContentType),
		EventType:   p.getenv(EnvEventType), EventSource: p.getenv(EnvEventSource),
		Protocol:    delivery.Protocol(p.oneOf(EnvHandlerProtocol, string(delivery.Auto), string(delivery.HTTP1), string(delivery.HTTP2))),
		Credentials: delivery.Credentials{TokenFile: p.getenv(delivery.EnvTokenFile), HeadersFile: p.getenv(delivery.EnvHeadersFile)},
		TLS: delivery.TLS{
			CAFile:   p.getenv(delivery.EnvTLSCAFile),
			CertFile: p.getenv(delivery.EnvTLSCertFile), KeyFile: p.getenv(delivery.EnvTLSKeyFile), ServerName: p.getenv(EnvHandlerServerName),
		},
	}
	p.checkTLS(h)
	if h.ContentType != "" {
		if err := delivery.CheckMediaType(h.ContentType); err != nil {
			p.fail(EnvHandlerContentType, "%v: set it to a media type alone, for example application/json", err)
		}
	}
	if _, err := url.Parse(h.EventSource); err != nil {
		p.fail(EnvEventSource, "set it to a URI or the path of one, for example https://shop.example/orders")
	}
	return h
}

// checkTLS refuses settings of TLS that would be of no effect.
func (p *parser) checkTLS(h Handler) {
	switch {
	case h.TLS.CertFile == "" && h.TLS.KeyFile != "":
		p.fail(delivery.EnvTLSCertFile, "set it to the certificate of the key in %s", delivery.EnvTLSKeyFile)
	case h.TLS.CertFile != "" && h.TLS.KeyFile == "":
		p.fail(delivery.EnvTLSKeyFile, "set it to the key of the certificate in %s", delivery.EnvTLSCertFile)
	}
	if h.URL == nil || h.URL.Scheme == "https" {
		return
	}
	for _, name := range []string{delivery.EnvTLSCAFile, delivery.EnvTLSCertFile, EnvHandlerServerName} {
		if p.getenv(name) != "" {
			p.fail(name, "%s has no TLS: begin it with https, or leave this out", EnvHandlerURL)
		}
	}
}

func (p *parser) url(name string) *url.URL {
	value := p.getenv(name)
	if value == "" {
		return nil
	}
	const remedy = "set it to an absolute URL of http or https, for example http://127.0.0.1:8080/messages"
	parsed, err := url.Parse(value)
	if err != nil {
		// What can't be parsed can't be redacted, and might hold a password.
		p.failValue(name, "…", "%s", remedy)
		return nil
	}
	if parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Hostname() == "" {
		p.failValue(name, parsed.Redacted(), "%s", remedy)
	}
	return parsed
}
