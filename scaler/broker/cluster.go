package broker

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// route hands queues over to the lanes of the nodes that have them now, and returns those
// that are this lane's, with its node. Most ticks that is all of them.
func (l *lane) route(ctx context.Context, cluster *redis.ClusterClient, b batch) (batch, *redis.Client, error) {
	var node *redis.Client // this lane's
	var moved map[*watched]string
	for _, w := range b.watched {
		// Only the first look asks the cluster; later ones are answered from memory.
		master, err := cluster.MasterForKey(ctx, w.reader.Queue().RoutingKey())
		if err != nil {
			return b, nil, err
		}
		if master == node {
			continue
		}
		if address := master.Options().Addr; address == l.address {
			node = master
		} else {
			if moved == nil {
				moved = map[*watched]string{}
			}
			moved[w] = address
		}
	}
	if moved != nil {
		b = l.handOver(b, moved) //nolint:contextcheck // another lane outlives this read
	}
	return b, node, nil
}

// handOver gives queues to other lanes, and returns the rest of the batch.
func (l *lane) handOver(b batch, moved map[*watched]string) batch {
	s := l.sampler
	s.mu.Lock()
	defer s.mu.Unlock()
	stays := func(all []*watched) []*watched {
		var kept []*watched
		for _, w := range all {
			if _, gone := moved[w]; !gone {
				kept = append(kept, w)
			}
		}
		return kept
	}
	l.all = l.batch(stays(l.all.watched))
	unread := stays(l.added[len(l.added)-l.unread:])
	l.added = append(stays(l.added[:len(l.added)-l.unread]), unread...)
	l.unread = len(unread)
	l.regroup = true
	for _, w := range b.watched {
		if address, gone := moved[w]; gone && s.queues[w.reader.Queue()] == w {
			s.laneOf(address).take(w)
		}
	}
	return l.batch(stays(b.watched))
}

// laneOf finds or starts the lane of a cluster's node. The mutex is held.
func (s *sampler) laneOf(address string) *lane {
	l, ok := s.lanes[address]
	if !ok {
		l = newLane(s, address)
		if s.lanes == nil {
			s.lanes = map[string]*lane{}
		}
		s.lanes[address] = l
		s.running.Go(func() { l.run(l.retire) })
	}
	return l
}

// retire ends a node's lane without queues. It is refused where one came meanwhile.
func (l *lane) retire() bool {
	s := l.sampler
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(l.added) > 0 {
		return false
	}
	delete(s.lanes, l.address)
	return true
}

// redirect sends the commands whose slot is or goes elsewhere to where the node says, once.
// The queues' lanes are looked up anew at the next tick. err is that of the first pipeline.
func redirect(ctx context.Context, cluster *redis.ClusterClient, commands []redis.Cmder, err error) error {
	var elsewhere []redis.Cmder
	for _, command := range commands {
		if err := command.Err(); err != nil && (redis.HasErrorPrefix(err, "MOVED") || redis.HasErrorPrefix(err, "ASK")) {
			elsewhere = append(elsewhere, command)
		}
	}
	if elsewhere == nil {
		return err
	}
	cluster.ReloadState(ctx)
	pipe := cluster.Pipeline()
	_ = pipe.BatchProcess(ctx, elsewhere...) // it only queues
	_, err = pipe.Exec(ctx)
	if !answered(err) {
		return nil // the commands have the error; this node answered
	}
	return err
}

// address is that of the server that a client reads, as far as it is known.
func (l *link) address(client *redis.Client) string {
	switch l.server.Mode {
	case Cluster:
		return client.Options().Addr
	case Sentinel:
		return l.server.SentinelMaster + " (by " + l.server.Address + ")"
	case Standalone:
	}
	return l.server.Address
}
