package feed

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/record"
)

// run runs a feed until the test ends.
func run(t *testing.T, f *Feed, options Options) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Run(ctx, options)
	}()
	t.Cleanup(func() {
		stop()
		select {
		case <-ended:
		case <-time.After(soon):
			assert.Fail(t, "the feed does not end")
		}
	})
}

// shown are the fleet's channels in order.
func shown(f *Feed) string {
	keys := f.fleet.Keys("")
	slices.Sort(keys)
	return strings.Join(keys, " ")
}

// followed are the scopes that are told: those that are not permitted have a minus before them.
func followed(f *Feed) string {
	var names []string
	for _, namespace := range f.fleet.Namespaces() {
		name := namespace.Name
		if name == "" {
			name = "*"
		}
		if !namespace.Permitted {
			name = "-" + name
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func points(t *testing.T, f *Feed, key string) int {
	t.Helper()
	detail, _ := f.fleet.Channel(key, &record.Position{})
	return len(detail.Points)
}

// A user who may read some namespaces first, and all later, has each followed once; and when that right goes, those that are
// left are followed one by one again. The past of a channel that is permitted all the time is not lost.
func TestRightsComeAndGo(t *testing.T) {
	s := newAPIServer(t, "bank", "shop")
	s.permit("shop", true)
	s.put("shop", "orders", 1)
	s.put("bank", "bills", 1)
	f := s.feed()
	run(t, f, Options{Own: "shop"})
	becomes := func(words string, want func() bool) {
		t.Helper()
		require.Eventually(t, want, soon, tick, "%s: %s of %s", words, shown(f), followed(f))
	}
	becomes("one namespace is permitted", func() bool {
		return shown(f) == "shop/orders" && followed(f) == "-* -bank shop" && s.open("shop") == 1
	})
	s.put("shop", "orders", 2)
	becomes("it changed", func() bool { return points(t, f, "shop/orders") == 2 })

	s.permit("", true)
	becomes("all are permitted", func() bool {
		return shown(f) == "bank/bills shop/orders" && followed(f) == "*" && s.open("") == 1 && s.open("shop") == 0
	})
	s.permit("shop", false) // of one who follows it still this would be seen
	s.put("shop", "orders", 3)
	becomes("it changed again", func() bool { return points(t, f, "shop/orders") == 3 })
	s.remove("bank/bills")
	becomes("one is gone", func() bool { return shown(f) == "shop/orders" })
	s.put("bank", "bills", 2)

	s.permit("shop", true)
	s.permit("", false)
	becomes("all are not permitted any more", func() bool {
		return shown(f) == "shop/orders" && followed(f) == "-* -bank shop" && s.open("") == 0 && s.open("shop") == 1
	})
	assert.Equal(t, 3, points(t, f, "shop/orders"), "its past stays")
	s.permit("shop", false)
	becomes("nothing is permitted", func() bool { return shown(f) == "" && followed(f) == "-* -bank -shop" })
}

// What was deleted while another follower began is gone.
func TestWhatWasDeletedWhileRightsChanged(t *testing.T) {
	s := newAPIServer(t, "bank", "shop")
	s.permit("", true)
	for _, key := range []string{"shop", "bank"} {
		s.permit(key, true)
		s.put(key, "orders", 1)
		s.put(key, "bills", 1)
	}
	f := s.feed()
	w := f.newFollower("", &apart{feed: f, own: "shop"})
	_, err := w.list(t.Context())
	require.NoError(t, err)
	require.Equal(t, "bank/bills bank/orders shop/bills shop/orders", shown(f))
	s.remove("bank/bills")
	w.refused(t.Context())
	require.Eventually(t, func() bool { return shown(f) == "bank/orders shop/bills shop/orders" }, soon, tick)
	s.remove("shop/bills")
	_, err = w.list(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "bank/orders shop/orders", shown(f))
	require.Eventually(t, func() bool { return s.open("shop")+s.open("bank") == 0 }, soon, tick, "who followed them has ended")
	assert.Empty(t, w.apart.orphans)
}

// While namespaces are followed one by one, new ones are found, and deleted ones leave. Without the right to list them, those
// that were known stay.
func TestNamespacesComeAndGo(t *testing.T) {
	s := newAPIServer(t, "bank", "shop")
	for _, name := range []string{"bank", "shop", "mail"} {
		s.permit(name, true)
		s.put(name, "orders", 1)
	}
	s.permit(namespacesRight, false)
	f := s.feed()
	run(t, f, Options{Own: "shop"})
	why := func() string { return f.fleet.Namespaces()[0].Why }
	require.Eventually(t, func() bool {
		return followed(f) == "-* shop" && shown(f) == "shop/orders" && strings.Contains(why(), "only shop is tried")
	}, soon, tick)
	s.permit(namespacesRight, true)
	require.Eventually(t, func() bool { return followed(f) == "-* shop bank" && shown(f) == "bank/orders shop/orders" }, soon, tick)
	assert.NotContains(t, why(), "is tried")
	s.setNamespaces("mail", "shop")
	require.Eventually(t, func() bool {
		return followed(f) == "-* shop mail" && shown(f) == "mail/orders shop/orders" && s.open("bank") == 0
	}, soon, tick)
	s.permit(namespacesRight, false)
	require.Eventually(t, func() bool { return strings.Contains(why(), "unless it was known before") }, soon, tick)
	assert.Equal(t, "mail/orders shop/orders", shown(f))
}

// An object that nobody can decode is a row that says so, and the others are followed all the same; the API server is not away.
func TestUndecodableObjectsHoldUpNobody(t *testing.T) {
	const newer = `{"apiVersion":"pubsub.jawaracloud.io/v2","kind":"PubSubChannel","metadata":{"namespace":"shop","name":"newer","uid":"9","resourceVersion":"3"},"spec":{"queues":[]}}`
	const odd = `{"apiVersion":"pubsub.jawaracloud.io/v1","metadata":{"namespace":"shop","name":"odd","labels":7}}`
	s := newAPIServer(t)
	s.permit("shop", true)
	s.putRaw("shop/newer", newer)
	s.putRaw("shop/x", `{"metadata":{"name":7}}`)
	s.put("shop", "orders", 1)
	f := s.feed()
	run(t, f, Options{Namespaces: []string{"shop"}})
	require.Eventually(t, func() bool { return shown(f) == "shop/(no name) shop/newer shop/orders" }, soon, tick)
	s.putRaw("shop/odd", odd)
	s.put("shop", "orders", 2)
	require.Eventually(t, func() bool {
		return shown(f) == "shop/(no name) shop/newer shop/odd shop/orders" && points(t, f, "shop/orders") == 2
	}, soon, tick)
	detail, _ := f.fleet.Channel("shop/newer", &record.Position{})
	assert.Equal(t, 2, detail.Row.Severity)
	assert.Contains(t, detail.Row.Words, "it is of pubsub.jawaracloud.io/v2, and this plugin reads pubsub.jawaracloud.io/v1")
	news, err := f.fleet.Since(&record.Cursor{}, time.Now())
	require.NoError(t, err)
	assert.True(t, news.Connection.Up, news.Connection.Problem)
	s.remove("shop/x")
	s.remove("shop/newer")
	s.remove("shop/odd")
	require.Eventually(t, func() bool { return shown(f) == "shop/orders" }, soon, tick)
}

// A list has what was seen already, now and then: it is told once.
func TestAListTellsOfChangesAlone(t *testing.T) {
	s := newAPIServer(t)
	s.permit("shop", true)
	s.put("shop", "orders", 1)
	f := s.feed()
	w := f.newFollower("shop", nil)
	_, err := w.list(t.Context())
	require.NoError(t, err)
	page := &record.Cursor{}
	f.tell("shop", scope{})
	_, err = f.fleet.Since(page, time.Now())
	require.NoError(t, err)
	_, err = w.list(t.Context())
	require.NoError(t, err)
	news, err := f.fleet.Since(page, time.Now())
	require.NoError(t, err)
	assert.Nil(t, news.Fleet, "%s", news.Fleet)
	s.put("shop", "orders", 2)
	_, err = w.list(t.Context())
	require.NoError(t, err)
	news, err = f.fleet.Since(page, time.Now())
	require.NoError(t, err)
	assert.NotNil(t, news.Fleet)
}

// A watch of which the end is lost on the way, as of a proxy that hangs, is given up.
func TestAWatchThatDoesNotEndIsGivenUp(t *testing.T) {
	s := newAPIServer(t)
	s.endless = true
	s.permit("shop", true)
	f := s.feed()
	f.rhythm.overdue = tick
	run(t, f, Options{Namespaces: []string{"shop"}})
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.lists["shop"] > 1
	}, soon, tick)
}
