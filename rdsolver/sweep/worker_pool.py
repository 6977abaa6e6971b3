"""Runs in worker processes: a pool of threads, each of which owns one worker that computes runs one by one.

A worker keeps its compiled programs between runs. It is replaced when it dies, which loses only its present
run. It ends with its parent, also if that was killed, because it watches the pipe that its tasks come
through.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import InputError
from ..parallel.device import gpu_order, in_flight, parse_device
from .task import Task

ALONE, SHARED = (
    0.75,
    0.9,
)  # shares of a GPU's memory: of one JAX process, and of several workers together


class WorkerDied(Exception):
    """A worker process ended before it answered."""


@dataclass(frozen=True, eq=False)
class Slot:
    """The place where a worker computes.

    environment  variables that are set for it
    cores        cores that it may use (empty: all)
    inherits     file descriptors that it inherits
    width        width of the batch that its runs are in (0: each on its own)
    """

    environment: dict[str, str] = field(default_factory=dict)
    cores: tuple[int, ...] = ()
    inherits: tuple[int, ...] = ()
    width: int = 0

    @property
    def capacity(self) -> int:
        """The number of runs that its worker has at once."""
        return in_flight(self.width) if self.width else 1


class Worker:
    """One process and the pipes to it. It belongs to no terminal, so that Ctrl-C reaches only the driver."""

    def __init__(self, slot: Slot) -> None:
        answers, theirs = os.pipe()
        words = [
            sys.executable,
            "-m",
            "rdsolver.sweep.worker",
            str(theirs),
            str(slot.width),
            ",".join(map(str, slot.cores)),
        ]
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs, *slot.inherits),
            env=os.environ | slot.environment,
            start_new_session=True,
        )
        os.close(theirs)
        self.pending: dict[str, Future[dict[str, Any]]] = {}  # by the folder of the run
        self.stopping = False
        self._write = threading.Lock()
        threading.Thread(target=self._listen, args=(os.fdopen(answers, "rb"),), daemon=True).start()

    @property
    def sweep(self) -> str:
        """The folder of the sweep whose runs it has; empty if it has none."""
        return next((str(Path(run).parent.parent) for run in list(self.pending)), "")

    def perform(self, task: Task) -> dict[str, Any]:
        """The status of a task that it computes. Raises WorkerDied when it ends before it answers."""
        assert self.process.stdin
        answer = self.pending[task["folder"]] = Future()
        with self._write, suppress(OSError, ValueError):  # raised if it died, which its answers show
            self.process.stdin.write(json.dumps(task).encode() + b"\n")
            self.process.stdin.flush()
        if self.process.poll() is not None:
            self._end()
        return answer.result()

    def _listen(self, answers: BinaryIO) -> None:
        """Receive answers until the process ends."""
        with answers:
            for line in answers:
                if line.endswith(b"\n"):
                    said = json.loads(line)
                    self.pending.pop(said["folder"]).set_result(said["status"])
        self._end()

    def _end(self) -> None:
        why = WorkerDied(_exit_text(self.process.wait()))
        for run in list(self.pending):
            if (answer := self.pending.pop(run, None)) is not None:
                answer.set_exception(why)

    def close(self) -> None:
        """Close its input, so that it ends."""
        assert self.process.stdin
        with suppress(OSError, ValueError):
            self.process.stdin.close()


class WorkerPool(Executor):
    """An Executor for `in_worker`, with one thread for each place of a slot.

    A thread prefers runs of its last group, then of a group that no other thread has, so that a program is
    compiled in few workers.
    """

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._waiting: list[tuple[Future[Any], Callable[[Task], Any], Task]] = []
        self._groups: dict[Slot, int] = {}  # the last group of each thread
        self._open, self._change = True, threading.Condition()
        places = [slot for slot in slots for _ in range(slot.capacity)]
        self._threads = [threading.Thread(target=self._work, args=(slot,), daemon=True) for slot in places]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[[Task], Any], task: Task, /) -> Future[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        future: Future[Any] = Future()
        with self._change:
            if not self._open:
                raise RuntimeError("no more runs are taken: the pool has been shut down")
            self._waiting.append((future, fn, task))
            self._change.notify()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        with self._change:
            self._open = False
            while cancel_futures and self._waiting:
                self._waiting.pop()[0].cancel()
            self._change.notify_all()
        for thread in self._threads if wait else ():
            thread.join()

    def _work(self, slot: Slot) -> None:
        _thread.slot = slot
        while (taken := self._next(slot)) is not None:
            future, function, task = taken
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function(task))
            except BaseException as error:
                future.set_exception(error)

    def _next(self, slot: Slot) -> tuple[Future[Any], Callable[[Task], Any], Task] | None:
        """The next task; None if there are no more."""
        with self._change:
            self._change.wait_for(lambda: self._waiting or not self._open)
            if not self._waiting:
                return None
            mine, of_others = self._groups.get(slot), {g for s, g in self._groups.items() if s is not slot}
            ranks = (
                (task["group"] != mine, task["group"] in of_others, k)
                for k, (_, _, task) in enumerate(self._waiting)
            )
            taken = self._waiting.pop(min(ranks)[2])
            self._groups[slot] = taken[2]["group"]
            return taken


_thread = threading.local()  # the slot of this thread
_workers: dict[Slot, Worker] = {}  # the workers of this process
_starting = threading.Lock()


def in_worker(task: Task) -> dict[str, Any]:
    """perform(task) in the worker of this thread's slot. Raises WorkerDied when it ends before it answers."""
    if not hasattr(_thread, "slot"):  # in a worker of Dask
        _thread.slot = Slot()
    with _starting:
        worker = _workers.get(_thread.slot)
        if worker is None or worker.stopping or worker.process.poll() is not None:
            worker = _workers[_thread.slot] = Worker(_thread.slot)
    status = worker.perform(task)
    if status["status"] == "stopped":  # then the worker stops too
        worker.stopping = True
        worker.close()
        worker.process.wait()
    return status


