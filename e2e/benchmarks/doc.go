// Package benchmarks measures what a depth and an answer cost, beside KEDA's own redis
// scaler and beside a gRPC call that does nothing, in one run: see docs/performance.md.
package benchmarks
