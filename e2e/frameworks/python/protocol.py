"""What the drivers of frameworks for Python have in common: each line of their input is a request in JSON, and each
line of their output the reply to one. They end with their input, and their workers with them."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import traceback

# The only argument is JSON, and says among other things where the server is. Workers inherit it.
ARGUMENT = json.loads(os.environ.setdefault("DRIVER", sys.argv[1] if len(sys.argv) > 1 else "{}"))
HOST, PORT = ARGUMENT["nodes"][0]["host"], int(ARGUMENT["nodes"][0]["port"])

# Jobs wait for their outcomes in another database than that of the queues.
OUTCOMES_DB = 1
OUTCOMES = "outcomes"


def _die_with_the_driver():
    """A driver that is killed can't end its workers (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Workers:
    """The workers' processes, each in a group of its own, with what it forks."""

    def __init__(self):
        self._running = {}

    def __len__(self):
        return len(self._running)

    def start(self, queue, command):
        self._running[queue] = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True, preexec_fn=_die_with_the_driver
        )

    def end(self, queue, how):
        worker = self._running.pop(queue)
        if how == signal.SIGKILL:
            os.killpg(worker.pid, how)
        else:
            worker.send_signal(how)
        worker.wait()

    def end_all(self):
        for queue in list(self._running):
            self.end(queue, signal.SIGKILL)


def serve(operations, workers):
    operations["kill"] = lambda queue: workers.end(queue, signal.SIGKILL)
    operations["stop"] = lambda queue: workers.end(queue, signal.SIGTERM)
    try:
        for line in sys.stdin:
            try:
                request = json.loads(line)
                reply = {"result": operations[request.pop("operation")](**request)}
            except Exception:  # pylint: disable=broad-except
                reply = {"error": traceback.format_exc()}
            print(json.dumps(reply), flush=True)
    finally:
        workers.end_all()
