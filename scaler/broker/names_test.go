package broker_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// zone is what a name server knows: the alias or the address of each name.
type zone map[string]string

// resolver asks a name server on loopback, which answers as CoreDNS does: with all aliases
// up to the address in one message. A nil zone never answers.
func (z zone) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = socket.Close() })
	go func() {
		buffer := make([]byte, 1<<16)
		for {
			n, from, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			var query dnsmessage.Message
			if z == nil || query.Unpack(buffer[:n]) != nil {
				continue
			}
			if reply, err := z.answer(query).Pack(); err == nil {
				_, _ = socket.WriteTo(reply, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", socket.LocalAddr().String())
	}}
}

func (z zone) answer(query dnsmessage.Message) *dnsmessage.Message {
	question := query.Questions[0]
	reply := &dnsmessage.Message{Header: dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true}, Questions: query.Questions}
	name := question.Name
	for range 5 { // and no more: names may go round in circles
		leads, ok := z[name.String()]
		header := dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: 5}
		ip, err := netip.ParseAddr(leads)
		switch {
		case !ok:
			reply.RCode = dnsmessage.RCodeNameError
			return reply
		case err != nil:
			name = dnsmessage.MustNewName(leads)
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.CNAMEResource{CNAME: name}})
			continue
		case ip.Is4() && question.Type == dnsmessage.TypeA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: ip.As4()}})
		case ip.Is6() && question.Type == dnsmessage.TypeAAAA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
		}
		break
	}
	return reply
}

// A name leads where it is allowed to, or nowhere. An address of loopback that is refused
// tells that the name itself was not.
func TestWhereAnAllowedNameLeads(t *testing.T) {
	const byAddress = "redis.shop.svc:1 (127.0.0.1) is not allowed"
	tests := map[string]struct {
		list string
		zone zone
		want string // of the error; empty: a connection was tried
	}{
		"no alias":             {"*.svc", zone{"redis.shop.svc.": "127.0.0.1"}, byAddress},
		"the cluster's domain": {"*.svc", zone{"redis.shop.svc.": "redis.shop.svc.cluster.local.", "redis.shop.svc.cluster.local.": "127.0.0.1"}, byAddress},
		"an allowed alias":     {"*.svc, *.example.com", zone{"redis.shop.svc.": "cache.example.com.", "cache.example.com.": "127.0.0.1"}, byAddress},
		"another's Service":    {"*.svc", zone{"redis.shop.svc.": "redis.team-a.svc.cluster.local.", "redis.team-a.svc.cluster.local.": "127.0.0.1"}, byAddress},
		"ExternalName": {"*.svc", zone{"redis.shop.svc.": "evil.example.com.", "evil.example.com.": "127.0.0.1"},
			"a connection to redis.shop.svc:1, which is an alias of evil.example.com, is not allowed: the administrator"},
		"two in a row": {"*.svc", zone{"redis.shop.svc.": "b.shop.svc.cluster.local.", "b.shop.svc.cluster.local.": "evil.example.com.", "evil.example.com.": "127.0.0.1"},
			"which is an alias of evil.example.com, is not allowed"},
		"a name that begins as it does": {"*.svc", zone{"redis.shop.svc.": "redis.shop.svc.example.com.", "redis.shop.svc.example.com.": "127.0.0.1"},
			"which is an alias of redis.shop.svc.example.com, is not allowed"},
		"the name alone":              {"redis.shop.svc", zone{"redis.shop.svc.": "redis.team-a.svc.cluster.local.", "redis.team-a.svc.cluster.local.": "127.0.0.1"}, "which is an alias of redis.team-a.svc.cluster.local, is not"},
		"to an address of a network":  {"*.svc, 127.0.0.0/8", zone{"redis.shop.svc.": "evil.example.com.", "evil.example.com.": "127.0.0.1"}, ""},
		"to one of no network":        {"*.svc, 10.0.0.0/8", zone{"redis.shop.svc.": "evil.example.com.", "evil.example.com.": "127.0.0.1"}, "which is an alias of evil.example.com, is not allowed"},
		"loopback that a network has": {"*.svc, 127.0.0.1", zone{"redis.shop.svc.": "127.0.0.1"}, ""},
		"loopback of IPv6":            {"*.svc", zone{"redis.shop.svc.": "::1"}, "redis.shop.svc:1 (::1) is not allowed"},
		"a cloud's metadata":          {"*.svc", zone{"redis.shop.svc.": "169.254.169.254"}, "redis.shop.svc:1 (169.254.169.254) is not allowed"},
		"a link's address":            {"*.svc", zone{"redis.shop.svc.": "fe80::1"}, "redis.shop.svc:1 (fe80::1) is not allowed"},
		"mapped to IPv6":              {"*.svc", zone{"redis.shop.svc.": "::ffff:169.254.169.254"}, "169.254.169.254) is not allowed"},
		"all addresses":               {"*.svc", zone{"redis.shop.svc.": "0.0.0.0"}, "redis.shop.svc:1 (0.0.0.0) is not allowed"},
		"multicast":                   {"*.svc", zone{"redis.shop.svc.": "224.0.0.1"}, "redis.shop.svc:1 (224.0.0.1) is not allowed"},
		"localhost under a name":      {"*.svc, localhost", zone{"redis.shop.svc.": "127.0.0.1"}, byAddress},
		"nowhere":                     {"*.svc", zone{}, "no such host"},
		"in circles":                  {"*.svc", zone{"redis.shop.svc.": "a.svc.", "a.svc.": "redis.shop.svc."}, "no such host"},
		"no list":                     {"", zone{"redis.shop.svc.": "evil.example.com.", "evil.example.com.": "127.0.0.1"}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := newPool(t, sampling.Options{
				Options: broker.Options{
					Allowed:       allowing(t, test.list),
					Resolver:      test.zone.resolver(t),
					SearchDomains: []string{"svc.cluster.local", "cluster.local."},
					ReadTimeout:   3 * time.Second,
				},
			})
			_, err := pool.Depth(t.Context(), broker.Server{Address: "redis.shop.svc:1"}, list("q"))
			require.Error(t, err)
			if test.want == "" {
				assert.Equal(t, broker.Unreachable, causeOf(err), "%v", err)
				assert.ErrorContains(t, err, "127.0.0.1:1: connect: connection refused")
				return
			}
			assert.ErrorContains(t, err, test.want)
			if causeOf(err) != broker.UnknownHost {
				assert.Equal(t, broker.NotAllowed, causeOf(err), "%v", err)
			}
		})
	}
}

// A name server that does not answer takes no longer than a connection may.
func TestASilentNameServer(t *testing.T) {
	pool := newPool(t, sampling.Options{Options: broker.Options{Allowed: allowing(t, "*.svc"), Resolver: zone(nil).resolver(t), ReadTimeout: quick}})
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	_, err := pool.Depth(ctx, broker.Server{Address: "redis.shop.svc:1"}, list("q"))
	assert.Equal(t, broker.Unreachable, causeOf(err), "%v", err)
	assert.NoError(t, ctx.Err(), "the read ended, not the test")
}
