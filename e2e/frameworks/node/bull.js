'use strict';
// Drives Bull 4, the predecessor of BullMQ, for the tests in Go, with the operations of bullmq.js.

const { Redis, Cluster } = require('ioredis');
const Bull = require('bull');
const { version } = require('bull/package.json');
const { argument, serve, hold, release } = require('./protocol');

const { nodes, cluster, prefix } = argument;

// Bull makes three connections for each queue, and wants these settings for two of them.
function createClient(type) {
  const redisOptions = type === 'client' ? {} : { maxRetriesPerRequest: null, enableReadyCheck: false };
  return cluster ? new Cluster(nodes, { redisOptions }) : new Redis({ ...nodes[0], ...redisOptions });
}

const queues = new Map();
const workers = new Map();
const settings = prefix ? { createClient, prefix } : { createClient };

function queueOf(name) {
  if (!queues.has(name)) queues.set(name, new Bull(name, settings));
  return queues.get(name);
}

serve({
  version: () => version,

  async add({ queue, options }) {
    const { id, timestamp } = await queueOf(queue).add('work', {}, options ?? {});
    return { id: String(id), timestamp };
  },

  // counts are Bull's own; due is how many of those delayed are: jobs to be retried since their last run.
  async counts({ queue }) {
    const counts = await queueOf(queue).getJobCounts();
    const delayed = await queueOf(queue).getDelayed();
    const due = ({ attemptsMade, processedOn, timestamp, delay, opts }) =>
      (attemptsMade > 0 ? processedOn + opts.backoff.delay : timestamp + delay) <= Date.now();
    return { ...counts, due: delayed.filter(due).length };
  },

  async pause({ queue }) {
    await queueOf(queue).pause();
  },

  async resume({ queue }) {
    await queueOf(queue).resume();
  },

  // work starts a worker, which holds its jobs until release.
  async work({ queue, concurrency }) {
    const worker = new Bull(queue, settings);
    worker.on('error', (error) => process.stderr.write(`worker of ${queue}: ${error.stack}\n`));
    workers.set(queue, worker);
    worker.process('work', concurrency, hold(queue)).catch((error) => process.stderr.write(`${error.stack}\n`));
    await worker.isReady();
  },

  release,

  async stop({ queue }) {
    await workers.get(queue).close(true); // without the wait for a blocked command
  },
});
