package queue

import (
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// maxOwned is how many jobs of the index are looked at: 4,096 names of 36 bytes, as kombu gives them, are 190 KiB. Of what
// is beyond it is not known whose it is.
const maxOwned = 4096

// maxJob is the bytes of the largest job that is read. A job of any size may be in the hash, of any queue, and a reply that
// is too large ends the read of all queues of the server. This one takes 16 s of lookRate.
const maxJob = 1 << 20

// ownedJobs is a hash with the jobs in work of all queues, of which those of some queues count. Whose a job is, the
// job itself tells, which may be large: each is read once, in pages, at the pace at which entries of streams are
// (lookRate). How large they are is asked for before they are. What was not read yet, or is beyond maxOwned, makes the
// depth a lower bound.
type ownedJobs struct {
	names string // of the queues, each between commas
	owner func(value string) (queue string, known bool)
	count *redis.IntCmd         // HLEN
	index *redis.StringSliceCmd // ZRANGE

	ours    map[string]bool // of each job that was read
	allowed allowance
	mean    int             // bytes of a job in the last page
	page    []string        // the jobs that the round under way is about
	sizes   []*redis.IntCmd // HSTRLEN of each of those, before they are asked for
	jobs    *redis.SliceCmd // HMGET of those; nil while their sizes are asked for
	hash    string
}

func newOwnedJobs(q Queue, f framework.Framework, key framework.Key) keyReader {
	name := f.Render(key.Name, q.Prefix, q.Key)
	return &ownedJobs{
		names: "," + q.Key + ",", owner: key.Owner.Queue, hash: name,
		count: number("hlen", name),
		index: keyed(redis.NewStringSliceCmd(unbound, "zrange", f.Render(key.Owner.Index, q.Prefix, q.Key), 0, maxOwned-1), 1),
		ours:  map[string]bool{},
	}
}

func (o *ownedJobs) ask(commands []redis.Cmder, r round) []redis.Cmder {
	if r.first {
		o.page, o.sizes, o.jobs = nil, nil, nil
	}
	commands = append(commands, fresh(o.count), fresh(o.index))
	for _, size := range o.sizes {
		commands = append(commands, fresh(size))
	}
	if o.jobs != nil {
		commands = append(commands, fresh(o.jobs))
	}
	return commands
}

func (o *ownedJobs) add(depth *presetDepth, replies *replies, r round) (done bool) {
	o.read(replies)
	o.measure(replies, r)
	all := replies.number(o.count, framework.Hash)
	index, err := o.index.Result()
	replies.failed(o.index, framework.SortedSet, err)
	if replies.err != nil {
		return true
	}
	o.index.SetVal(nil)
	ours, unread := o.sort(index)
	depth.InFlight, depth.held = Sum(depth.InFlight, ours), depth.held || all > 0
	if len(unread) > 0 || all > int64(len(index)) {
		depth.LowerBound = true
	}
	if o.jobs == nil {
		o.turn(unread[:o.next(len(unread), r)])
	}
	return len(o.page) == 0 || r.last
}

// turn begins a page, with the question how large its jobs are.
func (o *ownedJobs) turn(page []string) {
	o.page, o.sizes = page, make([]*redis.IntCmd, len(page))
	for i, name := range page {
		o.sizes[i] = number("hstrlen", o.hash, name)
	}
}

// measure leaves of a page what may be read by the sizes of its jobs, and has that asked for. A job that is too large
// is not read: it does not say whose it is.
func (o *ownedJobs) measure(replies *replies, r round) {
	if len(o.sizes) == 0 {
		return
	}
	left, args := o.allowed.of(r.now), []any{"hmget", o.hash}
	page := o.page[:0]
	for i, name := range o.page {
		switch size := replies.number(o.sizes[i], framework.Hash); {
		case size > maxJob:
			o.ours[name] = true
		case left > 0:
			left -= int(size)
			page, args = append(page, name), append(args, name)
		}
	}
	o.page, o.sizes = page, nil
	if len(page) > 0 {
		o.jobs = keyed(redis.NewSliceCmd(unbound, args...), 1)
	}
}

// read takes over whose the jobs of a page are. One that is gone meanwhile is nobody's.
func (o *ownedJobs) read(replies *replies) {
	if o.jobs == nil {
		return
	}
	values, err := o.jobs.Result()
	replies.failed(o.jobs, framework.Hash, err)
	o.jobs = nil // it holds whole jobs
	bytes := sizeOf(values)
	o.allowed.bytes -= bytes
	for i, value := range values {
		if i == len(o.page) {
			break
		}
		job, there := value.(string)
		o.ours[o.page[i]] = there && o.isOurs(job)
	}
	o.mean = bytes / len(o.page)
	o.page = nil
}

// isOurs is true of a job, too, that does not say whose it is: work in flight is not to be missed.
func (o *ownedJobs) isOurs(job string) bool {
	queue, known := o.owner(job)
	return !known || strings.Contains(o.names, ","+queue+",")
}

// sort counts those that are the channel's, and returns those of which it is not known. What is not in the index any
// more is forgotten.
func (o *ownedJobs) sort(index []string) (ours int64, unread []string) {
	kept := 0
	for _, name := range index {
		isOurs, read := o.ours[name]
		switch {
		case !read:
			unread = append(unread, name)
		case isOurs:
			ours++
		}
		if read {
			kept++
		}
	}
	if kept < len(o.ours) {
		left := make(map[string]bool, kept)
		for _, name := range index {
			if isOurs, read := o.ours[name]; read {
				left[name] = isOurs
			}
		}
		o.ours = left
	}
	return ours, unread
}

// next is how many of the unread jobs are asked for now.
func (o *ownedJobs) next(unread int, r round) int {
	if unread == 0 || r.last {
		return 0
	}
	bytes := o.allowed.of(r.now)
	if bytes <= 0 {
		return 0
	}
	if o.mean == 0 {
		return min(unread, firstPage)
	}
	return min(unread, greatestPage, max(1, bytes/o.mean))
}
