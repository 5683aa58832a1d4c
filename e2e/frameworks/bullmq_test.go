package frameworks

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// bullApp is an application that uses BullMQ, or Bull.
type bullApp struct {
	*driver
	reader *reader
	name   string // with the version
	major  string

	scenario string
}

// place is where an application keeps its queues.
type place struct {
	cluster bool
	prefix  string
	name    func(string) string // of a queue; nil: as it is
}

var places = map[string]place{
	"default prefix":            {},
	"prefix of one's own":       {prefix: "acme:jobs"}, // n8n's QUEUE_BULL_PREFIX
	"cluster, tagged prefix":    {cluster: true, prefix: "{bull}"},
	"cluster, queues in braces": {cluster: true, name: func(name string) string { return "{" + name + "}" }},
}

// bulls are what has these queues.
var bulls = map[string]struct {
	name, program string
	argument      string // the package of Node.js
	preset        framework.Framework
}{
	"bullmq":  {"BullMQ", "bullmq.js", "bullmq", framework.BullMQ},
	"bullmq5": {"BullMQ", "bullmq.js", "bullmq5", framework.BullMQ},
	"bull":    {"Bull", "bull.js", "bull", framework.Bull},
}

// bullScenarios are those of each of them, but that Bull has only what bothHave.
var bullScenarios = map[string]func(t *testing.T, app *bullApp, mail, image string){
	"waiting": bullWaiting, "working": bullWorking, "parents": bullParents, "schedulers": bullSchedulers, "limits": bullLimits, "oldest": bullOldest,
}

var bothHave = map[string]bool{"waiting": true, "working": true, "oldest": true}

const bull4 = "4"

// TestBulls runs each scenario with each of them in each place.
func TestBulls(t *testing.T) {
	for name, bull := range bulls {
		for where, place := range places {
			t.Run(name+"/"+where, func(t *testing.T) {
				t.Parallel()
				server := place.start(t)
				driver := startDriver(t, "node", []string{"node", bull.program}, server, map[string]any{"package": bull.argument, "prefix": place.prefix})
				version := ranVersion(t, bull.name, call[string](driver, "version", nil))
				major, _, _ := strings.Cut(version, ".")
				for name, scenario := range bullScenarios {
					if major == bull4 && !bothHave[name] {
						continue
					}
					t.Run(name, func(t *testing.T) {
						mail, image := "mail-"+name, "image-"+name
						if place.name != nil {
							mail, image = place.name(mail), place.name(image)
						}
						app := &bullApp{
							driver: driver.in(t),
							reader: newReader(t, server, bull.preset, place.prefix, mail, image),
							name:   bull.name + " " + version, scenario: name,
							major: major,
						}
						scenario(t, app, mail, image)
					})
				}
			})
		}
	}
}

// start runs the servers of such a place.
func (p place) start(t *testing.T) broker.Server {
	if p.cluster {
		return broker.Server{Mode: broker.Cluster, Address: strings.Join(redistest.StartCluster(t, 3).Addrs(), ",")}
	}
	return broker.Server{Address: redistest.Start(t).Addr}
}

// depth is what the depth should be.
func (c counts) depth(paused bool) count {
	depth := count{InFlight: c["active"]}
	if !paused {
		depth.Ready = c["waiting"] + c["prioritized"] + c["due"]
	}
	return depth
}

// check waits until it counts this, and then compares what the scaler reads: the depth,
// and how many jobs were ever added.
func (a *bullApp) check(step, queue string, want counts, added int64) {
	a.t.Helper()
	states := a.states(want, false)
	eventually(a.t, states, func() counts { return a.counts(queue) }, step)
	a.compare(step, queue, states, want.depth(false), added)
	assert.Equal(a.t, states, a.counts(queue), "%s: it changed meanwhile", step)
}

// states is what it tells where a queue holds that, by its own names: what waits in a queue that is paused is in a
// list of its own up to version 5, and what is prioritized waits with all others up to version 4.
func (a *bullApp) states(holds counts, paused bool) counts {
	told := maps.Clone(holds)
	move := func(from, to string) {
		if n, ok := told[from]; ok {
			delete(told, from)
			told[to] += n
		}
	}
	if a.major == bull4 {
		move("prioritized", "waiting")
	}
	if paused && (a.major == bull4 || a.major == "5") {
		move("waiting", "paused")
	}
	return told
}

