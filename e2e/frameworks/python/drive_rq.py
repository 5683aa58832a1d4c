"""Drives RQ for the tests in Go."""

import os
import sys
import time
from datetime import timedelta

import redis
import rq
from rq import registry, suspension

import rq_jobs
from protocol import HOST, OUTCOMES, OUTCOMES_DB, PORT, Workers, serve

workers = Workers()
server = redis.Redis(HOST, PORT)
outcomes = redis.Redis(HOST, PORT, OUTCOMES_DB)
last = {}  # job of each queue


def queue_of(name):
    return rq.Queue(name, connection=server)


def add(queue, options=None):
    options = options or {}
    retry = rq.Retry(max=1, interval=options["retryIn"]) if "retryIn" in options else None
    if "delay" in options:
        job = queue_of(queue).enqueue_in(timedelta(seconds=options["delay"]), rq_jobs.work, retry=retry)
    else:
        after = last[queue] if options.get("afterLast") else None
        job = queue_of(queue).enqueue(rq_jobs.work, retry=retry, depends_on=after)
    last[queue] = job


def counts(queue):
    """By RQ's registries; runs are how often a job was begun, which no two steps have alike. To count those started, RQ
    first ends the jobs of workers that are dead."""
    own = queue_of(queue)
    scheduled = own.scheduled_job_registry
    return {
        "queued": own.count,
        "started": own.started_job_registry.count,
        "scheduled": scheduled.count,
        "due": len(scheduled.get_jobs_to_schedule()),
        "deferred": own.deferred_job_registry.count,
        "finished": own.finished_job_registry.count,
        "failed": own.failed_job_registry.count,
        "runs": int(outcomes.get(rq_jobs.RUNS) or 0),
        "suspended": 1 if suspension.is_suspended(server) else 0,
    }


def start(queue, concurrency):
    """A worker of RQ's works on one job at a time."""
    assert concurrency == 1
    workers.start(queue, [sys.executable, rq_jobs.__file__, queue])


def release(queue, count, error):
    outcomes.rpush(OUTCOMES, *[error] * count)
    while outcomes.exists(OUTCOMES):  # jobs have yet to take them
        time.sleep(0.01)
    return count


serve({
    "version": lambda: rq.VERSION,
    "add": add,
    "counts": counts,
    "work": start,
    "release": release,
    "suspend": lambda queue: suspension.suspend(server) and None,  # workers of whatever queue
    "resume": lambda queue: suspension.resume(server) and None,
}, workers)
