package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/certtest"
	"github.com/jawaracloud/pubsub-operator/scaler"
)

// What helm test runs: it waits for a scaler that serves, with TLS or without, and otherwise says
// what is wrong.
func TestCheck(t *testing.T) {
	authority, other := certtest.New(t), certtest.New(t)
	folder := func(a *certtest.Authority, pair certtest.Pair) string {
		dir := t.TempDir()
		a.Write(dir, pair)
		return dir
	}
	for name, test := range map[string]struct {
		server, client string // folders; empty: without TLS
		want           string // empty: it serves
	}{
		"without TLS":           {"", "", ""},
		"with TLS":              {folder(authority, authority.Server("127.0.0.1")), folder(authority, authority.Client("anybody")), ""},
		"another CA":            {folder(authority, authority.Server("127.0.0.1")), folder(other, other.Client("anybody")), "certificate signed by unknown authority"},
		"no TLS, but wanted":    {folder(authority, authority.Server("127.0.0.1")), "", "does not serve (nothing was answered)"},
		"without certificates":  {"", t.TempDir(), "reading the client's certificate"},
		"an empty CA, of those": {"", withoutCA(t, folder(authority, authority.Client("anybody"))), "ca.crt has no certificate in PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options{grpcAddress: freeAddress(t), metricsAddress: off, probeAddress: off, withoutCluster: true, tlsCertDir: test.server, callers: scaler.DefaultCallers(), maxServers: 1}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- run(ctx, o, slog.New(slog.DiscardHandler)) }()
			defer func() { stop(); assert.NoError(t, <-ended) }()
			if test.want != "" {
				checkFails(t, o.grpcAddress, test.client, test.want)
				return
			}
			checking, done := context.WithTimeout(t.Context(), time.Minute)
			defer done()
			require.NoError(t, check(checking, o.grpcAddress, test.client))
			assert.Equal(t, 0, start(t.Context(), []string{"--check", o.grpcAddress, "--tls-cert-dir", test.client}))
		})
	}
}

// checkFails checks until the failure is the one that is wanted: a check waits for a scaler that might come, and one
// that is cut short on a busy machine has seen nothing of the scaler yet.
func checkFails(t *testing.T, address, folder, want string) {
	t.Helper()
	var err error
	for limit := 500 * time.Millisecond; limit < 2*time.Minute; limit *= 4 {
		checking, done := context.WithTimeout(t.Context(), limit)
		err = check(checking, address, folder)
		done()
		if err != nil && strings.Contains(err.Error(), want) {
			return
		}
	}
	require.ErrorContains(t, err, want)
}

func withoutCA(t *testing.T, dir string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.crt"), nil, 0o600))
	return dir
}

// A scaler whose caches are not filled is waited for, no longer than the context.
func TestCheckWaitsForAScaler(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := scaler.NewServer(scaler.New(scaler.Options{Logger: slog.New(slog.DiscardHandler)}), nil, nil)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, listener) }()
	defer func() { stop(); assert.NoError(t, <-ended) }()
	checkFails(t, listener.Addr().String(), "", "does not serve (NOT_SERVING)")
	checked := make(chan error, 1)
	go func() { checked <- check(t.Context(), listener.Addr().String(), "") }()
	server.SetReady(true)
	require.NoError(t, <-checked)
}
