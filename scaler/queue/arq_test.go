package queue_test

import (
	"testing"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// arq is not run here: these are fixtures that follow its layout (arq/worker.py, constants.py).
func TestArqFixtures(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	job := func(queue, id string, in float64) steps {
		return steps{do("ZADD", queue, ms(in), id), do("SET", "arq:job:"+id, "pickled")}
	}
	testPreset(t, client, framework.Arq, false, map[string]presetCase{
		"nothing": {names: []string{"arq:queue"}},
		"jobs that are due, and not those later": {names: []string{"arq:queue"}, ready: 2,
			prepare: all(job("arq:queue", "1", -60), job("arq:queue", "2", 0), job("arq:queue", "3", 0.001), job("arq:queue", "4", 60))},
		"trap: a job in work is in the queue until it is done, and counts once": {names: []string{"arq:queue"}, ready: 2,
			prepare: all(job("arq:queue", "1", -60), job("arq:queue", "2", -1), steps{do("SET", "arq:in-progress:1", "1"), do("SET", "arq:retry:1", "1")})},
		"trap: what is done, or to be aborted, does not count": {names: []string{"arq:queue"},
			prepare: steps{do("SET", "arq:result:1", "pickled"), do("ZADD", "arq:abort", ms(-1), "1"), do("SET", "arq:queue:health-check", "j_complete=1")}},
		"two queues, and one that is not asked about": {names: []string{"arq:queue", "slow"}, ready: 2,
			prepare: all(job("arq:queue", "1", -1), job("slow", "2", -1), job("other", "3", -1))},
	})
	wrongTypes(t, client, queue.OfPreset(framework.Arq, "", []string{"arq:queue"}, false), map[string]string{
		"arq:queue": "hold a sorted set, as it does for Arq: correct channelName, keys, keyPrefix or preset",
	})
}
