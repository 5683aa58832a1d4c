package sampling

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
)

// route hands queues over to the lanes of the nodes that have them now, and returns those
// that are this lane's, with its node. Most ticks that is all of them.
func (l *lane) route(ctx context.Context, link *broker.Link, b batch) (batch, *redis.Client, error) {
	var node *redis.Client // this lane's
	var moved map[*watched]string
	for _, w := range b.watched {
		master, err := link.Master(ctx, w.reader.Queue().RoutingKey())
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
