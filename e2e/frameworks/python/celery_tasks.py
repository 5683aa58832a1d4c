"""The application whose tasks Celery's workers run: each waits for its outcome."""

import redis
from celery import Celery

from protocol import ARGUMENT, HOST, OUTCOMES, OUTCOMES_DB, PORT

app = Celery("tasks", broker=f"redis://{HOST}:{PORT}/0")
app.conf.update(
    broker_transport_options=ARGUMENT["transport"],
    task_acks_late=ARGUMENT["acksLate"],
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
)


@app.task(bind=True, max_retries=None)
def work(self):
    _, outcome = redis.Redis(HOST, PORT, OUTCOMES_DB).blpop(OUTCOMES)
    if outcome == b"retry":
        raise self.retry(countdown=3600)
    if outcome != b"":
        raise RuntimeError(outcome.decode())
