"""Drives Celery for the tests in Go. Its argument has the server, the transport's options, and whether tasks are
acknowledged late."""

import sys
import time

import celery
import redis

from celery_tasks import app, work
from protocol import HOST, OUTCOMES, OUTCOMES_DB, PORT, Workers, serve

workers = Workers()
outcomes = redis.Redis(HOST, PORT, OUTCOMES_DB)
connection = app.connection_for_read()


def add(queue, options=None):
    work.apply_async(queue=queue, **(options or {}))


def tell(method):
    """What the workers tell of their tasks, by the queues' names. The call returns when all have answered."""
    told = {}
    if len(workers):
        replies = getattr(app.control.inspect(timeout=10, limit=len(workers)), method)() or {}
        for tasks in replies.values():
            for task in tasks:
                queue = task.get("request", task)["delivery_info"]["routing_key"]
                told[queue] = told.get(queue, 0) + 1
    return told


def counts(queue):
    """What waits, by kombu (what queue_declare calls, which takes a queue with a global_keyprefix for none); what workers hold, by themselves; and what is not acknowledged: what
    kombu looks through to restore it."""
    channel = connection.default_channel
    held = {method: tell(method).get(queue, 0) for method in ("active", "reserved", "scheduled")}
    unacked = len(channel.client.zrevrangebyscore(channel.unacked_index_key, "+inf", 0))
    return {"waiting": channel._size(queue), "unacked": unacked, **held}


def start(queue, concurrency):
    workers.start(queue, [
        sys.executable, "-m", "celery", "-A", "celery_tasks", "-q", "worker", "-Q", queue, "-c", str(concurrency),
        "-n", f"{queue}@localhost", "-l", "ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat",
    ])
    while not app.control.ping(timeout=0.2, limit=1):  # until then it would not answer
        pass


def release(queue, count, error):
    outcomes.rpush(OUTCOMES, *[error] * count)
    while outcomes.exists(OUTCOMES):  # jobs have yet to take them
        time.sleep(0.01)
    return count


def restore():
    """What workers do at their start, and then every 10 s: return what is not acknowledged, as if the visibility timeout
    were over."""
    with app.connection_for_read(transport_options={**app.conf.broker_transport_options, "visibility_timeout": 0}) as own:
        own.default_channel.qos.restore_visible(num=1000)


serve({
    "version": lambda: celery.__version__,
    "add": add,
    "counts": counts,
    "work": start,
    "release": release,
    "restore": restore,
    "pause": lambda queue: app.control.cancel_consumer(queue, reply=True, limit=1),
    "resume": lambda queue: app.control.add_consumer(queue, reply=True, limit=1),
}, workers)
