package simulation

import "slices"

// fleet is the workers of a Deployment. A pod exists from the moment of the scaling, and takes
// messages when it has started.
type fleet struct {
	start   float64   // seconds that a pod takes to start
	readyAt []float64 // when each pod takes messages, in ascending order
}

func newFleet(replicas int32, start float64) *fleet {
	return &fleet{start: start, readyAt: make([]float64, replicas)}
}

func (f *fleet) replicas() int32 { return int32(len(f.readyAt)) }

// scale creates pods, or removes the youngest ones: the ReplicaSet controller first deletes
// pods that are not ready, and then those that have been ready for the shortest time
// (kubernetes 1.36, pkg/controller/controller_utils.go, ActivePodsWithRanks).
func (f *fleet) scale(now float64, replicas int32) {
	if n := int(replicas); n < len(f.readyAt) {
		f.readyAt = f.readyAt[:n]
		return
	}
	for len(f.readyAt) < int(replicas) {
		f.readyAt = append(f.readyAt, now+f.start)
	}
}

// ready returns how many pods take messages at a time.
func (f *fleet) ready(now float64) int {
	after, _ := slices.BinarySearchFunc(f.readyAt, now, func(at, now float64) int {
		if at <= now {
			return -1
		}
		return 1
	})
	return after
}

// nextReady returns when the next pod after now takes messages, or limit if none does before.
func (f *fleet) nextReady(now, limit float64) float64 {
	if ready := f.ready(now); ready < len(f.readyAt) {
		return min(f.readyAt[ready], limit)
	}
	return limit
}
