package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

const noRight = `pubsubchannels.pubsub.jawaracloud.io is forbidden: User "jane" cannot patch resource "pubsubchannels"`

// What is done of none, one and many channels, what is told where, and with which exit code.
func TestPausingManyChannels(t *testing.T) {
	forbid := func(s *fakeServer, names ...string) {
		for _, name := range names {
			s.fails("PATCH "+name, 403, metav1.StatusReasonForbidden, noRight)
		}
	}
	team := func(channel *v1.PubSubChannel) { channel.Labels = map[string]string{"team": "shop"} }
	for name, test := range map[string]struct {
		args     string
		channels []*v1.PubSubChannel
		server   func(*fakeServer)
		out      string
		problems string
		errs     []string // a part of each
	}{
		"none of all":        {args: "pause --all", problems: "there is no PubSubChannel in namespace shop\n"},
		"none anywhere":      {args: "pause --all -A", problems: "there is no PubSubChannel in any namespace\n"},
		"none of the labels": {args: "resume -l team=shop", channels: []*v1.PubSubChannel{fakeChannel("shop", "orders")}, problems: "there is no PubSubChannel with the labels team=shop in namespace shop\n"},
		"one":                {args: "pause --all", channels: []*v1.PubSubChannel{fakeChannel("shop", "orders")}, out: "pubsubchannel/orders paused\n"},
		"some are paused already": {args: "pause --all", channels: []*v1.PubSubChannel{fakeChannel("shop", "mails", paused), fakeChannel("shop", "orders"), fakeChannel("bank", "bills")},
			out: "pubsubchannel/mails was paused already\npubsubchannel/orders paused\n"},
		"none is paused": {args: "resume --all", channels: []*v1.PubSubChannel{fakeChannel("shop", "orders")}, out: "pubsubchannel/orders was not paused by spec.paused\n"},
		"all namespaces": {args: "pause --all -A", channels: []*v1.PubSubChannel{fakeChannel("shop", "orders"), fakeChannel("bank", "bills", paused)},
			out: "pubsubchannel/bills was paused already in namespace bank\npubsubchannel/orders paused in namespace shop\n"},
		"labels in all namespaces": {args: "pause -l team=shop --all-namespaces", channels: []*v1.PubSubChannel{fakeChannel("shop", "orders", team), fakeChannel("bank", "bills")},
			out: "pubsubchannel/orders paused in namespace shop\n"},
		"twice the same": {args: "pause orders orders", channels: []*v1.PubSubChannel{fakeChannel("shop", "orders")}, out: "pubsubchannel/orders paused\n"},
		"one of two names is wrong": {args: "pause orderz mails", channels: []*v1.PubSubChannel{fakeChannel("shop", "orders"), fakeChannel("shop", "mails")},
			out: "pubsubchannel/mails paused\n", errs: []string{`there is no PubSubChannel "orderz" in namespace "shop": did you mean orders?`, "1 of 2 channels could not be paused"}},
		"one fails alone": {args: "pause orders", channels: []*v1.PubSubChannel{fakeChannel("shop", "orders")}, server: func(s *fakeServer) { forbid(s, "orders") },
			errs: []string{"changing PubSubChannel shop/orders: you need the right to patch pubsubchannels.pubsub.jawaracloud.io in namespace \"shop\""}},
		"some fail": {args: "resume --all", channels: []*v1.PubSubChannel{fakeChannel("shop", "a", paused), fakeChannel("shop", "b", paused), fakeChannel("shop", "c", paused)},
			server: func(s *fakeServer) { forbid(s, "a", "c") },
			out:    "pubsubchannel/b resumed\n", errs: []string{"changing PubSubChannel shop/a: you need the right", "changing PubSubChannel shop/c: you need the right", "2 of 3 channels could not be resumed"}},
		"nothing more is asked of a server that knows nobody": {args: "pause --all", channels: []*v1.PubSubChannel{fakeChannel("shop", "a"), fakeChannel("shop", "b"), fakeChannel("shop", "c")},
			server: func(s *fakeServer) { s.fails("PATCH b", 401, metav1.StatusReasonUnauthorized, "Unauthorized") },
			out:    "pubsubchannel/a paused\n", errs: []string{"changing PubSubChannel shop/b: the API server does not know you: log in again", "not tried: 1 more", "2 of 3 channels could not be paused"}},
		"deleted meanwhile": {args: "pause --all", channels: []*v1.PubSubChannel{fakeChannel("shop", "a"), fakeChannel("shop", "b")},
			server: func(s *fakeServer) { s.fails("PATCH a", 404, metav1.StatusReasonNotFound, "not found") },
			out:    "pubsubchannel/b paused\n", problems: "left out: PubSubChannel shop/a was deleted meanwhile\n"},
		"deleted meanwhile, but named": {args: "pause a", channels: []*v1.PubSubChannel{fakeChannel("shop", "a")},
			server: func(s *fakeServer) { s.fails("PATCH a", 404, metav1.StatusReasonNotFound, "not found") },
			errs:   []string{"PubSubChannel shop/a was deleted meanwhile"}},
		"all namespaces alone": {args: "pause -A", errs: []string{"--all-namespaces says where: choose the channels there with --all or --selector"}},
		"a name of all":        {args: "pause orders -A", errs: []string{"names conflict with --all-namespaces"}},
		"no labels":            {args: "pause --selector=", errs: []string{"name channels (kubectl get psc lists them), or choose them with --selector or --all"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeServer(t, 0, test.channels...)
			if test.server != nil {
				test.server(s)
			}
			out, problems, err := kubectl(t, strings.Fields(test.args)...)
			assert.Equal(t, test.out, out)
			assert.Equal(t, test.problems, problems)
			told := parts(err)
			require.Len(t, told, len(test.errs), "%v", err)
			for i, want := range test.errs {
				assert.ErrorContains(t, told[i], want)
			}
		})
	}
}

// Of a channel that this plugin can't decode it does not know whether it is paused.
func TestPausingAChannelThatCannotBeRead(t *testing.T) {
	key := types.NamespacedName{Namespace: "shop", Name: "orders"}
	s := newFakeServer(t, 0, fakeChannel("shop", "orders", paused))
	s.raw[key] = `{"paused":true,"messageTimeout":1.5}`
	out, _, err := kubectl(t, "pause", "orders")
	require.NoError(t, err)
	assert.Equal(t, "pubsubchannel/orders was paused already\n", out)
	out, _, err = kubectl(t, "resume", "orders")
	require.NoError(t, err)
	assert.Equal(t, "pubsubchannel/orders resumed\n", out)
	assert.False(t, s.channels[key].Spec.Paused)
	assert.Equal(t, []string{`orders {"spec":{"paused":true}}`, `orders {"spec":{"paused":null}}`}, s.patches, "the field is removed: it is nobody's then")
}

// Of several names, what status can show it shows, and the exit code tells of the rest.
func TestStatusOfSomeNames(t *testing.T) {
	newFakeServer(t, 0, fakeChannel("shop", "orders"))
	out, problems, err := kubectl(t, "status", "mails", "orders")
	require.ErrorContains(t, err, `there is no PubSubChannel "mails" in namespace "shop"`)
	assert.Contains(t, out, "\norders ")
	assert.Empty(t, problems)
	_, problems, err = kubectl(t, "status", "-n", "bank")
	require.NoError(t, err)
	assert.Equal(t, "there is no PubSubChannel in namespace bank\n", problems)
}
