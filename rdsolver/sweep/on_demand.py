"""Runs that an analysis asks for one at a time, each computed once by workers like those of a sweep.

The folder has the layout of a sweep's folder, runs/<name>/ with status.json last. The name is a hash of the
config with its defaults, and of rdsolver's version and commit. Runs that have finished there are not computed
again, and runs that were interrupted continue.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ..config.load import config_from
from ..errors import InputError, RunError
from ..utils.provenance import git_state, version
from . import executors, worker_pool
from . import store as disk
from .executors import Engine
from .reader import RUN, run_folder
from .task import Task, died, record, row_of
from .worker_pool import WorkerDied, in_worker

PATIENCE = 15.0  # s to wait until the workers of a killed process have ended
RETRIES = 2  # how often a run whose process died is tried again
MOST = 1 << 20  # most workers: no limit beyond the number of cores

Compute = Callable[[dict[str, Any]], Path]
"""A function that returns the run.h5 of a config's tables when it has finished. Raises RunError when it
fails.

It may be called from many threads, and computes at once.
"""


@contextmanager
def on_demand(folder: Path, jobs: int | None = None, device: str = "cpu") -> Iterator[Compute]:
    """A function that computes runs in a folder. On leaving, present runs save their state.

    jobs: number of runs at once (None: one for each core, or GPU). Raises InputError when the folder cannot
    be written, or another process is computing in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written: {error.strerror or error}. Choose another folder with --out."
        ) from None
    with disk.driving(folder, PATIENCE) as lock:
        slots = worker_pool.slots(jobs, device, 1, MOST, (lock,))
        with closing(executors.local(slots, str(folder.absolute()))) as engine:
            compute = _OnDemand(folder.absolute(), engine, device.partition(":")[0])  # a worker sees one GPU
            try:
                yield compute
            finally:
                compute.over = True


class _OnDemand:
    def __init__(self, folder: Path, engine: Engine, device: str) -> None:
        self.folder, self.engine, self.device = folder, engine, device
        self._lock, self._found = threading.Lock(), dict[str, Future[Path]]()
        self.over = False

    def __call__(self, tables: dict[str, Any]) -> Path:
        config = config_from(tables, "a run")
        row = row_of(config.resolved() | {"code": [version("rdsolver"), *git_state()]})
        with self._lock:
            first = row not in self._found
            found = self._found.setdefault(row, Future())
        if first:
            try:
                found.set_result(self._computed(tables, row, config.shape))
            except BaseException as error:  # raised in every thread that asked for this run
                found.set_exception(error)
        return found.result()

    def _computed(self, tables: dict[str, Any], row: str, shape: str) -> Path:
        run = run_folder(self.folder, row[:16])
        before = disk.status_of(run)
        about = {
            "folder": str(run),
            "tables": tables,
            "source": run.name,
            "python": False,
            "hash": row,
            "row": row,
        }
        more = {"group": shape, "anew": before.get("status") == "failed"}
        status = self._performed(about | more | {"device": self.device, "attempt": 1})
        if status["status"] != "finished":
            raise RunError(f"{run}: {status['error']}")
        return run / RUN

    def _performed(self, task: Task) -> dict[str, Any]:
        while True:
            try:
                status = self.engine.executor.submit(in_worker, task).result()
                if status["status"] != "stopped" or self.over:
                    return status
                why = status["error"]
            except WorkerDied as error:
                why = str(error)
            if task["attempt"] > RETRIES:
                status = died(task, f"{why}, {task['attempt']} times in a row")
                record(Path(task["folder"]), status)
                return status
            task |= {"attempt": task["attempt"] + 1, "anew": False}
