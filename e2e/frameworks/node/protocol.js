'use strict';
// What the drivers of frameworks for Node.js have in common: each line of their input is a request in JSON, and each
// line of their output the reply to one. They end with their input.

const readline = require('node:readline');

// The only argument is JSON, and says among other things where the server is.
const argument = JSON.parse(process.argv[2]);

async function answer(operations, line) {
  try {
    const { operation, ...args } = JSON.parse(line);
    return { result: (await operations[operation](args)) ?? null };
  } catch (error) {
    return { error: error.stack };
  }
}

async function serve(operations) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(operations, line))}\n`);
  }
  process.exit(0);
}

const held = new Map(); // of a queue, the jobs that its worker holds

// hold is the work of a queue's jobs: each waits for release.
function hold(queue) {
  const jobs = [];
  held.set(queue, jobs);
  return () => new Promise((resolve, reject) => jobs.push({ resolve, reject }));
}

// release ends as many jobs of those held as there are, up to count, and tells how many.
function release({ queue, count, error }) {
  const jobs = held.get(queue).splice(0, count);
  for (const { resolve, reject } of jobs) {
    if (error) reject(new Error(error));
    else resolve();
  }
  return jobs.length;
}

module.exports = { argument, serve, hold, release };
