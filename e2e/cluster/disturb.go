package cluster

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// ErrNotNode is the error of what can only be done to a cluster of the provider node.
var ErrNotNode = errors.New("this is only for a cluster that runs as processes of this machine (provider node)")

// node is the cluster's provider, if it is up and of that kind.
func (c *Cluster) node() (*nodeProvider, error) {
	m, err := readMarker(c.opts.Dir)
	switch {
	case err != nil:
		return nil, err
	case m.Provider != ProviderNode:
		return nil, fmt.Errorf("the cluster in %s is of provider %s: %w", c.opts.Dir, m.Provider, ErrNotNode)
	}
	return &nodeProvider{Cluster: c, dir: c.opts.Dir}, nil
}

// RestartRuntime kills containerd and the kubelet as a crash does, and starts them again; the pods'
// processes go on meanwhile. It returns when both serve again. The error is ErrNotNode with kind.
func (c *Cluster) RestartRuntime(ctx context.Context) error {
	n, err := c.node()
	if err != nil {
		return err
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	steps := []struct {
		name  string
		check func(context.Context) error
	}{
		{containerdName, n.runtimeReady},
		{kubeletName, func(ctx context.Context) error { return n.kubectl().nodeReady(ctx, NodeName) }},
	}
	for _, step := range steps {
		if err := n.daemons().restart(ctx, step.name); err != nil {
			return err
		}
		if err := n.await(ctx, step.name, step.check); err != nil {
			return err
		}
	}
	return nil
}

// restart kills a daemon and starts it as it was.
func (d daemons) restart(ctx context.Context, name string) error {
	r, err := d.record(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := r.stop(ctx, 0); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return d.start(name, r.Command)
}

// StopAPIServer kills kube-apiserver as a crash does; StartAPIServer starts it again, and so does Up. The error
// is ErrNotNode with kind.
func (c *Cluster) StopAPIServer(ctx context.Context) error {
	return c.withAPIServer(ctx, func(ctx context.Context, _ *nodeProvider, r daemonRecord) error { return r.stop(ctx, 0) })
}

// StartAPIServer starts kube-apiserver as it was, if it does not run, and returns when it is ready. The error is
// ErrNotNode with kind.
func (c *Cluster) StartAPIServer(ctx context.Context) error {
	return c.withAPIServer(ctx, func(ctx context.Context, n *nodeProvider, r daemonRecord) error {
		if !r.alive() {
			if err := n.daemons().start(apiserverName, r.Command); err != nil {
				return err
			}
		}
		return n.await(ctx, apiserverName, n.kubectl().ready)
	})
}

func (c *Cluster) withAPIServer(ctx context.Context, do func(context.Context, *nodeProvider, daemonRecord) error) error {
	n, err := c.node()
	if err != nil {
		return err
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	r, err := n.daemons().record(apiserverName)
	if err == nil {
		err = do(ctx, n, r)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", apiserverName, err)
	}
	return nil
}

// KillContainer kills the processes of a container by SIGKILL. Its ID is as a pod's status has
// it, without containerd://. The error is ErrNotNode with kind.
func (c *Cluster) KillContainer(ctx context.Context, id string) error {
	n, err := c.node()
	if err != nil {
		return err
	}
	_, err = n.ctr(ctx, "tasks", "kill", "--signal", fmt.Sprint(int(syscall.SIGKILL)), id)
	return err
}
