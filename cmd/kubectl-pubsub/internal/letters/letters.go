package letters

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/deadletter"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/view"
)

// timeout bounds one read of letters, and one letter's end.
const timeout = 30 * time.Second

// List is the newest letters, newest first: of each queue at most limit, all with limit 0. more
// is how many are left out.
func (o *Office) List(ctx context.Context, limit int64) (letters []view.Letter, more int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for _, box := range o.boxes {
		size, err := box.Size(ctx, o.client)
		if err != nil {
			return nil, 0, err
		}
		ids, err := box.IDs(ctx, o.client, limit)
		if err != nil {
			return nil, 0, err
		}
		found, err := box.Read(ctx, o.client, ids)
		if err != nil {
			return nil, 0, err
		}
		more += max(0, size-int64(len(ids)))
		for _, letter := range found {
			letters = append(letters, view.Letter{Letter: letter, Key: box.Key, Group: box.Group})
		}
	}
	slices.SortStableFunc(letters, func(a, b view.Letter) int { return b.Time.Compare(a.Time) })
	return letters, more, nil
}

// IDs are those of the newest letters, at most limit of each queue.
func (o *Office) IDs(ctx context.Context, limit int64) ([]string, error) {
	var all []string
	for _, box := range o.boxes {
		ids, err := box.IDs(ctx, o.client, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, ids...)
	}
	return all, nil
}

// Requeue gives letters back to their queues; without IDs all that there are now, the oldest
// first. It returns the IDs of those that it gave back, also beside an error.
func (o *Office) Requeue(ctx context.Context, ids []string) ([]string, error) {
	return o.endEach(ctx, ids, func(ctx context.Context, box deadletter.Box, id string) error {
		return box.Requeue(ctx, o.client, id)
	})
}

// Purge removes letters for good, as Requeue gives them back.
func (o *Office) Purge(ctx context.Context, ids []string) ([]string, error) {
	return o.endEach(ctx, ids, func(ctx context.Context, box deadletter.Box, id string) error {
		removed, err := box.Purge(ctx, o.client, []string{id})
		if err == nil && removed == 0 {
			return fmt.Errorf("letter %q: %w", id, deadletter.ErrGone)
		}
		return err
	})
}

// ender ends one letter.
type ender func(ctx context.Context, box deadletter.Box, id string) error

// endEach ends letters in all boxes. Of letters that are not there it is an error only if they
// were asked for.
func (o *Office) endEach(ctx context.Context, asked []string, end ender) ([]string, error) {
	ended, missing := []string{}, map[string]bool{}
	for _, id := range asked {
		missing[id] = true
	}
	for _, box := range o.boxes {
		ids := asked
		if len(asked) == 0 {
			var err error
			if ids, err = box.IDs(ctx, o.client, 0); err != nil {
				return ended, err
			}
			slices.Reverse(ids) // the oldest first
		}
		found, err := endIn(ctx, box, ids, end)
		for _, id := range found {
			delete(missing, id)
		}
		ended = append(ended, found...)
		if err != nil {
			return ended, err
		}
	}
	var errs []error
	for _, id := range asked {
		if missing[id] {
			errs = append(errs, fmt.Errorf("letter %q: %w", id, deadletter.ErrGone))
		}
	}
	return ended, errors.Join(errs...)
}

// endIn ends letters of one box, several at a time. It stops at the first error beside ErrGone.
func endIn(ctx context.Context, box deadletter.Box, ids []string, end ender) (ended []string, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	todo := make(chan string)
	var mu sync.Mutex
	var working sync.WaitGroup
	for range min(atOnce, len(ids)) {
		working.Go(func() {
			for id := range todo {
				bounded, cancel := context.WithTimeout(ctx, timeout)
				failed := end(bounded, box, id)
				cancel()
				switch {
				case failed == nil:
					mu.Lock()
					ended = append(ended, id)
					mu.Unlock()
				case !errors.Is(failed, deadletter.ErrGone):
					stop(failed) // the first one counts
				}
			}
		})
	}
	defer func() {
		close(todo)
		working.Wait()
		err = context.Cause(ctx)
	}()
	for _, id := range ids {
		select {
		case todo <- id:
		case <-ctx.Done():
			return
		}
	}
	return
}
