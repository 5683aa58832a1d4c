package cluster

import (
	"context"
	"errors"
)

// clearAbandoned takes down what is left of a cluster of another state folder whose
// processes are all gone: its machine was interrupted, or its folder deleted, before it
// could be taken down. One that still runs is left alone; prepare then refuses.
func (n *nodeProvider) clearAbandoned(ctx context.Context) error {
	owner, err := networkOwner(ctx)
	if err != nil || owner == "" || owner == n.dir {
		return err
	}
	other := &nodeProvider{Cluster: n.Cluster, dir: owner}
	alive, err := other.processes()
	if err != nil || len(alive) > 0 {
		return err
	}
	n.progress.say("taking down what is left of the cluster of %s: none of its processes runs any more", owner)
	err = other.down(ctx)
	if errors.Is(err, ErrNotUp) { // its folder is gone, and with it the record of what it changed
		return errors.Join(other.end(ctx), other.network().down(ctx), other.unmountAll())
	}
	return err
}
