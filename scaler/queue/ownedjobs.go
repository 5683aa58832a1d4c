package queue

import (
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// maxOwned is how many jobs of the index are looked at: 4,096 names of 36 bytes, as kombu gives them, are 190 KiB. Of what
// is beyond it is not known whose it is.
const maxOwned = 4096

// ownedJobs is a hash with the jobs in work of all queues, of which those of some queues count. Whose a job is, the
// job itself tells, which may be large: each is read once, in pages, at the pace at which entries of streams are
// (lookRate). What was not read yet, or is beyond maxOwned, makes the depth a lower bound.
type ownedJobs struct {
	names string // of the queues, each between commas
	owner func(value string) (queue string, known bool)
	count *redis.IntCmd         // HLEN
	index *redis.StringSliceCmd // ZRANGE

	ours    map[string]bool // of each job that was read
	allowed allowance
	mean    int             // bytes of a job in the last page
	page    []string        // the jobs that are asked for in the round under way
	jobs    *redis.SliceCmd // HMGET of those
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
		o.page = nil
	}
	commands = append(commands, fresh(o.count), fresh(o.index))
	if len(o.page) == 0 {
		return commands
	}
	args := make([]any, 0, 2+len(o.page))
	args = append(args, "hmget", o.hash)
	for _, name := range o.page {
		args = append(args, name)
	}
	o.jobs = fresh(keyed(redis.NewSliceCmd(unbound, args...), 1))
	return append(commands, o.jobs)
}

func (o *ownedJobs) add(depth *presetDepth, replies *replies, r round) (done bool) {
	o.read(replies)
	all := replies.number(o.count, framework.Hash)
	index, err := o.index.Result()
	replies.failed(o.index, framework.SortedSet, err)
	if replies.err != nil {
		return true
	}
	o.index.SetVal(nil)
	ours, unread := o.sort(index)
	depth.InFlight = Sum(depth.InFlight, ours)
	o.page = unread[:o.next(len(unread), r)]
	if len(unread) > 0 || all > int64(len(index)) {
		depth.LowerBound = true
	}
	return len(o.page) == 0 || r.last
}

// read takes over whose the jobs of a page are. One that is gone meanwhile is nobody's.
func (o *ownedJobs) read(replies *replies) {
	if len(o.page) == 0 {
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
