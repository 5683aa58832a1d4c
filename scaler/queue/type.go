package queue

import (
	"github.com/redis/go-redis/v9"
)

// typeReader asks which kind a key is: once in a queue's life, as a rule, and on each read
// while there is none.
type typeReader struct {
	consumers question
	typed     *redis.StatusCmd // TYPE
	exists    *redis.IntCmd    // EXISTS of the keys of the list's consumers
	found     Kind             // once it is
}

func newTypeReader(q Queue) *typeReader {
	return &typeReader{typed: keyed(redis.NewStatusCmd(unbound, "type", q.Key), 1)}
}

func (t *typeReader) ask(commands []redis.Cmder, _ round) []redis.Cmder {
	return append(commands, fresh(t.typed))
}

// question is nil for a queue that no list is to be.
func (t *typeReader) question(q *Queue) *question {
	if q.Kind != Auto && q.Kind != List {
		return nil
	}
	return &t.consumers
}

func (t *typeReader) askConsumers(commands []redis.Cmder, q *Queue) []redis.Cmder {
	if t.exists == nil {
		t.exists = number(append([]any{"exists"}, t.consumers.keysOf(q)...)...)
	}
	return append(commands, fresh(t.exists))
}

// kindOf is the kind of key that TYPE calls so.
func kindOf(name string) Kind {
	switch name {
	case "zset":
		return SortedSet
	case string(SortedSet): // no type's name, but what a module may call its own
		return ""
	default:
		return Kind(name)
	}
}

// answer settles the kind from TYPE's reply.
func (t *typeReader) answer(r round) (Depth, bool, error) {
	got, err := t.typed.Result()
	if err != nil {
		return Depth{}, true, err
	}
	named, certain := false, true
	if t.question(r.queue) != nil {
		if named, certain, err = t.consumers.read(t.exists); err != nil {
			return Depth{}, true, err
		}
	}
	kind, want := kindOf(got), r.queue.Kind
	if kind == None {
		if !certain && !r.last {
			return Depth{}, false, nil
		}
		if named {
			kind = List // whose last messages are all in flight: Redis deletes an empty list
		}
	}
	switch {
	case kind == None:
		if want != Auto {
			t.found = want
		}
		return Depth{Kind: None, Added: -1, LowerBound: !certain}, true, nil
	case kind != List && kind != Stream && kind != SortedSet, want != Auto && want != kind:
		return Depth{}, true, &WrongTypeError{Key: r.queue.Key, Want: want, Got: got}
	}
	t.found = kind
	return Depth{}, false, nil
}

// settled is the reader for the kind that was found.
func (t *typeReader) settled(q Queue) kindReader {
	q.Kind = t.found
	kind := kindReaderOf(q)
	if list, ok := kind.(*listReader); ok {
		list.consumers = t.consumers
		list.consumers.shared = nil
	}
	return kind
}
