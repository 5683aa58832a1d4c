package delivery

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// The environment variables that name files of what the handler lets the worker in by.
const (
	EnvTokenFile   = "HANDLER_TOKEN_FILE"
	EnvHeadersFile = "HANDLER_HEADERS_FILE"
)

// Credentials are files that may be replaced while the worker runs, such as mounted Secrets.
type Credentials struct {
	// TokenFile holds a bearer token (RFC 6750); empty: none.
	TokenFile string
	// HeadersFile holds headers, one in a line, as in HTTP; lines that are empty or begin
	// with # are passed over. Empty: none.
	HeadersFile string
}

// reserved headers are not for a file to set: they are the connection's, or tell of the
// message.
var reserved = map[string]bool{
	"Connection": true, "Content-Length": true, "Content-Type": true, "Host": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true,
	http.CanonicalHeaderKey(HeaderMessageID): true, HeaderChannel: true, HeaderDeliveries: true,
	HeaderPreviousFailure: true, HeaderIdempotencyKey: true, HeaderFieldsOmitted: true,
}

func isReserved(name string) bool {
	name = http.CanonicalHeaderKey(name)
	return reserved[name] || strings.HasPrefix(name, HeaderField) || strings.HasPrefix(name, "Ce-")
}

// read returns the headers. Its errors hold nothing of the files' contents but headers'
// names.
func (c Credentials) read(http.Header) (http.Header, error) {
	header := http.Header{}
	if c.HeadersFile != "" {
		content, err := os.ReadFile(c.HeadersFile)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", EnvHeadersFile, err)
		}
		if err := addLines(header, string(content)); err != nil {
			return nil, fmt.Errorf("%s is %q: %w", EnvHeadersFile, c.HeadersFile, err)
		}
	}
	if c.TokenFile != "" {
		content, err := os.ReadFile(c.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", EnvTokenFile, err)
		}
		token := strings.TrimSpace(string(content))
		switch {
		case token == "":
			return nil, fmt.Errorf("%s is %q, which is empty: put a token in it", EnvTokenFile, c.TokenFile)
		case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
			return nil, fmt.Errorf("%s is %q, which holds more than a token: put the token alone in it", EnvTokenFile, c.TokenFile)
		case header.Get("Authorization") != "":
			return nil, fmt.Errorf("%s and %s both have an Authorization: take one of them away", EnvTokenFile, EnvHeadersFile)
		}
		header.Set("Authorization", "Bearer "+token)
	}
	return header, nil
}

func addLines(header http.Header, content string) error {
	number := 0
	for line := range strings.Lines(content) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, found := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case !found || !httpguts.ValidHeaderFieldName(name):
			return fmt.Errorf("line %d is no header: write it as Name: value", number)
		case !httpguts.ValidHeaderFieldValue(value):
			return fmt.Errorf("line %d: the value of %s has a control character: take it away", number, name)
		case isReserved(name):
			return fmt.Errorf("line %d: %s is not for you to set: take the line away", number, name)
		}
		header.Add(name, value)
	}
	if len(header) == 0 {
		return errors.New("it holds no header: write them as Name: value, one in a line")
	}
	return nil
}

// shortestSecret is what is looked for in a handler's answer, in bytes: shorter values would
// be found by chance.
const shortestSecret = 4

// conceal takes what must not be told out of a handler's answer, which may repeat what it
// was sent.
func (d *Deliverer) conceal(answer string, sent http.Header) string {
	var secrets []string
	for _, values := range sent {
		for _, value := range values {
			_, token, _ := strings.Cut(value, " ") // of "Bearer" and the like
			secrets = append(secrets, value, token)
		}
	}
	if password, has := d.HandlerURL.User.Password(); has {
		pair := d.HandlerURL.User.Username() + ":" + password
		secrets = append(secrets, base64.StdEncoding.EncodeToString([]byte(pair)), password)
	}
	for _, secret := range secrets {
		if len(secret) >= shortestSecret {
			answer = strings.ReplaceAll(answer, secret, "…")
		}
	}
	return answer
}
