// Package connection connects workers and publishers to DragonFly or Redis: to one server, to
// the master that sentinels name, or to a cluster, each with credentials and TLS.
package connection

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jawaracloud/pubsub-operator/scaler/address"
)

// Mode is how the servers are set up.
type Mode = address.Mode

// The modes.
const (
	Standalone = address.Standalone
	Sentinel   = address.Sentinel
	Cluster    = address.Cluster
)

// The environment variables.
const (
	EnvAddr             = "REDIS_ADDR"              // host:port, several separated by commas; required
	EnvMode             = "REDIS_MODE"              // Standalone (default), Sentinel or Cluster
	EnvSentinelMaster   = "REDIS_SENTINEL_MASTER"   // the master's name; required with Sentinel
	EnvDatabase         = "REDIS_DATABASE"          // 0 (default) to 65535; 0 in a cluster
	EnvUsername         = "REDIS_USERNAME"          // default none
	EnvPassword         = "REDIS_PASSWORD"          // default none
	EnvUsernameFile     = "REDIS_USERNAME_FILE"     // in place of EnvUsername; read for each connection
	EnvPasswordFile     = "REDIS_PASSWORD_FILE"     // in place of EnvPassword; read for each connection
	EnvSentinelUsername = "REDIS_SENTINEL_USERNAME" // default none
	EnvSentinelPassword = "REDIS_SENTINEL_PASSWORD" // default none
	EnvTLS              = "REDIS_TLS"               // true or false (default)
	EnvSentinelTLS      = "REDIS_SENTINEL_TLS"      // true or false; default that of EnvTLS
	EnvTLSCAFile        = "REDIS_TLS_CA_FILE"       // PEM; default the system's authorities
	EnvTLSCertFile      = "REDIS_TLS_CERT_FILE"     // PEM; default no client certificate
	EnvTLSKeyFile       = "REDIS_TLS_KEY_FILE"      // PEM; with EnvTLSCertFile
	EnvTLSServerName    = "REDIS_TLS_SERVER_NAME"   // default the address's host
)

const maxDatabase = 65535

// Settings say how to connect to the servers. Parse returns them.
type Settings struct {
	Mode           Mode
	Addresses      []string
	SentinelMaster string
	Database       int

	Username, Password                 string
	UsernameFile, PasswordFile         string
	SentinelUsername, SentinelPassword string

	TLS         *TLS // nil: plain connections to the servers that hold data
	SentinelTLS *TLS // nil: plain connections to the sentinels
}

// CredentialsFromFiles reports whether the credentials may change while the process runs.
func (s Settings) CredentialsFromFiles() bool { return s.UsernameFile != "" || s.PasswordFile != "" }

// Lookup is where Parse finds settings, by the environment's names.
type Lookup struct {
	// Get returns a setting's value; empty counts as unset.
	Get func(env string) string
	// Name is what the user calls the setting: the variable itself, or a flag.
	Name func(env string) string
}

// Parse reads the settings. The error names each wrong setting, its value and the remedy. It
// never contains a password.
func Parse(lookup Lookup) (Settings, error) {
	p := parser{Lookup: lookup}
	s := Settings{
		Mode:           Mode(p.oneOf(EnvMode, string(Standalone), string(Sentinel), string(Cluster))),
		SentinelMaster: p.Get(EnvSentinelMaster),
		Username:       p.Get(EnvUsername), Password: p.Get(EnvPassword),
		UsernameFile: p.Get(EnvUsernameFile), PasswordFile: p.Get(EnvPasswordFile),
		SentinelUsername: p.Get(EnvSentinelUsername), SentinelPassword: p.Get(EnvSentinelPassword),
	}
	s.Addresses = p.addresses(s.Mode)
	s.Database = p.database(s.Mode)
	s.TLS, s.SentinelTLS = p.tls(s.Mode)
	switch {
	case s.Mode == Sentinel && s.SentinelMaster == "":
		p.fail(EnvSentinelMaster, "set it to the name under which the sentinels know the master, for example mymaster")
	case s.Mode != Sentinel && s.SentinelMaster != "":
		p.fail(EnvSentinelMaster, "it is only for sentinels: set %s to Sentinel, or leave it out", p.Name(EnvMode))
	}
	p.either(EnvUsername, EnvUsernameFile)
	p.either(EnvPassword, EnvPasswordFile)
	return s, errors.Join(p.errs...)
}

