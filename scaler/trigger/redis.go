package trigger

import (
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

var modes = []Mode{Standalone, Sentinel, Cluster}

// maxDatabase is the greatest number of a database; a server has 16 by default.
const maxDatabase = 65535

// Secret is a reference to a key of a Secret in the ScaledObject's namespace, or the value
// itself, which came from an environment; the zero value is neither.
type Secret struct {
	Name, Key string
	Value     string
}

// IsZero tells whether nothing is given.
func (s Secret) IsZero() bool { return s == Secret{} }

// Redis says how the server is reached.
type Redis struct {
	Address        string // host:port, several separated by commas in modes Sentinel and Cluster
	Mode           Mode
	SentinelMaster string
	Database       int

	Username, Password                 Secret
	SentinelUsername, SentinelPassword Secret

	TLS               bool   // with the servers that hold data
	SentinelTLS       bool   // with the sentinels; false in other modes
	TLSServerName     string // empty: the host of the address
	CA                Secret
	ClientCertificate string // the Secret's name
}

// RefersToSecrets tells whether any Secret is named.
func (r Redis) RefersToSecrets() bool {
	return r.Username.Name != "" || r.Password.Name != "" || r.SentinelUsername.Name != "" ||
		r.SentinelPassword.Name != "" || r.CA.Name != "" || r.ClientCertificate != ""
}

// secret reads a reference "name/key" whose key has a default.
func (p *parser) secret(valueKey, referenceKey, defaultKey string) Secret {
	if p.metadata[valueKey] != "" {
		p.fail(referenceKey, "%s gives it too: leave one of the two out", valueKey)
	}
	name, key, found := strings.Cut(p.metadata[referenceKey], "/")
	if !found {
		key = defaultKey
	}
	if name == "" || key == "" || strings.ContainsAny(key, "/ ") || strings.Contains(name, " ") {
		p.fail(referenceKey, "it must be the name of a Secret and a key in it, for example redis-auth/%s", defaultKey)
	}
	return Secret{Name: name, Key: key}
}

// sentinelTLS is whether sentinels are spoken to by TLS: as servers are, unless the trigger says otherwise.
func (p *parser) sentinelTLS(r Redis) bool {
	byDefault := r.Mode == Sentinel && r.TLS
	if p.metadata[KeySentinelTLS] == "" {
		return byDefault
	}
	return oneOf(p, KeySentinelTLS, []string{"false", "true"}) == "true"
}

// checkRedis refuses what does not go together; the rules are those of the CRD.
func (p *parser) checkRedis(r Redis) {
	addresses, err := address.ParseList(r.Address)
	switch {
	case err != nil:
		p.fail(KeyRedisAddress, "%v", err)
	case len(addresses) > 1 && r.Mode == Standalone:
		p.fail(KeyRedisAddress, "several servers are for redisMode Sentinel or Cluster only; name one, or set redisMode")
	}
	switch {
	case r.Mode == Sentinel && r.SentinelMaster == "":
		p.fail(KeySentinelMaster, "it must be the name under which the sentinels know the master, for example mymaster")
	case r.Mode != Sentinel && r.SentinelMaster != "":
		p.fail(KeySentinelMaster, "it belongs to redisMode Sentinel; leave it out, or set redisMode")
	case r.Mode != Sentinel && (!r.SentinelUsername.IsZero() || !r.SentinelPassword.IsZero()):
		p.fail(p.given(KeySentinelPasswordFromSecret, KeySentinelPassword, KeySentinelUsernameFromSecret, KeySentinelUsername),
			"sentinels' credentials belong to redisMode Sentinel; leave them out, or set redisMode")
	}
	switch {
	case r.Database < 0 || r.Database > maxDatabase:
		p.fail(KeyDatabase, "it must be from 0 to %d", maxDatabase)
	case r.Mode == Cluster && r.Database != 0:
		p.fail(KeyDatabase, "a cluster has database 0 only; leave it out")
	}
	if !r.Username.IsZero() && r.Password.IsZero() {
		p.fail(KeyPasswordFromSecret, "an ACL user needs a password, too; set it, or leave the username out")
	}
	if !r.SentinelUsername.IsZero() && r.SentinelPassword.IsZero() {
		p.fail(KeySentinelPasswordFromSecret, "an ACL user needs a password, too; set it, or leave the username out")
	}
	if r.Mode != Sentinel && p.metadata[KeySentinelTLS] != "" {
		p.fail(KeySentinelTLS, "it belongs to redisMode Sentinel; leave it out, or set redisMode")
	}
	if !r.TLS && !r.SentinelTLS && (r.TLSServerName != "" || !r.CA.IsZero() || r.ClientCertificate != "") {
		words := ""
		if r.Mode == Sentinel {
			words = ", or sentinelTLS for the sentinels,"
		}
		if p.metadata["enableTLS"] != "" {
			words += " (enableTLS is KEDA's, for its connection to the scaler)"
		}
		p.fail(KeyTLS, "tlsServerName, caFromSecret and clientCertificateFromSecret are for TLS; set tls to true%s, or leave them out", words)
	}
}

// given is the first of some keys that has a value.
func (p *parser) given(keys ...string) string {
	for _, key := range keys {
		if p.metadata[key] != "" {
			return key
		}
	}
	return keys[0]
}
