// Package certmanager holds what the chart renders with tls.mode=cert-manager against
// cert-manager's types and CRDs.
package certmanager
