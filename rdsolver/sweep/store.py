"""The folder of a sweep on the disk: design.csv, sweep.json, and for every run runs/<name>/.

The state on the disk counts. A run is finished when its status.json says so: that file is replaced in one
operation, and last.
"""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..utils import atomic, locks
from .design import Design
from .reader import DESIGN, RUN, STATUS, is_sweep, read_design

TABLE, LOCK, LOG = "design.csv", "sweep.lock", "sweep.log"
PAUSE = 0.1  # s between two checks of a lock

Status = dict[str, Any]
"""The content of a run's status.json: status (finished, failed or stopped), error, exit_status, wall_time
(s), steps, rejected, stage_solves, attempts, hash (of the design), row (hash of the run's config).
"""


def status_of(run: Path) -> Status:
    """The status in the folder of a run; empty if it has not ended."""
    try:
        found = json.loads((run / STATUS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def begin(folder: Path, design: Design) -> None:
    """Write the design of the sweep, if it does not exist yet.

    Raises InputError when the folder holds another sweep, or cannot be written.
    """
    if is_sweep(folder):
        there = read_design(folder)
        if there["hash"] != design.hash:
            raise InputError(
                f"{folder} holds another sweep than {design.source} describes (its hash begins with"
                f" {there['hash'][:12]}, not with {design.hash[:12]}): what varies, the base or what is kept"
                " differs. Choose another folder with --out."
            )
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any((folder / name).exists() for name in ("runs", RUN)):
            raise InputError(
                f"{folder} holds runs already, and no {DESIGN}. Choose another folder with --out."
            )
        atomic.write_text(folder / TABLE, _as_csv(design))
        atomic.write_text(
            folder / DESIGN, json.dumps(design.as_json() | {"hash": design.hash}, ensure_ascii=False)
        )
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written: {error.strerror or error}. Choose another folder with --out."
        ) from None


def design_of(folder: Path, python: bool = False) -> Design:
    """The design in a folder. Raises InputError when it holds none."""
    return Design.from_json(read_design(folder), str(folder), python)


def _as_csv(design: Design) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["name", *design.columns])
    for name, row in zip(design.names, design.rows, strict=True):
        table.writerow(
            [name, *(v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in row.values())]
        )
    return text.getvalue()


@contextmanager
def driving(folder: Path, patience: float) -> Iterator[int]:
    """Hold the lock of a sweep. The workers inherit its descriptor, so that it is free once the last of them
    has ended.

    patience: s to wait for the workers of a driver that was killed. Raises InputError when another driver is
    running.
    """
    path = folder / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}. Choose another folder with --out."
        ) from None
    try:
        late = time.monotonic() + patience
        if not _taken(descriptor, lambda: time.monotonic() > late):
            raise InputError(
                f"{folder}: a sweep is running here ({at_work(folder)}). Wait for it, or stop it; `rdsolver"
                " sweep status` shows its progress."
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.uname().nodename}, process {os.getpid()}".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def at_work(folder: Path) -> str:
    """The present driver of the sweep: "machine, process 123"; empty if there is none."""
    try:
        with (folder / LOCK).open("r+", encoding="utf-8") as file:
            return "" if _taken(file.fileno(), lambda: True) else file.read() or "unknown"
    except OSError:
        return ""


@contextmanager
def held(run: Path, stop: Callable[[], bool]) -> Iterator[bool]:
    """Wait until no other process computes this run. Yield False if asked to stop before."""
    descriptor = os.open(run, os.O_RDONLY)
    try:
        yield _taken(descriptor, stop)
    finally:
        os.close(descriptor)


def _taken(descriptor: int, enough: Callable[[], bool]) -> bool:
    while not locks.taken(descriptor):
        if enough():
            return False
        time.sleep(PAUSE)
    return True