def stop(sweep: str, patience: float = 10.0) -> None:
    """Ask every worker that has a run of this sweep to save its state and end; kill it after `patience`
    seconds.
    """
    late = time.monotonic() + patience
    while busy := [
        worker
        for worker in list(_workers.values())
        if worker.sweep == sweep and worker.process.poll() is None
    ]:
        for worker in busy:
            if time.monotonic() > late:
                worker.process.kill()
            elif not worker.stopping:
                worker.stopping = True
                worker.process.send_signal(signal.SIGTERM)
        time.sleep(0.05)


def close() -> None:
    """Let idle workers end."""
    for slot, worker in list(_workers.items()):
        if not worker.sweep:
            worker.close()
            worker.process.wait()
            _workers.pop(slot, None)


def _exit_text(code: int) -> str:
    return (
        f"its process was killed by {signal.Signals(-code).name}"
        if code < 0
        else f"its process ended with exit status {code}"
    )


# --- where --------------------------------------------------------------------------------------------------


def slots(
    jobs: int | None, device: str, per_gpu: int, most: int, inherits: tuple[int, ...] = (), width: int = 0
) -> list[Slot]:
    """The slots of this machine.

    jobs   number of workers at once (None: one for each core, or per_gpu for each GPU)
    most   largest number of slots
    width  width of a batch

    Raises InputError for a device that does not exist.
    """
    if parse_device(device)[0] == "gpu":
        share = f"{SHARED / per_gpu:.3f}"
        memory = (
            {"XLA_PYTHON_CLIENT_MEM_FRACTION": share, "XLA_CLIENT_MEM_FRACTION": share} if per_gpu > 1 else {}
        )
        chosen = chosen_gpus(device)
        places = [
            Slot({"CUDA_VISIBLE_DEVICES": gpu} | gpu_order() | memory, (), inherits, width)
            for _ in range(per_gpu)
            for gpu in chosen
        ]
        return places[: max(1, min(jobs or len(places), most))]
    cores = available_cores()
    count = max(1, min(jobs or (1 if width else len(cores)), most))
    return [
        Slot({}, tuple(cores[i::count]) or (cores[i % len(cores)],), inherits, width) for i in range(count)
    ]


def available_cores() -> list[int]:
    """The cores that this process may use."""
    return (
        sorted(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else list(range(os.cpu_count() or 1))
    )


def chosen_gpus(device: str) -> list[str]:
    """The names in CUDA_VISIBLE_DEVICES of the GPUs that "gpu" or "gpu:1" means.

    Raises InputError if there is none.
    """
    _, number = parse_device(device)
    found = gpus()
    chosen = found if number is None else found[number : number + 1]
    if not chosen:
        raise InputError(
            f"--device {device}: no such GPU is found ({len(found)} seen by nvidia-smi). Use --device cpu."
        )
    return chosen


def gpus() -> list[str]:
    """The names of the GPUs in CUDA_VISIBLE_DEVICES."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [g for g in visible.split(",") if g.strip()]
    return [str(i) for i in range(sum(line.startswith("GPU ") for line in _nvidia_smi("-L")))]


def gpu_memory(device: str, per_gpu: int) -> int | None:
    """The number of bytes that JAX takes for one of `per_gpu` workers on the GPU with the least memory.

    None if it is unknown.
    """
    sizes = _nvidia_smi(
        "-i", ",".join(chosen_gpus(device)), "--query-gpu=memory.total", "--format=csv,noheader,nounits"
    )
    share = SHARED / per_gpu if per_gpu > 1 else ALONE
    return int(min(map(int, sizes)) * 2**20 * share) if sizes and all(map(str.isdecimal, sizes)) else None


def _nvidia_smi(*words: str) -> list[str]:
    """The lines that nvidia-smi prints; none if it cannot be called."""
    try:
        return subprocess.run(
            ["nvidia-smi", *words], capture_output=True, text=True, timeout=30, check=True
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return []
