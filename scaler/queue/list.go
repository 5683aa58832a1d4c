package queue

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"
)

// listReader reads LLEN of a list, and of what each of its consumers holds.
type listReader struct {
	consumers []string // known from the round before

	ready    *redis.IntCmd
	names    *redis.StringSliceCmd
	inFlight []*redis.IntCmd
}

// ask orders its commands so that a message which moves meanwhile is counted twice, not
// missed: what waits first, then what consumers hold. Missing one could read as an idle
// queue and let its worker be stopped.
func (l *listReader) ask(ctx context.Context, pipe redis.Pipeliner, key string) {
	l.ready = pipe.LLen(ctx, key)
	l.names = pipe.ZRange(ctx, ConsumersKey(key), 0, -1)
	l.inFlight = l.inFlight[:0]
	for _, consumer := range l.consumers {
		l.inFlight = append(l.inFlight, pipe.LLen(ctx, ProcessingKey(key, consumer)))
	}
}

func (l *listReader) answer(last bool) (Depth, bool, error) {
	depth := Depth{Kind: List, Added: -1}
	var err error
	if depth.Ready, err = l.ready.Result(); err != nil {
		return Depth{}, true, err
	}
	names, err := l.names.Result()
	if err != nil {
		return Depth{}, true, err
	}
	for _, length := range l.inFlight {
		held, err := length.Result()
		if err != nil {
			return Depth{}, true, err
		}
		depth.InFlight += held
	}
	if slices.Equal(names, l.consumers) {
		return depth, true, nil
	}
	// Ask once more, with the consumers that there are now. Where they never stop
	// changing, those that came last are left out.
	l.consumers = names
	depth.LowerBound = true
	return depth, last, nil
}
