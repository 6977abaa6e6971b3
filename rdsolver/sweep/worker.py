"""A worker process of a sweep.

It takes tasks as lines of JSON from its input, answers each through a pipe, and keeps its compiled programs.

    python -m rdsolver.sweep.worker PIPE WIDTH [CORES]

With a width its runs are a batch (parallel/batching.py): it takes tasks while it computes others.
"""

from __future__ import annotations

import json
import os
import queue
import resource
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from ..parallel.device import in_flight
from .store import Status
from .task import Task, died, perform

FILES = 8  # number of files that a run may have open


def main(pipe: int, width: int, cores: str = "") -> None:
    """Run the worker.

    width  batch width (0: runs one by one)
    cores  the cores that it may use, such as "0,1" (default: all)
    """
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, map(int, cores.split(",")))  # set before JAX counts the cores
    from ..config.user_file import share_models

    share_models()
    tasks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    with os.fdopen(pipe, "wb") as answers:
        if width:
            _in_batch(tasks, answers, width)
        else:
            _one_by_one(tasks, answers)


def _one_by_one(tasks: queue.SimpleQueue[bytes], answers: BinaryIO) -> None:
    status = ""
    while status != "stopped":
        task = json.loads(tasks.get())
        run = Path(task["folder"])
        # the command that the run records
        sys.argv = ["rdsolver", "sweep", "one", str(run.parent.parent), run.name]
        _speak_into(run)
        said = perform(task)
        status = said["status"]
        _answer(answers, task, said)


def _in_batch(tasks: queue.SimpleQueue[bytes], answers: BinaryIO, width: int) -> None:
    """Compute the runs of a batch, each in a thread."""
    from ..parallel.batching import Batch
    from ..utils.signals import SharedStop, Signals

    _many_files(FILES * in_flight(width))
    batch, stops, answering = Batch(width), set[SharedStop](), threading.Lock()
    sys.argv = ["rdsolver", "sweep", "run", "--batch", str(width)]

    def go(task: Task) -> None:
        stop = SharedStop(signals)
        stops.add(stop)
        try:
            with batch.join():
                status = perform(task, stop=stop)
        except Exception as error:  # the other runs continue
            status = died(task, f"{type(error).__name__}: {error}")
        stops.discard(stop)
        with answering:
            _answer(answers, task, status)

    def last_words(name: str) -> None:
        for stop in list(stops):
            stop.last_words(name)

    with Signals() as signals, ThreadPoolExecutor(in_flight(width)) as pool:
        signals.last_words = last_words
        while not signals.name:
            try:
                task = json.loads(tasks.get(timeout=0.1))
            except queue.Empty:
                continue
            _speak_into(Path(task["folder"]))
            pool.submit(go, task)
        pool.shutdown()
        signals.acknowledge()


def _many_files(count: int) -> None:
    """Raise the limit of open files to this count, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _answer(answers: BinaryIO, task: Task, status: Status) -> None:
    answers.write(json.dumps({"folder": task["folder"], "status": status}).encode() + b"\n")
    answers.flush()


def _listen(tasks: queue.SimpleQueue[bytes]) -> None:
    """Receive tasks until the parent closes the pipe or has died.

    Then a run that is being computed is stopped as by SIGTERM, and without one the process ends.
    """
    rest = b""
    while data := os.read(0, 1 << 16):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            tasks.put(line)
    os.kill(os.getpid(), signal.SIGTERM)


def _speak_into(run: Path) -> None:
    """Send the output of libraries to the log of the run (in a batch, to that of the run that began last)."""
    run.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(run / "run.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
