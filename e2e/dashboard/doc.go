// Package dashboardtest holds the dashboard's page against a real browser: Debian's Chromium, without a
// window. Most tests script the server's side of the WebSocket; one drives the plugin itself.
package dashboardtest
