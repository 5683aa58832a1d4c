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


def _with_descendants(process):
    """A process and all that it forked, whatever sessions they made: a job of an RQ worker has one of its own."""
    yield process
    with open(f"/proc/{process}/task/{process}/children", encoding="ascii") as children:
        for child in children.read().split():
            yield from _with_descendants(int(child))


class Workers:
    """The workers' processes."""

    def __init__(self):
        self._running = {}

    def __len__(self):
        return len(self._running)

    def start(self, queue, command):
        self._running[queue] = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_the_driver
        )

    def kill(self, queue):
        worker = self._running.pop(queue)
        for process in list(_with_descendants(worker.pid)):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        worker.wait()

    def kill_all(self):
        for queue in list(self._running):
            self.kill(queue)


def serve(operations, workers):
    operations["kill"] = workers.kill
    try:
        for line in sys.stdin:
            try:
                request = json.loads(line)
                reply = {"result": operations[request.pop("operation")](**request)}
            except Exception:  # pylint: disable=broad-except
                reply = {"error": traceback.format_exc()}
            print(json.dumps(reply), flush=True)
    finally:
        workers.kill_all()
