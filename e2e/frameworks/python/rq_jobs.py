"""The jobs that RQ's workers run, each of which waits for its outcome, and such a worker."""

import sys

import redis
import rq

from protocol import HOST, OUTCOMES, OUTCOMES_DB, PORT

RUNS = "runs"  # how many there were


def work():
    server = redis.Redis(HOST, PORT, OUTCOMES_DB)
    server.incr(RUNS)
    _, outcome = server.blpop(OUTCOMES)
    if outcome != b"":
        raise RuntimeError(outcome.decode())


class Worker(rq.Worker):
    """RQ believes a worker to be alive for a minute after it should have been heard of: here for seconds."""

    def get_heartbeat_ttl(self, job):
        return self.job_monitoring_interval + 5


if __name__ == "__main__":
    server = redis.Redis(HOST, PORT)
    Worker([sys.argv[1]], connection=server, job_monitoring_interval=1).work(logging_level="CRITICAL")
