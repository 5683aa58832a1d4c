// Package scaler is the gRPC server that KEDA asks how many replicas a queue needs. It
// implements KEDA's service externalscaler.ExternalScaler, and the service
// pubsub.inspect.v1.Inspector for people and the controller, who ask for the reason.
//
// The package connects the rooms below it: trigger, target, sampling, broker, queue and policy. The
// state is in the cluster and on the queue's server. So every replica of the scaler gives the
// same answer, and a restart loses nothing.
//
// # One call, step by step
//
// KEDA calls GetMetrics for the ScaledObject "orders" about every 15 s. The call goes one way,
// from the top of this list to the bottom:
//
//  1. Who asks? allowUnary looks at the client's certificate. mayCall (caller.go) says which
//     kind of caller may call which service. Other calls are refused here.
//  2. What does the cluster have? resolve (standing.go) reads the ScaledObject "orders" by
//     package target, and finds the trigger that the call is about. The metadata in the cluster
//     counts, not what the caller sent. Package trigger parses it into a typed struct, once for
//     each generation.
//  3. How many replicas are there, and when did the HPA last scale? state (scaler.go) asks
//     package target.
//  4. How deep is the queue? read (reading.go) turns the trigger into a server and queues. Package
//     sampling has one sampler for each server; it reads all queues of the server in one pipeline
//     per tick, and everyone who asks within the tick gets the same sample. Package broker has
//     the connections; package queue knows which commands tell the depth and how to read the
//     replies. A read that fails is an error
//     with a gRPC code of its own (errors.go), never a depth of 0.
//  5. How many replicas does this depth need? decide calls policy.Decide with the numbers of the
//     steps before. It has no I/O and no clock.
//  6. The answer: GetMetrics returns desired replicas × target, from which the HPA computes the
//     desired replicas.
//
// The other calls differ in the last step only. IsActive returns whether the target must not be
// scaled to 0. Explain returns all of the above with the reason. StreamIsActive and Watch repeat
// the steps after each read of the queue, and send what changed.
//
// # Where to read on
//
// server.go has the gRPC server, external.go the calls of KEDA, inspect.go and watch.go those of
// the Inspector. docs/design.md has the policy and the rooms, docs/decisions the reasons, and
// CONTRIBUTING.md a glossary.
package scaler
