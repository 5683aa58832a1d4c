package queue_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// deaf subscribes and reads nothing more, so that what is published piles up for it.
func deaf(t *testing.T, server *redistest.Server, name, channel string) {
	t.Helper()
	connection, err := net.Dial("tcp", server.Addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	require.NoError(t, connection.(*net.TCPConn).SetReadBuffer(4096))
	if name != "" {
		_, err = fmt.Fprintf(connection, "CLIENT SETNAME %s\r\n", name)
		require.NoError(t, err)
	}
	_, err = fmt.Fprintf(connection, "SUBSCRIBE %s\r\n", channel)
	require.NoError(t, err)
}

// readLater reads once, at a time after now.
func readLater(t *testing.T, client *redis.Client, reader *queue.Reader, after time.Duration) (queue.Depth, error) {
	t.Helper()
	batch := queue.NewBatch([]*queue.Reader{reader})
	batch.Begin(now.Add(after))
	for commands := batch.Ask(); len(commands) > 0; commands = batch.Ask() {
		pipe := client.Pipeline()
		_ = pipe.BatchProcess(t.Context(), commands...)
		_, err := pipe.Exec(t.Context())
		batch.Answer(err)
	}
	return reader.Result()
}

func TestPubSubTellsWhatSlowSubscribersHaveNotTaken(t *testing.T) {
	server := redistest.Start(t)
	client, counts := server.Client(), &counter{}
	client.AddHook(counts)
	reader := newReader(queue.Queue{Key: "news", Kind: queue.PubSub})
	depth, err := readLater(t, client, reader, 0)
	require.NoError(t, err)
	assert.Equal(t, queue.Depth{Kind: queue.PubSub, LowerBound: true, Estimate: true, Added: -1}, depth, "nobody listens")
	counts.names = nil
	_, err = readLater(t, client, reader, time.Second)
	require.NoError(t, err)
	assert.Equal(t, []map[string]int{{"pubsub": 1}}, counts.names, "and while nobody does, nothing else is asked")

	deaf(t, server, "", "news")
	deaf(t, server, "", "other")
	listening := func(channel string) int64 { return client.PubSubNumSub(t.Context(), channel).Val()[channel] }
	require.Eventually(t, func() bool { return listening("news") == 1 && listening("other") == 1 }, deadline, poll)
	depth, err = readLater(t, client, reader, 2*time.Second)
	require.NoError(t, err)
	assert.Zero(t, depth.Ready, "it has taken all")

	// More than the kernel's buffers hold.
	payload := strings.Repeat("x", 1<<20)
	for range 16 {
		require.NoError(t, client.Publish(t.Context(), "news", payload).Err())
	}
	counts.names = nil
	depth, err = readLater(t, client, reader, 6*time.Second)
	require.NoError(t, err)
	assert.Zero(t, depth.Ready)
	assert.Len(t, counts.names, 1)
	assert.Zero(t, counts.names[0]["client"], "within 5 seconds the last answer is kept")
	depth, err = readLater(t, client, reader, 8*time.Second)
	require.NoError(t, err)
	assert.Greater(t, depth.Ready, int64(4<<10), "messages of 1 KiB")
	assert.LessOrEqual(t, depth.Ready, int64(17<<10))
	assert.Zero(t, depth.InFlight)
	assert.True(t, depth.LowerBound)

	// Where one bears the channel's name, only those count that do.
	other := newReader(queue.Queue{Key: "other", Kind: queue.PubSub})
	depth, err = readLater(t, client, other, 0)
	require.NoError(t, err)
	assert.Greater(t, depth.Ready, int64(4<<10), "without a name, whose backlog it is can't be told")
	deaf(t, server, "pubsub:other", "other")
	require.Eventually(t, func() bool { return listening("other") == 2 }, deadline, poll)
	depth, err = readLater(t, client, other, 10*time.Second)
	require.NoError(t, err)
	assert.Zero(t, depth.Ready)
}

// script answers commands by what they begin with, in place of a server.
type script map[string]any

// play reads once. A reply that is an error is the command's.
func (s script) play(t *testing.T, batch *queue.Batch, at time.Time) (asked []string) {
	t.Helper()
	batch.Begin(at)
	for commands := batch.Ask(); len(commands) > 0; commands = batch.Ask() {
		for _, command := range commands {
			line := strings.TrimSuffix(fmt.Sprintln(command.Args()...), "\n")
			asked = append(asked, line)
			reply, ok := s[line]
			require.True(t, ok, "not expected: %s", line)
			if err, ok := reply.(error); ok {
				command.SetErr(err)
				continue
			}
			command.SetErr(nil)
			switch command := command.(type) {
			case *redis.MapStringIntCmd:
				command.SetVal(map[string]int64{"news": int64(reply.(int))})
			case *redis.StatusCmd:
				command.SetVal(reply.(string))
			case *redis.StringCmd:
				command.SetVal(reply.(string))
			case *redis.StringSliceCmd:
				command.SetVal(reply.([]string))
			case *redis.IntCmd:
				command.SetVal(int64(reply.(int)))
			case *redis.Cmd:
				command.SetVal(reply)
			default:
				require.Fail(t, "no reply for", "%T", command)
			}
		}
		batch.Answer(nil)
	}
	return asked
}

// replyError is an error that a server replied.
type replyError string

func (e replyError) Error() string { return string(e) }
func (replyError) RedisError()     {}

const (
	numsub     = "pubsub numsub news"
	clientList = "client list type pubsub"
	infoMemory = "info memory"
	// dragonflyClient has none of the fields that tell what a client has not taken.
	dragonflyClient = "id=7 addr=127.0.0.1:5 laddr=127.0.0.1:6379 fd=9 name= age=3 idle=0 tid=1 irqmatch=0 phase=readsock db=0 flags=P lib-name= lib-ver=\n"
	// waitingClient is one of DragonFly from 1.39.
	waitingClient = "id=7 addr=127.0.0.1:5 fd=9 name=%s age=3 idle=0 tid=1 phase=readsock db=0 flags=P send-wait-time=%d\n"
	redisClient   = "id=3 addr=127.0.0.1:5 name=%s age=1 idle=1 flags=P db=0 sub=1 psub=0 qbuf=0 argv-mem=0 obl=%d oll=1 omem=%d tot-mem=9 events=r cmd=subscribe user=default\n"
)

func TestPubSubSources(t *testing.T) {
	dragonfly := "# Memory\r\nused_memory:9\r\ndispatch_queue_subscriber_bytes:3073\r\n"
	tests := map[string]struct {
		script  script
		asked   []string
		ready   int64
		problem string
	}{
		"Redis": {script{numsub: 2, clientList: fmt.Sprintf(redisClient+redisClient, "", 1000, 20000, "", 24, 0)},
			[]string{numsub, clientList}, 21, ""}, // 21024 bytes
		"named": {script{numsub: 2, clientList: fmt.Sprintf(redisClient+redisClient, "", 1000, 20000, "pubsub:news", 24, 0)},
			[]string{numsub, clientList}, 1, ""},
		"trap: DragonFly's client list tells nothing, which is not 0": {script{numsub: 1, clientList: dragonflyClient, infoMemory: dragonfly},
			[]string{numsub, clientList, numsub, infoMemory}, 4, ""},
		"DragonFly's subscribers of another channel are slow": {script{numsub: 1, infoMemory: dragonfly, clientList: fmt.Sprintf(waitingClient+waitingClient, "pubsub:news", 0, "pubsub:other", 5)},
			[]string{numsub, clientList, numsub, infoMemory, clientList}, 0, ""},
		"DragonFly's subscriber of this one is slow": {script{numsub: 2, infoMemory: dragonfly, clientList: fmt.Sprintf(waitingClient+waitingClient, "pubsub:news", 0, "pubsub:news", 5)},
			[]string{numsub, clientList, numsub, infoMemory, clientList}, 4, ""},
		"DragonFly's subscribers have no name": {script{numsub: 1, infoMemory: dragonfly, clientList: fmt.Sprintf(waitingClient, "", 0)},
			[]string{numsub, clientList, numsub, infoMemory, clientList}, 4, ""},
		"DragonFly before 1.39 knows no filter": {script{numsub: 1, clientList: replyError("ERR syntax error"), infoMemory: dragonfly},
			[]string{numsub, clientList, numsub, infoMemory}, 4, ""},
		"they left after they were counted": {script{numsub: 1, clientList: "", infoMemory: "used_memory:9\r\n"},
			[]string{numsub, clientList, numsub, infoMemory}, 0, ""},
		"no source": {script{numsub: 1, clientList: dragonflyClient, infoMemory: "used_memory:9\r\n"},
			[]string{numsub, clientList, numsub, infoMemory}, 0,
			`the backlog of channel "news" is not known: CLIENT LIST tells no omem of its subscribers, and INFO memory no dispatch_queue_subscriber_bytes: let the server's user run CLIENT LIST (Redis) or INFO (DragonFly), or use a stream`},
		"a user who may not list clients": {script{numsub: 1, clientList: replyError("NOPERM no"), infoMemory: "used_memory:9\r\n"},
			[]string{numsub, clientList, numsub, infoMemory}, 0,
			`the backlog of channel "news" is not known: CLIENT LIST tells no omem of its subscribers, and INFO memory no dispatch_queue_subscriber_bytes (NOPERM no): let the server's user run CLIENT LIST (Redis) or INFO (DragonFly), or use a stream`},
		"trap: less than nothing is no backlog": {script{numsub: 1, clientList: fmt.Sprintf(redisClient, "", 1000, -24), infoMemory: "dispatch_queue_subscriber_bytes:-1\r\n"},
			[]string{numsub, clientList, numsub, infoMemory}, 0,
			`the backlog of channel "news" is not known: CLIENT LIST tells no omem of its subscribers, and INFO memory no dispatch_queue_subscriber_bytes: let the server's user run CLIENT LIST (Redis) or INFO (DragonFly), or use a stream`},
		"a server that loads": {script{numsub: 1, clientList: replyError("LOADING x")}, []string{numsub, clientList}, 0, "LOADING x"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			reader := newReader(queue.Queue{Key: "news", Kind: queue.PubSub})
			assert.Equal(t, test.asked, test.script.play(t, queue.NewBatch([]*queue.Reader{reader}), now))
			depth, err := reader.Result()
			if test.problem != "" {
				assert.EqualError(t, err, test.problem)
				assert.Zero(t, depth)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, queue.Depth{Kind: queue.PubSub, Ready: test.ready, LowerBound: true, Estimate: true, Added: -1}, depth)
		})
	}
}

