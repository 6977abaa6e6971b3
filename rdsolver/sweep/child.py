"""A child process of a sweep: takes tasks as lines of JSON from its input, answers each through a pipe of its own, and stays warm.

python -m rdsolver.sweep.child PIPE [CORES]
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path


def main(answers: int, cores: str = "") -> None:
    """cores: those it may use, "0,1" (default: all)."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, map(int, cores.split(",")))  # before JAX counts them
    tasks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    from .work import perform

    while True:
        task = json.loads(tasks.get())
        run = Path(task["folder"])
        sys.argv = ["rdsolver", "sweep", "one", str(run.parent.parent), run.name]  # what the run notes as its command
        _speak_into(run / "run.log")
        status = perform(task)
        os.write(answers, json.dumps(status).encode() + b"\n")
        if status["status"] == "stopped":
            break


def _listen(tasks: queue.SimpleQueue[bytes]) -> None:
    """Until the parent closes the pipe, or is no more: then a run under way is stopped as by SIGTERM, and without one the process ends."""
    rest = b""
    while data := os.read(0, 1 << 16):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            tasks.put(line)
    os.kill(os.getpid(), signal.SIGTERM)


def _speak_into(log: Path) -> None:
    """What libraries print goes into the log of the run."""
    log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
