"""Runs in child processes: a pool of threads, each of which owns one child that takes runs one after another.

A child is warm between runs, and replaced when it dies, which costs only the run it had. It ends with its
parent, also where that was killed: it watches the pipe that its tasks come through.
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
from ..parallel.device import in_flight, parted
from .task import Task

ALONE, SHARED = 0.75, 0.9  # of a GPU's memory: what JAX takes for itself, what children share


class Died(Exception):
    """A child process ended before it answered."""


@dataclass(frozen=True, eq=False)
class Seat:
    """Where a child computes: variables of its environment, its cores (empty: all), and descriptors that it
    inherits.

    width: of the program that its runs step together in (0: each on its own)
    """

    environment: dict[str, str] = field(default_factory=dict)
    cores: tuple[int, ...] = ()
    inherits: tuple[int, ...] = ()
    width: int = 0

    @property
    def places(self) -> int:
        """Runs that its child has at once."""
        return in_flight(self.width) if self.width else 1


class Child:
    """One process and the pipes to it. A session of its own, so that Ctrl-C reaches the driver alone."""

    def __init__(self, seat: Seat) -> None:
        answers, theirs = os.pipe()
        words = [
            sys.executable,
            "-m",
            "rdsolver.sweep.worker",
            str(theirs),
            str(seat.width),
            ",".join(map(str, seat.cores)),
        ]
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs, *seat.inherits),
            env=os.environ | seat.environment,
            start_new_session=True,
        )
        os.close(theirs)
        self.has: dict[str, Future[dict[str, Any]]] = {}  # by the folder of the run
        self.asked = False  # to stop
        self._write = threading.Lock()
        threading.Thread(target=self._listen, args=(os.fdopen(answers, "rb"),), daemon=True).start()

    @property
    def sweep(self) -> str:
        """Whose runs it has; empty while it has none."""
        return next((str(Path(run).parent.parent) for run in list(self.has)), "")

    def perform(self, task: Task) -> dict[str, Any]:
        """Raises Died."""
        assert self.process.stdin
        answer = self.has[task["folder"]] = Future()
        with self._write, suppress(OSError, ValueError):  # it died, which its answers tell
            self.process.stdin.write(json.dumps(task).encode() + b"\n")
            self.process.stdin.flush()
        if self.process.poll() is not None:
            self._end()
        return answer.result()

    def _listen(self, answers: BinaryIO) -> None:
        """Until it ends."""
        with answers:
            for line in answers:
                if line.endswith(b"\n"):
                    said = json.loads(line)
                    self.has.pop(said["folder"]).set_result(said["status"])
        self._end()

    def _end(self) -> None:
        why = Died(_ending(self.process.wait()))
        for run in list(self.has):
            if (answer := self.has.pop(run, None)) is not None:
                answer.set_exception(why)

    def close(self) -> None:
        """No more tasks: it ends."""
        assert self.process.stdin
        with suppress(OSError, ValueError):
            self.process.stdin.close()


class ChildPool(Executor):
    """An Executor for `in_child`, one thread for each place of a seat.

    A thread prefers runs of the group that it had, then of one that no other has, so that a program is
    compiled in few children.
    """

    def __init__(self, seats: Sequence[Seat]) -> None:
        self._waiting: list[tuple[Future[Any], Callable[[Task], Any], Task]] = []
        self._groups: dict[Seat, int] = {}  # the last of each thread
        self._open, self._change = True, threading.Condition()
        places = [seat for seat in seats for _ in range(seat.places)]
        self._threads = [threading.Thread(target=self._work, args=(seat,), daemon=True) for seat in places]
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

    def _work(self, seat: Seat) -> None:
        _mine.seat = seat
        while (taken := self._next(seat)) is not None:
            future, function, task = taken
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function(task))
            except BaseException as error:
                future.set_exception(error)

    def _next(self, seat: Seat) -> tuple[Future[Any], Callable[[Task], Any], Task] | None:
        """None once there is nothing more to do."""
        with self._change:
            self._change.wait_for(lambda: self._waiting or not self._open)
            if not self._waiting:
                return None
            mine, of_others = self._groups.get(seat), {g for s, g in self._groups.items() if s is not seat}
            ranks = (
                (task["group"] != mine, task["group"] in of_others, k)
                for k, (_, _, task) in enumerate(self._waiting)
            )
            taken = self._waiting.pop(min(ranks)[2])
            self._groups[seat] = taken[2]["group"]
            return taken


_mine = threading.local()  # the seat of this thread
_all: dict[Seat, Child] = {}  # of this process
_starting = threading.Lock()


def in_child(task: Task) -> dict[str, Any]:
    """perform(task) in the child of this thread's seat. Raises Died when that ends before it answers."""
    if not hasattr(_mine, "seat"):  # a worker of Dask
        _mine.seat = Seat()
    with _starting:
        child = _all.get(_mine.seat)
        if child is None or child.asked or child.process.poll() is not None:
            child = _all[_mine.seat] = Child(_mine.seat)
    status = child.perform(task)
    if status["status"] == "stopped":  # and so does the child
        child.asked = True
        child.close()
        child.process.wait()
    return status