// The source that told is asked first from then on, until it tells no more.
func TestPubSubKeepsItsSource(t *testing.T) {
	reader := newReader(queue.Queue{Key: "news", Kind: queue.PubSub})
	batch := queue.NewBatch([]*queue.Reader{reader})
	dragonfly := script{numsub: 1, clientList: replyError("ERR syntax error"), infoMemory: "dispatch_queue_subscriber_bytes:2048\r\n"}
	assert.Len(t, dragonfly.play(t, batch, now), 4)
	assert.Equal(t, []string{numsub}, dragonfly.play(t, batch, now.Add(4*time.Second)))
	assert.Equal(t, []string{numsub, infoMemory}, dragonfly.play(t, batch, now.Add(5*time.Second)))
	onRedis := script{numsub: 1, clientList: fmt.Sprintf(redisClient, "", 1024, 0), infoMemory: "used_memory:9\r\n"}
	assert.Equal(t, []string{numsub, infoMemory, numsub, clientList}, onRedis.play(t, batch, now.Add(10*time.Second)))
	depth, err := reader.Result()
	require.NoError(t, err)
	assert.EqualValues(t, 1, depth.Ready)
	assert.Equal(t, []string{numsub, clientList}, onRedis.play(t, batch, now.Add(15*time.Second)))
}
