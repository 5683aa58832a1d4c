// Package chaos runs the subscriber's program, in several processes, on a real redis-server under
// faults that are drawn from a seed, and accounts for every message: those that never came,
// those that came twice and why, and what the scaler read meanwhile (make chaos).
package chaos