// compare compares what the scaler reads.
func (a *bullApp) compare(name, queue string, states counts, want count, added int64) {
	a.t.Helper()
	read := a.reader.read(a.t)[queue]
	assert.False(a.t, read.LowerBound, name)
	compare(a.t, step{
		framework: a.name, scenario: a.scenario, step: name, queue: queue, states: states.String(),
		theirs: want, ours: count{Ready: read.Ready, InFlight: read.InFlight},
	})
	assert.Equal(a.t, added, read.Added, "%s: how many were added", name)
}

// pause pauses the queue, and checks that the scaler then counts what is in flight only.
func (a *bullApp) pause(queue string, want counts, added int64) {
	a.t.Helper()
	a.of(queue, "pause")
	a.checkPaused(queue, want, added)
}

// checkPaused is check for a queue that is paused; want is what it holds if it were not.
func (a *bullApp) checkPaused(queue string, want counts, added int64) {
	a.t.Helper()
	states := a.states(want, true)
	eventually(a.t, states, func() counts { return a.counts(queue) }, "paused")
	a.compare("paused", queue, states, want.depth(true), added)
	assert.Zero(a.t, a.reader.read(a.t)[queue].Oldest, "paused")
}

func bullWaiting(_ *testing.T, a *bullApp, mail, image string) {
	a.check("new", mail, counts{}, 0)
	a.add(mail, 3, nil)
	a.add(image, 2, nil)
	a.check("added", mail, counts{"waiting": 3}, 3)
	a.check("added", image, counts{"waiting": 2}, 2)
	a.add(mail, 2, options{"priority": 5})
	a.check("prioritized", mail, counts{"waiting": 3, "prioritized": 2}, 5)
	a.add(mail, 1, options{"delay": later.Milliseconds()})
	a.check("delayed and not due", mail, counts{"waiting": 3, "prioritized": 2, "delayed": 1}, 6)
	a.add(mail, 2, options{"delay": soon.Milliseconds()})
	waiting := counts{"waiting": 3, "prioritized": 2, "delayed": 3, "due": 2}
	a.check("delayed and due", mail, waiting, 8)

	a.pause(mail, waiting, 8)
	a.check("the other is not paused", image, counts{"waiting": 2}, 2)
	a.add(mail, 1, nil) // while it is paused
	waiting["waiting"]++
	a.checkPaused(mail, waiting, 9)
	a.of(mail, "resume")
	a.check("resumed", mail, waiting, 9)
}

func bullWorking(_ *testing.T, a *bullApp, mail, image string) {
	a.add(mail, 5, nil)
	a.add(mail, 1, options{"delay": soon.Milliseconds()})
	a.add(image, 1, nil)
	a.check("added", mail, counts{"waiting": 5, "delayed": 1, "due": 1}, 6)
	a.work(mail, 2) // which moves what is due
	a.check("in flight", mail, counts{"waiting": 4, "active": 2}, 6)
	a.pause(mail, counts{"waiting": 4, "active": 2}, 6)
	a.release(mail, 1, "")
	a.checkPaused(mail, counts{"waiting": 4, "active": 1, "completed": 1}, 6)
	a.of(mail, "resume")
	a.check("resumed", mail, counts{"waiting": 3, "active": 2, "completed": 1}, 6)
	a.release(mail, 1, "failed for good")
	a.check("failed", mail, counts{"waiting": 2, "active": 2, "completed": 1, "failed": 1}, 6)
	a.release(mail, 4, "")
	a.check("all done", mail, counts{"completed": 5, "failed": 1}, 6)

	a.add(mail, 1, options{"attempts": 2, "backoff": later.Milliseconds()})
	a.release(mail, 1, "try much later")
	a.check("a retry that is not due", mail, counts{"delayed": 1, "completed": 5, "failed": 1}, 7)
	a.of(mail, "stop")
	a.check("a queue without a worker", image, counts{"waiting": 1}, 1)

	a.add(image, 2, options{"jobId": "the-same"})
	a.check("its counter has what it refused, too", image, counts{"waiting": 2}, 3)
}

// A job that waits for its child is not ready.
func bullParents(_ *testing.T, a *bullApp, mail, _ string) {
	call[any](a.driver, "addWithChild", options{"queue": mail, "child": mail}) // two nodes of a cluster can't have them
	a.check("waits for its child", mail, counts{"waiting-children": 1, "waiting": 1}, 2)
	a.work(mail, 1)
	a.check("the child is in flight", mail, counts{"waiting-children": 1, "active": 1}, 2)
	a.release(mail, 1, "")
	a.check("the child is done", mail, counts{"active": 1, "completed": 1}, 2)
	a.release(mail, 1, "")
	a.check("both are done", mail, counts{"completed": 2}, 2)
	a.of(mail, "stop")
}

