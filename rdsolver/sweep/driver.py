"""The driver of a sweep: it hands the runs to an engine, and records the result of each.

The state on the disk counts. The same call skips runs that have ended, continues those that were interrupted,
and starts the rest.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

from ..errors import InputError, RunError
from ..parallel.device import in_flight, parse_device
from ..utils import locks
from ..utils.home import at_home
from ..utils.memory import host_memory
from ..utils.reporting import ProgressReporter, byte_size
from . import executors, worker_pool
from . import store as disk
from .collect import collect
from .design import Design
from .estimate import check_disk, estimate
from .executors import Engine
from .reader import run_folder
from .store import Status
from .task import Task, died, record, task_of
from .worker_pool import Slot, in_worker

PATIENCE = 15.0  # s to wait until the workers of a killed driver have ended
MOST_GIVEN = 4000  # most tasks in the hands of the engine
TICK = 0.2  # s between two reports of progress
NO_WORKER = 30.0  # s without any worker until that is reported
LOOK = 3.0  # s between two counts of the workers
AUTO_WIDTH, WIDEST = 64, 1024  # most width of a batch: with "auto", and at all
# bytes of runs that fill a GPU together, 2^20 cells of the bone model: with more, a step of all takes longer
# in proportion (benchmarks/results/gpu_programs_h200.json)
FULL = 2**30
IN_MEMORY = 3.3  # memory of each run in flight over that of a run; measured: 3.3 at width 4, 3.0 at 16


@dataclass(frozen=True)
class SweepOptions:
    """The settings with which a sweep is computed.

    engine         local, tcp://host:port or slurm:profile.toml
    jobs           number of runs at once on this machine (None: limited by its cores and memory)
    retry          how often a run whose process died is tried again
    most_failures  "5%" or a number, above which the sweep stops
    rerun_failed   True to start failed runs again
    batch          number of runs of a batch on one device: auto (on a GPU), off, or a number

    Raises InputError for values that are not known.
    """

    engine: str = "local"
    jobs: int | None = None
    per_gpu: int = 1
    device: str = "cpu"
    retry: int = 2
    most_failures: str | None = None
    rerun_failed: bool = False
    batch: str = "auto"

    def __post_init__(self) -> None:
        kind, _, rest = self.engine.partition(":")
        if self.engine != "local" and not (
            rest.startswith("//") if kind in ("tcp", "tls") else kind == "slurm" and rest
        ):
            raise InputError(
                f"--engine {self.engine} is not known. Allowed: local, tcp://HOST:PORT, tls://HOST:PORT,"
                " slurm:PROFILE.toml."
            )
        parse_device(self.device)
        self.limit(1)
        if self.batch not in ("auto", "off") and not (
            self.batch.isdecimal() and 2 <= int(self.batch) <= WIDEST
        ):
            raise InputError(
                f"--batch {self.batch} is not a batch width. Allowed: auto, off, or 2 to {WIDEST}."
            )
        if self.batch not in ("auto", "off") and self.engine != "local":
            raise InputError(
                f"--batch {self.batch} works on this machine alone, and --engine is {self.engine}. Leave one"
                " of"
                " them out."
            )

    @property
    def width(self) -> int:
        """The width of the batch, or with "auto" the most; 0: each run on its own."""
        if self.batch == "auto":
            return AUTO_WIDTH if self.device.startswith("gpu") and self.engine == "local" else 0
        return 0 if self.batch == "off" else int(self.batch)

    def limit(self, runs: int) -> float:
        """The number of runs that may fail."""
        if self.most_failures is None:
            return float("inf")
        try:
            share = float(self.most_failures.rstrip("%"))
            if not 0 <= share < float("inf") or not (self.most_failures.endswith("%") or share.is_integer()):
                raise ValueError
        except ValueError:
            raise InputError(
                f"--max-failures {self.most_failures} is neither a number of runs nor a percentage. Give 10,"
                " or 5%."
            ) from None
        return share / 100 * runs if self.most_failures.endswith("%") else share


@dataclass
class SweepResult:
    """The result of a sweep so far.

    statuses  statuses of the runs that have ended, by their number
    left      number of runs that have not ended
    why       reason why the sweep ended before its last run (empty: it did not)
    signal    the signal that ended it; 0: none
    """

    statuses: dict[int, Status]
    left: int
    why: str = ""
    signal: int = 0

    @property
    def failed(self) -> list[int]:
        return sorted(i for i, s in self.statuses.items() if s["status"] == "failed")

    @property
    def exit_status(self) -> int:
        return 128 + self.signal if self.signal else int(bool(self.failed or self.left))


def run_sweep(design: Design, folder: Path, options: SweepOptions, reporter: ProgressReporter) -> SweepResult:
    """Compute every run of a design that has not ended yet, into its folder.

    Raises InputError before the first run when the folder, the disk or the engine do not fit; RunError when
    the engine is lost.
    """
    check_disk(folder, estimate(design, ended(design, folder)).disk)
    disk.begin(folder, design)
    with disk.driving(folder, PATIENCE) as lock:
        for text in locks.warnings(folder):
            reporter.say("warning", text)
        statuses = ended(design, folder)
        anew = {i for i, s in statuses.items() if s["status"] == "failed"} if options.rerun_failed else set()
        statuses = {i: s for i, s in statuses.items() if i not in anew}
        todo = [i for i in range(len(design)) if i not in statuses]
        if not todo:
            _collect(folder)
            return SweepResult(statuses, 0)
        memory = estimate(design, statuses).memory
        with closing(
            _engine(options, str(folder.absolute()), len(todo), len(design), memory, lock)
        ) as engine:
            reporter.say(
                "sweep", f"{len(todo)} of {len(design)} runs to do, on {engine.where}, into {folder}"
            )
            driver = _Driver(design, folder, engine, options, reporter, statuses)
            result = driver.go(_heads_first(design, todo, engine.width()), anew, options.limit(len(design)))
        _collect(folder)
        return result


def _collect(folder: Path) -> None:
    try:
        collect(folder)
    except InputError as error:
        raise RunError(f"{error} The runs are kept; then: rdsolver sweep collect {folder}") from error


def _heads_first(design: Design, todo: Iterable[int], width: int) -> list[int]:
    """The runs group by group, but first one run of each of the first `width` groups.

    A worker that begins with a group continues with it.
    """
    ordered = sorted(todo, key=lambda i: (design.groups[i], i))
    firsts: dict[int, int] = {}
    for i in ordered:
        firsts.setdefault(design.groups[i], i)
    heads = dict.fromkeys(list(firsts.values())[:width])
    return [*heads, *(i for i in ordered if i not in heads)]


def ended(design: Design, folder: Path) -> dict[int, Status]:
    """The statuses of the runs that finished or failed, by their number."""
    found = ((i, disk.status_of(run_folder(folder, name))) for i, name in enumerate(design.names))
    return {
        i: s for i, s in found if s.get("status") in ("finished", "failed") and s.get("hash") == design.hash
    }


def _engine(options: SweepOptions, sweep: str, runs: int, whole: int, memory: int, lock: int) -> Engine:
    """The engine that computes the runs. Raises InputError for one that does not exist."""
    kind, _, rest = options.engine.partition(":")
    if kind == "slurm":
        return executors.slurm(at_home(rest), sweep)
    if kind != "local":
        return executors.dask(options.engine, sweep)
    return executors.local(slots(options, memory, runs, whole, (lock,)), sweep)


def slots(
    options: SweepOptions, memory: int, runs: int, whole: int, inherits: tuple[int, ...] = ()
) -> list[Slot]:
    """The slots on this machine for `runs` of the `whole` sweep's runs, each of which takes `memory` bytes.

    Raises InputError for a GPU that does not exist, and for more runs together than the memory holds.
    """
    free, wide, count = host_memory(), options.width, options.jobs
    if options.batch == "auto":  # not more than there are runs, or than fill the GPU
        while wide and (wide >= 2 * whole or wide * memory > FULL):
            wide = 0 if wide == 2 else wide // 2
    if wide and options.device == "cpu":
        count = count or 1
        wide = _fitting(options, wide, memory, None if free is None else free // count)
    elif wide:
        wide = _fitting(options, wide, memory, worker_pool.gpu_memory(options.device, options.per_gpu))
    elif options.device == "cpu" and not count and free is not None:
        count = max(1, min(len(worker_pool.available_cores()), free // max(memory, 1)))
    return worker_pool.slots(count, options.device, options.per_gpu, runs, inherits, wide)


def _fitting(options: SweepOptions, width: int, memory: int, free: int | None) -> int:
    """The width, or with "auto" as much of it as fits; 0: none."""
    while free is not None and (need := int(IN_MEMORY * in_flight(width) * memory)) > free:
        if options.batch != "auto":
            raise InputError(
                f"--batch {width}: {in_flight(width)} runs in flight of about {byte_size(memory)} need"
                f" {byte_size(need)} of memory together, and {byte_size(free)} are there. Give a smaller"
                " number, or off."
            )
        width //= 2
        if width < 2:
            return 0
    return width


class _Driver:
    def __init__(
        self,
        design: Design,
        folder: Path,
        engine: Engine,
        options: SweepOptions,
        reporter: ProgressReporter,
        statuses: dict[int, Status],
    ) -> None:
        self.design, self.folder, self.engine, self.options, self.reporter, self.statuses = (
            design,
            folder,
            engine,
            options,
            reporter,
            statuses,
        )
        # a worker sees one GPU
        self.device = options.device.partition(":")[0] if options.engine == "local" else options.device
        self.given: dict[Future[Status], tuple[int, Task]] = {}
        self.waiting: deque[tuple[int, bool, int]] = deque()  # run, anew, attempt
        self.failed = sum(s["status"] == "failed" for s in statuses.values())
        self.began = self.computed = time.monotonic()
        self.looked, self.width = 0.0, 0

    def go(self, todo: list[int], anew: set[int], limit: float) -> SweepResult:
        """Drive the sweep to its last run, or until something stops it."""
        self.todo = len(todo)
        self.waiting.extend((i, i in anew, 1) for i in todo)
        with _StopSignal() as stop:
            self._note(f"{len(todo)} runs to do on {self.engine.where}")
            why = ""
            while (self.waiting or self.given) and not why:
                self._give()
                ready, _ = wait(self.given, timeout=TICK, return_when=FIRST_COMPLETED)
                self._take(ready)
                self._show()
                if stop.received:
                    why = f"stopped by {signal.Signals(stop.received).name}"
                elif self.failed > limit:
                    why = (
                        f"{self.failed} runs failed, more than --max-failures {self.options.most_failures}"
                        " allows"
                    )
            if why:
                self._halt(why)
        return SweepResult(self.statuses, len(self.design) - len(self.statuses), why, stop.received)

    def _give(self) -> None:
        while self.waiting and len(self.given) < MOST_GIVEN:
            i, anew, attempt = self.waiting.popleft()
            task = task_of(self.design, i, self.folder, self.device, anew, attempt)
            self.given[self.engine.executor.submit(in_worker, task)] = i, task

    def _take(self, ready: Iterable[Future[Status]], halting: bool = False) -> None:
        for future in ready:
            i, task = self.given.pop(future)
            if future.cancelled():
                if not halting:
                    self._lost()
                continue
            try:
                status = future.result()
                why = status["error"]
            except Exception as error:  # any error that an engine raises when the process of a run ends
                status, why = (
                    None,
                    (
                        f"{error}"
                        if isinstance(error, worker_pool.WorkerDied)
                        else f"{type(error).__name__}: {error}"
                    ),
                )
            if status is None or status["status"] == "stopped":
                if halting:
                    continue
                if task["attempt"] <= self.options.retry:
                    self._note(f"{self.design.names[i]}  again: {why}")
                    self.waiting.appendleft((i, False, task["attempt"] + 1))
                    continue
                status = died(task, f"{why}, {task['attempt']} times in a row")
                self._record(Path(task["folder"]), status)
            self._keep(i, status)

    def _keep(self, i: int, status: Status) -> None:
        self.statuses[i] = status
        self.failed += status["status"] == "failed"
        told = (
            f"{status['wall_time']:.1f} s, {status['steps']} steps"
            if status["status"] == "finished"
            else status["error"]
        )
        self._note(f"{self.design.names[i]}  {status['status']}: {told}")

    def _record(self, run: Path, status: Status) -> None:
        with _kept(run):
            record(run, status)

    def _halt(self, why: str) -> None:
        """Stop the sweep: runs that are being computed save their state and end, others do not begin."""
        self._note(why)
        self.reporter.say("stopping", f"{why}; waiting for runs to keep what they have")
        for future in self.given:
            future.cancel()
        self.engine.stop()
        ready, _ = wait(self.given, timeout=1.0)
        self._take(ready, halting=True)

    def _lost(self) -> None:
        self._note(f"{self.engine.where} is lost")
        raise RunError(
            f"{self.engine.where} was lost, with {len(self.design) - len(ended(self.design, self.folder))} of"
            f" {len(self.design)} runs left. What has finished is kept; once it is there again, the same"
            " command does the rest."
        )

    def _show(self) -> None:
        done, now = len(self.statuses) - self.failed, time.monotonic()
        if now - self.looked > LOOK:
            self.looked, self.width = now, self.engine.width()
        running = min(self.width, len(self.given))
        what = f"{done} of {len(self.design)} runs done, {running} running, {self.failed} failed"
        self.computed = now if self.width or not self.given else self.computed
        if now - self.computed > NO_WORKER:
            self.computed = now
            self._note(self.engine.lacking)
            self.reporter.say("waiting", self.engine.lacking)
        left = len(self.waiting) + len(self.given)
        self.reporter.working(what, (self.todo - left) / self.todo, now - self.began)

    def _note(self, text: str) -> None:
        path = self.folder / disk.LOG
        with _kept(path), path.open("a", encoding="utf-8") as log:
            log.write(f"{datetime.now().astimezone().isoformat(timespec='seconds')}  {text}\n")


@contextmanager
def _kept(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{path} cannot be written: {error.strerror or error}. What has finished is kept."
        ) from error


class _StopSignal:
    """A handler that records SIGTERM and SIGINT; outside the main thread it records nothing."""

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _StopSignal:
        if threading.current_thread() is threading.main_thread():
            self._before = {n: signal.signal(n, self._note) for n in (signal.SIGTERM, signal.SIGINT)}
        return self

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = number

    def __exit__(self, *_: object) -> None:
        for n, handler in self._before.items():
            signal.signal(n, handler)