def stop(sweep: str, patience: float = 10.0) -> None:
    """Every child that has a run of this sweep keeps what it has and leaves; after so many seconds it is
    killed.
    """
    late = time.monotonic() + patience
    while busy := [
        child for child in list(_all.values()) if child.sweep == sweep and child.process.poll() is None
    ]:
        for child in busy:
            if time.monotonic() > late:
                child.process.kill()
            elif not child.asked:
                child.asked = True
                child.process.send_signal(signal.SIGTERM)
        time.sleep(0.05)


def close() -> None:
    """Let idle children end."""
    for seat, child in list(_all.items()):
        if not child.sweep:
            child.close()
            child.process.wait()
            _all.pop(seat, None)


def _ending(code: int) -> str:
    return (
        f"its process was killed by {signal.Signals(-code).name}"
        if code < 0
        else f"its process ended with exit status {code}"
    )


# --- where --------------------------------------------------------------------------------------------------


def seats(
    jobs: int | None, device: str, per_gpu: int, most: int, inherits: tuple[int, ...] = (), width: int = 0
) -> list[Seat]:
    """jobs: how many at once (None: one a core, or on GPUs per_gpu each); most: no more than this; width: of
    runs that step together.

    Raises InputError for a device that is not there.
    """
    if parted(device)[0] == "gpu":
        share = f"{SHARED / per_gpu:.3f}"
        memory = (
            {"XLA_PYTHON_CLIENT_MEM_FRACTION": share, "XLA_CLIENT_MEM_FRACTION": share} if per_gpu > 1 else {}
        )
        chosen = chosen_gpus(device)
        places = [
            Seat({"CUDA_VISIBLE_DEVICES": gpu} | memory, (), inherits, width)
            for _ in range(per_gpu)
            for gpu in chosen
        ]
        return places[: max(1, min(jobs or len(places), most))]
    cores = available_cores()
    count = max(1, min(jobs or (1 if width else len(cores)), most))
    return [
        Seat({}, tuple(cores[i::count]) or (cores[i % len(cores)],), inherits, width) for i in range(count)
    ]


def available_cores() -> list[int]:
    """Those that this process may use."""
    return (
        sorted(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else list(range(os.cpu_count() or 1))
    )


def chosen_gpus(device: str) -> list[str]:
    """What CUDA_VISIBLE_DEVICES calls those that "gpu" or "gpu:1" means.

    Raises InputError where there is none.
    """
    _, number = parted(device)
    found = gpus()
    chosen = found if number is None else found[number : number + 1]
    if not chosen:
        raise InputError(
            f"--device {device}: no such GPU is found ({len(found)} seen by nvidia-smi). Use --device cpu."
        )
    return chosen


def gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES calls them."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [g for g in visible.split(",") if g.strip()]
    return [str(i) for i in range(sum(line.startswith("GPU ") for line in _nvidia_smi("-L")))]


def gpu_memory(device: str, per_gpu: int) -> int | None:
    """Bytes that JAX takes for one of so many children on the GPU that has least; None where it cannot be
    told.
    """
    sizes = _nvidia_smi(
        "-i", ",".join(chosen_gpus(device)), "--query-gpu=memory.total", "--format=csv,noheader,nounits"
    )
    share = SHARED / per_gpu if per_gpu > 1 else ALONE
    return int(min(map(int, sizes)) * 2**20 * share) if sizes and all(map(str.isdecimal, sizes)) else None


def _nvidia_smi(*words: str) -> list[str]:
    """The lines that it prints; none where it cannot be called."""
    try:
        return subprocess.run(
            ["nvidia-smi", *words], capture_output=True, text=True, timeout=30, check=True
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return []
