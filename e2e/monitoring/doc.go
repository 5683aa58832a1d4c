// Package monitoring holds the chart's alerts and dashboards against PromQL's own parser, the exported metrics
// and the runbooks.
package monitoring