// The next job of a scheduler is delayed until its time, and one that is deduplicated is none.
func bullSchedulers(_ *testing.T, a *bullApp, mail, image string) {
	call[any](a.driver, "schedule", options{"queue": mail, "repeat": options{"pattern": "0 0 1 1 *"}})
	a.check("a scheduler's job in January", mail, counts{"delayed": 1}, 1)
	call[any](a.driver, "schedule", options{"queue": mail, "repeat": options{"every": later.Milliseconds()}})
	a.check("a scheduler's job now", mail, counts{"waiting": 1}, 2)

	a.add(image, 3, options{"deduplication": options{"id": "the-same"}})
	a.check("three that are one", image, counts{"waiting": 1}, 3)
	a.add(image, 2, options{"deduplication": options{"id": "another", "ttl": later.Milliseconds()}})
	a.check("two more that are one for an hour", image, counts{"waiting": 2}, 5)
}

// Of what waits, no more is ready than the queue's global concurrency lets run.
func bullLimits(_ *testing.T, a *bullApp, mail, _ string) {
	a.add(mail, 5, nil)
	a.check("added", mail, counts{"waiting": 5}, 5)
	call[any](a.driver, "limit", options{"queue": mail, "concurrency": 2})
	a.compare("of which 2 may run", mail, counts{"waiting": 5}, count{Ready: 2}, 5)
	a.work(mail, 4)
	states := counts{"waiting": 3, "active": 2}
	eventually(a.t, states, func() counts { return a.counts(mail) }, "2 run")
	a.compare("and no more than 2 run, of 4 that could", mail, states, count{InFlight: 2}, 5)
	a.release(mail, 2, "")
	states = counts{"waiting": 1, "active": 2, "completed": 2}
	eventually(a.t, states, func() counts { return a.counts(mail) }, "2 more run")
	a.compare("2 done", mail, states, count{InFlight: 2}, 5)
	a.release(mail, 3, "")
	a.check("all done", mail, counts{"completed": 5}, 5)
	a.of(mail, "stop")
}

func bullOldest(t *testing.T, a *bullApp, mail, image string) {
	oldest := func(queue string) time.Time { return a.reader.read(t)[queue].Oldest }
	addedAgo := func(queue string, ago time.Duration, options options) time.Time {
		options["timestamp"] = time.Now().Add(-ago).UnixMilli()
		return a.add(queue, 1, options).time()
	}
	assert.Zero(t, oldest(mail), "nothing waits")
	first := addedAgo(mail, 20*time.Minute, options{})
	second := addedAgo(mail, 10*time.Minute, options{})
	other := a.add(image, 1, nil).time()
	assert.Equal(t, first, oldest(mail))
	assert.Equal(t, other, oldest(image))

	a.work(mail, 1)
	a.check("in flight", mail, counts{"waiting": 1, "active": 1}, 2)
	assert.Equal(t, second, oldest(mail), "what is in flight does not wait")
	a.release(mail, 2, "")
	a.check("all done", mail, counts{"completed": 2}, 2)
	assert.Zero(t, oldest(mail), "nothing waits any more")
	a.of(mail, "stop")

	delayed := addedAgo(image, time.Hour, options{"delay": (30 * time.Minute).Milliseconds()})
	a.check("due", image, counts{"waiting": 1, "delayed": 1, "due": 1}, 2)
	assert.Equal(t, delayed.Add(30*time.Minute), oldest(image), "it waits since it was due")

	prioritized := addedAgo(mail, 5*time.Minute, options{"priority": 5})
	addedAgo(mail, 4*time.Minute, options{"priority": 5})
	a.add(mail, 1, nil)
	a.check("prioritized", mail, counts{"waiting": 1, "prioritized": 2, "completed": 2}, 5)
	assert.Equal(t, prioritized, oldest(mail), "the first that is prioritized waits the longest")
	waiting := addedAgo(mail, 6*time.Minute, options{"lifo": true}) // the next to be taken
	assert.Equal(t, waiting, oldest(mail), "one of no priority waits longer")
}
