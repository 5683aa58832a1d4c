'use strict';
// Drives bee-queue for the tests in Go.

const Queue = require('bee-queue');
const { version } = require('bee-queue/package.json');
const { argument, serve, hold, release } = require('./protocol');

const { nodes, prefix } = argument;
const redis = nodes[0];
const queues = new Map();
const workers = new Map();
const settings = prefix ? { redis, prefix } : { redis };

// What is due is left where it is unless a worker runs.
async function queueOf(name) {
  if (!queues.has(name)) queues.set(name, new Queue(name, { ...settings, isWorker: false, getEvents: false, sendEvents: false }));
  const queue = queues.get(name);
  await queue.ready();
  return queue;
}

serve({
  version: () => version,

  async add({ queue, options }) {
    const job = (await queueOf(queue)).createJob({});
    if (options?.delay) job.delayUntil(Date.now() + options.delay);
    if (options?.retries) job.retries(options.retries).backoff('fixed', options.backoff);
    const { id, options: { timestamp } } = await job.save();
    return { id, timestamp };
  },

  // counts are bee-queue's own; due is how many of those delayed are.
  async counts({ queue }) {
    const own = await queueOf(queue);
    const { newestJob, ...counts } = await own.checkHealth();
    const delayed = await own.getJobs('delayed', { start: 0, end: 1000 });
    return { ...counts, due: delayed.filter((job) => job.options.delay <= Date.now()).length };
  },

  // work starts a worker, which holds its jobs until release.
  async work({ queue, concurrency }) {
    const worker = new Queue(queue, { ...settings, activateDelayedJobs: true });
    worker.on('error', (error) => process.stderr.write(`worker of ${queue}: ${error.stack}\n`));
    workers.set(queue, worker);
    await worker.ready();
    worker.process(concurrency, hold(queue));
  },

  release,

  async stop({ queue }) {
    await workers.get(queue).close(100);
  },
});
