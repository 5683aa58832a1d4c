'use strict';
// Drives BullMQ for the tests in Go. Its argument has the package to use, the servers, and the prefix of the keys.

const { Redis, Cluster } = require('ioredis');
const { argument, serve, hold, release } = require('./protocol');

const { package: bullmq, nodes, cluster, prefix } = argument;
const { FlowProducer, Queue, Worker } = require(bullmq);
const { version } = require(`${bullmq}/package.json`);

const redisOptions = { maxRetriesPerRequest: null }; // which BullMQ wants
const connection = cluster
  ? new Cluster(nodes, { redisOptions })
  : new Redis({ ...nodes[0], ...redisOptions });

const queues = new Map();
const workers = new Map();

// Without a prefix, BullMQ takes its own default.
const settings = prefix ? { connection, prefix } : { connection };

function queueOf(name) {
  if (!queues.has(name)) queues.set(name, new Queue(name, settings));
  return queues.get(name);
}

const operations = {
  version: () => version,

  async add({ queue, options }) {
    const { id, timestamp } = await queueOf(queue).add('work', {}, options);
    return { id, timestamp };
  },

  // addWithChild adds a job that waits for another.
  async addWithChild({ queue, child }) {
    const flow = new FlowProducer(settings);
    await flow.add({ name: 'work', queueName: queue, children: [{ name: 'work', queueName: child }] });
    await flow.close();
  },

  async limit({ queue, concurrency }) {
    await queueOf(queue).setGlobalConcurrency(concurrency);
  },

  async schedule({ queue, repeat }) {
    await queueOf(queue).upsertJobScheduler('report', repeat, { name: 'work' });
  },

  // counts are BullMQ's own; due is how many of those delayed are.
  async counts({ queue }) {
    const counts = await queueOf(queue).getJobCounts();
    const delayed = await queueOf(queue).getDelayed();
    return { ...counts, due: delayed.filter((job) => job.timestamp + job.delay <= Date.now()).length };
  },

  async pause({ queue }) {
    await queueOf(queue).pause();
  },

  async resume({ queue }) {
    await queueOf(queue).resume();
  },

  // work starts a worker, which holds its jobs until release.
  async work({ queue, concurrency }) {
    const worker = new Worker(queue, hold(queue), { ...settings, concurrency });
    worker.on('error', (error) => process.stderr.write(`worker of ${queue}: ${error.stack}\n`));
    workers.set(queue, worker);
    await worker.waitUntilReady();
  },

  release,

  async stop({ queue }) {
    await workers.get(queue).close();
  },
};

serve(operations);
