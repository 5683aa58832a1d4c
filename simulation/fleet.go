package simulation

import "slices"

// fleet is the workers of a Deployment. A pod exists from the moment of the scaling, and takes
// messages when it has started.
type fleet struct {
	start float64 // seconds that a pod takes to start
	pods  []*pod  // by the time from which they take messages, ascending
}

type pod struct {
	readyAt float64 // when it takes messages
	gone    bool    // it takes none any more
}

func newFleet(replicas int32, start float64) *fleet {
	f := &fleet{start: start}
	f.scale(-start, replicas)
	return f
}

func (f *fleet) replicas() int32 { return int32(len(f.pods)) }

// scale creates pods, or removes the youngest ones: the ReplicaSet controller first deletes
// pods that are not ready, and then those that have been ready for the shortest time
// (kubernetes 1.36, pkg/controller/controller_utils.go, ActivePodsWithRanks).
func (f *fleet) scale(now float64, replicas int32) {
	if n := int(replicas); n < len(f.pods) {
		for _, removed := range f.pods[n:] {
			removed.gone = true
		}
		f.pods = f.pods[:n]
		return
	}
	for len(f.pods) < int(replicas) {
		f.pods = append(f.pods, &pod{readyAt: now + f.start})
	}
}

// ready returns how many pods take messages at a time.
func (f *fleet) ready(now float64) int {
	after, _ := slices.BinarySearchFunc(f.pods, now, func(p *pod, now float64) int {
		if p.readyAt <= now {
			return -1
		}
		return 1
	})
	return after
}

// nextReady returns when the next pod after now takes messages, or limit if none does before.
func (f *fleet) nextReady(now, limit float64) float64 {
	if ready := f.ready(now); ready < len(f.pods) {
		return min(f.pods[ready].readyAt, limit)
	}
	return limit
}
