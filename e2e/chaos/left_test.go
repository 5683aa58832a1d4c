package chaos

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// left says what is not done; empty: everything is. It asks the server itself, and then the scaler's reader.
func (s *scene) left(ctx context.Context) (string, error) {
	var remains []string
	if published, ended := s.ledger.counts(); ended < published {
		remains = append(remains, fmt.Sprintf("%d messages were not delivered", published-ended))
	}
	look := s.leftInList
	if s.kind == queue.Stream {
		look = s.leftInStream
	}
	found, err := look(ctx)
	if err != nil {
		return "", err
	}
	depth, err := s.reader.read(ctx)
	if err != nil {
		return "", err
	}
	if depth.Total() != 0 || depth.LowerBound {
		found = append(found, fmt.Sprintf("the scaler reads %d ready and %d in flight (a lower bound: %t)", depth.Ready, depth.InFlight, depth.LowerBound))
	}
	return strings.Join(append(remains, found...), "; "), nil
}

// leftInList looks at the keys that workers keep (docs/subscriber.md, Delivery).
func (s *scene) leftInList(ctx context.Context) (found []string, err error) {
	client := s.publisher.client
	for _, list := range []string{key, queue.NextKey(key)} {
		n, err := client.LLen(ctx, list).Result()
		if err != nil {
			return nil, err
		}
		if n > 0 {
			found = append(found, fmt.Sprintf("%d in %s", n, list))
		}
	}
	members, err := client.ZRange(ctx, queue.TakenKey(key), 0, 9).Result()
	if err != nil {
		return nil, err
	}
	if len(members) > 0 {
		found = append(found, fmt.Sprintf("taken: %v", members))
	}
	patterns := []string{queue.TakenKey(key) + ":*", queue.ProcessingKey(key, "*")}
	if !s.wasFull {
		patterns = append(patterns, queue.UncountedKey(key, "*"))
	}
	for _, pattern := range patterns {
		keys, err := client.Keys(ctx, pattern).Result()
		if err != nil {
			return nil, err
		}
		if len(keys) > 0 {
			found = append(found, fmt.Sprintf("%d keys as %s", len(keys), keys[0]))
		}
	}
	return found, nil
}

func (s *scene) leftInStream(ctx context.Context) (found []string, err error) {
	client := s.publisher.client
	stream, err := client.XInfoStream(ctx, key).Result()
	if err != nil {
		return nil, err
	}
	groups, err := client.XInfoGroups(ctx, key).Result()
	if err != nil {
		return nil, err
	}
	for _, group := range groups {
		if group.Pending > 0 {
			found = append(found, fmt.Sprintf("%d pending", group.Pending))
		}
		if group.LastDeliveredID != stream.LastGeneratedID {
			found = append(found, "entries after "+group.LastDeliveredID+" were not read")
		}
	}
	if len(groups) != 1 {
		found = append(found, fmt.Sprintf("%d groups", len(groups)))
	}
	return found, nil
}

// finished is what the server counted of the queue's messages: of a list those that ended, of a stream those
// that were added.
func (s *scene) finished(ctx context.Context) (int, error) {
	if s.kind == queue.Stream {
		stream, err := s.publisher.client.XInfoStream(ctx, key).Result()
		if err != nil {
			return 0, err
		}
		return int(stream.EntriesAdded), nil
	}
	done, err := s.publisher.client.ZScore(ctx, queue.DoneKey(key), queue.DoneMember).Result()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	return int(done), err
}

// deadPayload is the payload of a message that has its own, wherever it stands in a dead letter.
var deadPayload = regexp.MustCompile(`\bm\d+\b`)

// deadLetters counts the dead letters of each payload, in whatever the workers keep them.
func (s *scene) deadLetters(ctx context.Context) (map[string]int, error) {
	client := s.publisher.client
	keys, err := client.Keys(ctx, "*dead*").Result()
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, name := range keys {
		texts, err := s.values(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, text := range texts {
			counts[deadPayload.FindString(text)]++
		}
	}
	return counts, nil
}

// values are the dead letters that a key holds: one for each of a list's items, or a stream's entries, and
// one that is a hash. A sorted set only names them.
func (s *scene) values(ctx context.Context, name string) (texts []string, err error) {
	client := s.publisher.client
	kind, err := client.Type(ctx, name).Result()
	if err != nil {
		return nil, err
	}
	switch kind {
	case "list":
		return client.LRange(ctx, name, 0, -1).Result()
	case "hash":
		fields, err := client.HGetAll(ctx, name).Result()
		return []string{fmt.Sprint(fields)}, err
	case "stream":
		entries, err := client.XRange(ctx, name, "-", "+").Result()
		for _, entry := range entries {
			texts = append(texts, fmt.Sprint(entry.Values))
		}
		return texts, err
	}
	return nil, nil
}
