package queue

import (
	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// sortedSetReader reads ZCARD of a sorted set, or how many of its members are due. Nothing
// tells of members that a worker has taken: it is all ready.
type sortedSetReader struct {
	size *redis.IntCmd // ZCARD; nil: the scores are times
	due  due
}

// newSortedSetReader is nil where it is not known what the scores say.
func newSortedSetReader(q Queue) kindReader {
	switch q.Score {
	case AnyScore:
		return &sortedSetReader{size: number("zcard", q.Key)}
	case UnixSeconds:
		return &sortedSetReader{due: newDue(q.Key, framework.Seconds, q.Age)}
	case UnixMilliseconds:
		return &sortedSetReader{due: newDue(q.Key, framework.Milliseconds, q.Age)}
	}
	return nil
}

func (s *sortedSetReader) ask(commands []redis.Cmder, r round) []redis.Cmder {
	if s.size != nil {
		return append(commands, fresh(s.size))
	}
	return s.due.ask(commands, r.now)
}

func (s *sortedSetReader) answer(r round) (Depth, bool, error) {
	depth := Depth{Kind: SortedSet, Added: -1}
	var err error
	if s.size != nil {
		if depth.Ready, err = countOf(s.size); err == nil && r.queue.Age {
			err = &AgeUnknownError{Key: r.queue.Key, Kind: SortedSet}
		}
		return depth, true, err
	}
	if depth.Ready, err = countOf(s.due.count); err != nil {
		return Depth{}, true, err
	}
	since, known, err := s.due.since(r.now)
	if err == nil && !known {
		err = &AgeUnknownError{Key: r.queue.Key, Kind: SortedSet}
	}
	depth.Oldest = since
	return depth, true, err
}
