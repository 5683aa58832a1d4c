package broker_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// A name leads where it is allowed to, or nowhere. An address of loopback that is refused
// tells that the name itself was not.
func TestWhereAnAllowedNameLeads(t *testing.T) {
	const byAddress = "redis.shop.svc:1 (127.0.0.1) is not allowed"
	tests := map[string]struct {
		list string
		zone redistest.Zone
		want string // of the error; empty: a connection was tried
	}{
		"no alias":             {"*.svc", redistest.Zone{"redis.shop.svc.": "127.0.0.1"}, byAddress},
		"the cluster's domain": {"*.svc", redistest.Zone{"redis.shop.svc.": "redis.shop.svc.cluster.local.", "redis.shop.svc.cluster.local.": "127.0.0.1"}, byAddress},
		"an allowed alias":     {"*.svc, *.example.com", redistest.Zone{"redis.shop.svc.": "cache.example.com.", "cache.example.com.": "127.0.0.1"}, byAddress},
		"another's Service":    {"*.svc", redistest.Zone{"redis.shop.svc.": "redis.team-a.svc.cluster.local.", "redis.team-a.svc.cluster.local.": "127.0.0.1"}, byAddress},
		"ExternalName": {"*.svc", redistest.Zone{"redis.shop.svc.": "evil.example.com.", "evil.example.com.": "127.0.0.1"},
			"a connection to redis.shop.svc:1, which is an alias of evil.example.com, is not allowed: the administrator"},
		"two in a row": {"*.svc", redistest.Zone{"redis.shop.svc.": "b.shop.svc.cluster.local.", "b.shop.svc.cluster.local.": "evil.example.com.", "evil.example.com.": "127.0.0.1"},
			"which is an alias of evil.example.com, is not allowed"},
		"a name that begins as it does": {"*.svc", redistest.Zone{"redis.shop.svc.": "redis.shop.svc.example.com.", "redis.shop.svc.example.com.": "127.0.0.1"},
			"which is an alias of redis.shop.svc.example.com, is not allowed"},
		"the name alone":              {"redis.shop.svc", redistest.Zone{"redis.shop.svc.": "redis.team-a.svc.cluster.local.", "redis.team-a.svc.cluster.local.": "127.0.0.1"}, "which is an alias of redis.team-a.svc.cluster.local, is not"},
		"to an address of a network":  {"*.svc, 127.0.0.0/8", redistest.Zone{"redis.shop.svc.": "evil.example.com.", "evil.example.com.": "127.0.0.1"}, ""},
		"to one of no network":        {"*.svc, 10.0.0.0/8", redistest.Zone{"redis.shop.svc.": "evil.example.com.", "evil.example.com.": "127.0.0.1"}, "which is an alias of evil.example.com, is not allowed"},
		"loopback that a network has": {"*.svc, 127.0.0.1", redistest.Zone{"redis.shop.svc.": "127.0.0.1"}, ""},
		"loopback of IPv6":            {"*.svc", redistest.Zone{"redis.shop.svc.": "::1"}, "redis.shop.svc:1 (::1) is not allowed"},
		"a cloud's metadata":          {"*.svc", redistest.Zone{"redis.shop.svc.": "169.254.169.254"}, "redis.shop.svc:1 (169.254.169.254) is not allowed"},
		"a link's address":            {"*.svc", redistest.Zone{"redis.shop.svc.": "fe80::1"}, "redis.shop.svc:1 (fe80::1) is not allowed"},
		"mapped to IPv6":              {"*.svc", redistest.Zone{"redis.shop.svc.": "::ffff:169.254.169.254"}, "169.254.169.254) is not allowed"},
		"all addresses":               {"*.svc", redistest.Zone{"redis.shop.svc.": "0.0.0.0"}, "redis.shop.svc:1 (0.0.0.0) is not allowed"},
		"multicast":                   {"*.svc", redistest.Zone{"redis.shop.svc.": "224.0.0.1"}, "redis.shop.svc:1 (224.0.0.1) is not allowed"},
		"localhost under a name":      {"*.svc, localhost", redistest.Zone{"redis.shop.svc.": "127.0.0.1"}, byAddress},
		"nowhere":                     {"*.svc", redistest.Zone{}, "no such host"},
		"in circles":                  {"*.svc", redistest.Zone{"redis.shop.svc.": "a.svc.", "a.svc.": "redis.shop.svc."}, "no such host"},
		"no list":                     {"", redistest.Zone{"redis.shop.svc.": "evil.example.com.", "evil.example.com.": "127.0.0.1"}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := newPool(t, sampling.Options{
				Options: broker.Options{
					Allowed:       allowing(t, test.list),
					Resolver:      test.zone.Resolver(t),
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
	pool := newPool(t, sampling.Options{Options: broker.Options{Allowed: allowing(t, "*.svc"), Resolver: redistest.Zone(nil).Resolver(t), ReadTimeout: quick}})
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	_, err := pool.Depth(ctx, broker.Server{Address: "redis.shop.svc:1"}, list("q"))
	assert.Equal(t, broker.Unreachable, causeOf(err), "%v", err)
	assert.NoError(t, ctx.Err(), "the read ended, not the test")
}
