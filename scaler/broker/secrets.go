package broker

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// Keys of Secrets, as type kubernetes.io/tls and cert-manager name them.
const (
	caKey          = "ca.crt"
	certificateKey = "tls.crt"
	privateKeyKey  = "tls.key"
)

// material is the content of the Secrets that a server refers to. It is comparable, so
// that a change is noticed. It must not be logged.
type material struct {
	username, password                 string
	sentinelUsername, sentinelPassword string
	ca, certificate, privateKey        string
}

// SecretError is a Secret without what a server needs of it. It never shows a value.
type SecretError struct {
	Purpose         string // what it is for, such as "the password"
	Namespace, Name string // no name: the value came from an environment
	Key             string // empty: the Secret itself can't be read
	Err             error
}

func (e *SecretError) Unwrap() error { return e.Err }

func (e *SecretError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("%s from the environment: %v", e.Purpose, e.Err)
	}
	if e.Key == "" {
		return fmt.Sprintf("Secret %s/%s with %s can't be read: %v", e.Namespace, e.Name, e.Purpose, e.Err)
	}
	return fmt.Sprintf("key %s of Secret %s/%s with %s: %v", e.Key, e.Namespace, e.Name, e.Purpose, e.Err)
}

var (
	errNoSecrets = errors.New("the scaler has no access to Secrets")
	errNoKey     = errors.New("the Secret does not have the key, or it is empty")
	// errBreak: what asks for a password takes one line, and a server's answer would repeat
	// what comes after it.
	errBreak = errors.New("it holds a line break or a NUL character, perhaps at its end: make it with --from-literal or printf, not with echo")
)

// reading resolves the references of one server; each Secret is read once.
type reading struct {
	ctx     context.Context //nolint:containedctx // it lasts as long as the one call of resolve
	source  Secrets
	server  Server
	secrets map[string]map[string][]byte
}

// resolve reads what the server refers to.
func resolve(ctx context.Context, source Secrets, server Server) (material, error) {
	r := reading{ctx: ctx, source: source, server: server, secrets: map[string]map[string][]byte{}}
	var m material
	var errs [7]error
	m.username, errs[0] = r.credential("the username", server.Username, "username")
	m.password, errs[1] = r.credential("the password", server.Password, "password")
	m.sentinelUsername, errs[2] = r.credential("the sentinels' username", server.SentinelUsername, "username")
	m.sentinelPassword, errs[3] = r.credential("the sentinels' password", server.SentinelPassword, "password")
	if server.TLS.used() {
		certificate := server.TLS.Certificate
		m.ca, errs[4] = r.value("the CA", server.TLS.CA, caKey)
		m.certificate, errs[5] = r.value("the client certificate", Secret{Name: certificate.Name}, certificateKey)
		m.privateKey, errs[6] = r.value("the client certificate", Secret{Name: certificate.Name}, privateKeyKey)
	}
	for _, err := range errs {
		if err != nil {
			return material{}, err
		}
	}
	return m, nil
}

// credential is a value that is sent to a server as one word.
func (r *reading) credential(purpose string, secret Secret, defaultKey string) (string, error) {
	value, err := r.value(purpose, secret, defaultKey)
	if err != nil || !strings.ContainsAny(value, "\r\n\x00") {
		return value, err
	}
	failure := &SecretError{Purpose: purpose, Namespace: r.server.Namespace, Name: secret.Name, Err: errBreak}
	if secret.Name != "" {
		failure.Key = cmp.Or(secret.Key, defaultKey)
	}
	return "", failure
}

// value is that of a secret, or of the key of the Secret that it refers to.
func (r *reading) value(purpose string, secret Secret, defaultKey string) (string, error) {
	if secret.Name == "" {
		return secret.Value, nil
	}
	failure := &SecretError{Purpose: purpose, Namespace: r.server.Namespace, Name: secret.Name}
	data, ok := r.secrets[secret.Name]
	if !ok {
		if r.source == nil {
			failure.Err = errNoSecrets
			return "", failure
		}
		var err error
		if data, err = r.source.Secret(r.ctx, r.server.Namespace, secret.Name); err != nil {
			failure.Err = err
			return "", failure
		}
		r.secrets[secret.Name] = data
	}
	failure.Key = cmp.Or(secret.Key, defaultKey)
	value := data[failure.Key]
	if len(value) == 0 {
		failure.Err = errNoKey
		return "", failure
	}
	return string(value), nil
}

// pairError is why a certificate and its key can't be used, without what crypto/tls tells of
// their content: it lists the kinds of PEM blocks that it passed over, and a parser may tell more.
func pairError(err error) error {
	text, _, _ := strings.Cut(err.Error(), " after skipping PEM blocks")
	if !strings.HasPrefix(text, "tls: ") || strings.Contains(text, "parse") {
		text = "they can't be read as a certificate (X.509) and its key (PKCS #1, PKCS #8 or SEC 1)"
	}
	return errors.New(text)
}

// tlsConfig is that of encrypted connections to the server; nil where there are none.
func (m material) tlsConfig(server Server) (*tls.Config, error) {
	if !server.TLS.used() {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: server.TLS.ServerName}
	if m.ca != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(m.ca)) {
			return nil, &SecretError{
				Purpose: "the CA", Namespace: server.Namespace, Name: server.TLS.CA.Name,
				Key: cmp.Or(server.TLS.CA.Key, caKey), Err: errors.New("it holds no certificate in PEM"),
			}
		}
	}
	if m.certificate != "" {
		pair, err := tls.X509KeyPair([]byte(m.certificate), []byte(m.privateKey))
		if err != nil {
			return nil, &SecretError{
				Purpose: "the client certificate", Namespace: server.Namespace, Name: server.TLS.Certificate.Name,
				Key: certificateKey + " and " + privateKeyKey, Err: pairError(err),
			}
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
