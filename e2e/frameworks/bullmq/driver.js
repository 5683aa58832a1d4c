'use strict';
// Drives BullMQ for the tests in Go. Its only argument is JSON: the package to use, the
// servers, and the prefix of the keys. Each line of its input is a request in JSON, and each
// line of its output the reply to one. It ends with its input.

const readline = require('node:readline');
const { Redis, Cluster } = require('ioredis');

const { bullmq, nodes, cluster, prefix } = JSON.parse(process.argv[2]);
const { FlowProducer, Queue, Worker } = require(bullmq);
const { version } = require(`${bullmq}/package.json`);

const redisOptions = { maxRetriesPerRequest: null }; // which BullMQ wants
const connection = cluster
  ? new Cluster(nodes, { redisOptions })
  : new Redis({ ...nodes[0], ...redisOptions });

const queues = new Map();
const workers = new Map();
const held = new Map(); // of a queue, the jobs that its worker holds

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
    const jobs = [];
    held.set(queue, jobs);
    const hold = () => new Promise((resolve, reject) => jobs.push({ resolve, reject }));
    const worker = new Worker(queue, hold, { ...settings, concurrency });
    worker.on('error', (error) => process.stderr.write(`worker of ${queue}: ${error.stack}\n`));
    workers.set(queue, worker);
    await worker.waitUntilReady();
  },

  // release ends as many jobs of those held as there are, up to count, and tells how many.
  async release({ queue, count, error }) {
    const jobs = held.get(queue).splice(0, count);
    for (const { resolve, reject } of jobs) {
      if (error) reject(new Error(error));
      else resolve();
    }
    return jobs.length;
  },

  async stop({ queue }) {
    await workers.get(queue).close();
  },
};

async function answer(line) {
  try {
    const { operation, ...args } = JSON.parse(line);
    return { result: (await operations[operation](args)) ?? null };
  } catch (error) {
    return { error: error.stack };
  }
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(line))}\n`);
  }
  process.exit(0);
}

main();
