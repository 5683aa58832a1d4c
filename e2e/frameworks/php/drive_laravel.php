<?php
// Drives Laravel's queues on Redis (illuminate/queue) for the tests in Go. Each line of its input is a request in JSON,
// and each line of its output the reply to one. It ends with its input. Its argument, JSON, has the server, and the
// prefix of the Redis connection. What `queue:work` does with a job, it does by the same calls.

require '/usr/share/php/Illuminate/Queue/autoload.php';
require '/usr/share/php/Illuminate/Redis/autoload.php';

use Illuminate\Container\Container;
use Illuminate\Queue\RedisQueue;
use Illuminate\Redis\RedisManager;

$argument = json_decode($argv[1], true);
$node = $argument['nodes'][0];
$redis = new RedisManager(new Container(), 'phpredis', [
    'options' => ['prefix' => $argument['prefix']],
    'default' => ['host' => $node['host'], 'port' => (int) $node['port'], 'database' => 0],
]);

// How long a worker may hold a job, in s: connections differ by it (config/queue.php, retry_after).
function queueOf(int $retryAfter = 3600): RedisQueue
{
    global $redis;
    $queue = new RedisQueue($redis, 'default', null, $retryAfter);
    $queue->setContainer(new Container());
    $queue->setConnectionName('redis');
    return $queue;
}

$held = []; // of a queue, the jobs that are in work
$operations = [
    'version' => fn () => trim(shell_exec('dpkg-query -W -f \'${Version}\' php-illuminate-queue')),
    'add' => function ($r) {
        $delay = $r['options']['delay'] ?? null;
        $delay === null ? queueOf()->push('Work', [], $r['queue']) : queueOf()->later($delay, 'Work', [], $r['queue']);
    },
    // size is Laravel's own, and counts what is not due, too.
    'counts' => fn ($r) => ['size' => queueOf()->size($r['queue'])],
    // take takes jobs as a worker does.
    'take' => function ($r) use (&$held) {
        for ($i = 0; $i < $r['count']; $i++) {
            $job = queueOf($r['retryAfter'])->pop($r['queue']);
            if ($job === null) {
                throw new RuntimeException('nothing waits in ' . $r['queue']);
            }
            $held[$r['queue']][] = $job;
        }
    },
    'done' => function ($r) use (&$held) {
        array_shift($held[$r['queue']])->delete();
    },
    // release puts a job back, as a worker does with one that failed.
    'release' => function ($r) use (&$held) {
        array_shift($held[$r['queue']])->release($r['delay']);
    },
];

while (($line = fgets(STDIN)) !== false) {
    $request = json_decode($line, true);
    try {
        $reply = ['result' => $operations[$request['operation']]($request)];
    } catch (Throwable $e) {
        $reply = ['error' => (string) $e];
    }
    echo json_encode($reply), "\n";
}
