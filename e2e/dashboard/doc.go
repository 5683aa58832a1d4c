// Package dashboardtest holds the dashboard's page against a real browser: Debian's Chromium, without a
// window. Most tests script the server's side of the WebSocket; one drives the plugin itself, and
// one (build tag e2e) the plugin on a cluster with KEDA, whose workers are real.
package dashboardtest