type parser struct {
	Lookup
	errs []error
}

func (p *parser) fail(env, format string, args ...any) {
	p.failValue(env, p.Get(env), format, args...)
}

func (p *parser) failValue(env, value, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s is %q: %s", p.Name(env), value, fmt.Sprintf(format, args...)))
}

// oneOf returns the default, which is the first choice, if the value is wrong.
func (p *parser) oneOf(env string, choices ...string) string {
	value := p.Get(env)
	switch {
	case value == "":
		return choices[0]
	case slices.Contains(choices, value):
		return value
	}
	p.fail(env, "set it to one of %s", strings.Join(choices, ", "))
	return choices[0]
}

func (p *parser) addresses(mode Mode) []string {
	value := p.Get(EnvAddr)
	if strings.Contains(value, "@") || strings.Contains(value, "://") {
		p.failValue(EnvAddr, address.Shown(value), "set it to host:port without a scheme, user or path, for example dragonfly:6379; a password belongs in %s", EnvPassword)
		return nil
	}
	list, err := address.ParseList(value)
	switch {
	case err != nil:
		p.failValue(EnvAddr, address.Shown(value), "%v", err)
	case mode == Standalone && len(list) > 1:
		p.fail(EnvAddr, "it names %d servers: name one, or set %s to Sentinel or Cluster", len(list), p.Name(EnvMode))
	}
	return list
}

func (p *parser) database(mode Mode) int {
	value := p.Get(EnvDatabase)
	if value == "" {
		return 0
	}
	number, err := strconv.Atoi(value)
	switch {
	case err != nil || number < 0 || number > maxDatabase:
		p.fail(EnvDatabase, "set it to a whole number from 0 to %d", maxDatabase)
		return 0
	case number > 0 && mode == Cluster:
		p.fail(EnvDatabase, "a cluster has database 0 only: leave it out")
	}
	return number
}

// tls is for the servers, and for the sentinels.
func (p *parser) tls(mode Mode) (servers, sentinels *TLS) {
	t := &TLS{
		CAFile: p.Get(EnvTLSCAFile), CertFile: p.Get(EnvTLSCertFile), KeyFile: p.Get(EnvTLSKeyFile),
		ServerName: p.Get(EnvTLSServerName),
	}
	if p.oneOf(EnvTLS, "false", "true") == "true" {
		servers = t
	}
	switch given := p.Get(EnvSentinelTLS) != ""; {
	case given && mode != Sentinel:
		p.fail(EnvSentinelTLS, "it is only for sentinels: set %s to Sentinel, or leave it out", p.Name(EnvMode))
	case !given && mode == Sentinel:
		sentinels = servers
	case given && p.oneOf(EnvSentinelTLS, "false", "true") == "true":
		sentinels = t
	}
	if servers != nil || sentinels != nil {
		if (t.CertFile == "") != (t.KeyFile == "") {
			p.fail(EnvTLSCertFile, "a client certificate needs both files: set %s, too, or neither", p.Name(EnvTLSKeyFile))
		}
		return servers, sentinels
	}
	for _, env := range []string{EnvTLSCAFile, EnvTLSCertFile, EnvTLSKeyFile, EnvTLSServerName} {
		if p.Get(env) != "" {
			p.fail(env, "it is only for TLS: set %s to true, or leave it out", p.Name(EnvTLS))
		}
	}
	return nil, nil
}

// either refuses a value that is set both directly and by a file.
func (p *parser) either(env, file string) {
	if p.Get(env) != "" && p.Get(file) != "" {
		p.fail(file, "it conflicts with %s: set only one of them", p.Name(env))
	}
}
