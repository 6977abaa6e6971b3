"""The unit of work of a sweep: one run in its folder, from a task in JSON to a status in JSON."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import traceback
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RdsolverError
from ..utils import atomic
from . import store as disk
from .reader import RUN, STATUS, run_folder
from .store import Status

if TYPE_CHECKING:
    from ..utils.reporting import Reporter
    from ..utils.signals import Stop
    from .design import Design

Task = dict[str, Any]
"""A task: folder (of the run), tables (its config), source (its name in a message), hash, row, group, device,
python, anew, attempt.
"""

CHECKPOINT = 300.0  # s between two checkpoints of a run


def task_of(
    design: Design, index: int, folder: Path, device: str, anew: bool = False, attempt: int = 1
) -> Task:
    """The task of one run of a design.

    anew     True to start the run again, whatever exists
    attempt  number of times that this driver has started it, including this one
    """
    tables, told = design.tables(index), design.told(index)
    about = {
        "hash": design.hash,
        "row": row_of(tables),
        "group": design.groups[index] if design.groups else 0,
        "device": device,
    }
    place = str(run_folder(folder.absolute(), design.names[index]))
    return {
        "folder": place,
        "tables": tables,
        "source": told,
        "python": design.python,
        "anew": anew,
        "attempt": attempt,
    } | about


def row_of(tables: dict[str, Any]) -> str:
    """The SHA-256 hash of a run's config."""
    return hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()


def perform(task: Task, *reporters: Reporter, stop: Stop | None = None) -> Status:
    """Start a run, or continue it; a run that is finished is left as it is.

    stop: the object that may ask it to stop, with its last state kept (None: SIGTERM and SIGINT, in the main
    thread). Raises OSError when its folder cannot be written.
    """
    run = Path(task["folder"])
    run.mkdir(parents=True, exist_ok=True)
    with nullcontext(stop) if stop else _listening() as stop, disk.held(run, lambda: bool(stop.name)) as mine:
        if not mine:
            return _ended(task, "stopped", "another process computes it", 1)
        before = disk.status_of(run)
        if before.get("status") == "finished" and before.get("hash") == task["hash"]:
            return before
        _write_config(run / "run.toml", task)
        (run / STATUS).unlink(missing_ok=True)
        status = _computed(task, run, stop, reporters)
        record(run, status)
    return status


def record(run: Path, status: Status) -> None:
    """Write the status of a run; from now on it has ended."""
    run.mkdir(parents=True, exist_ok=True)
    atomic.write_text(run / STATUS, json.dumps(status, indent=1, ensure_ascii=False) + "\n")


def died(task: Task, why: str) -> Status:
    """The status of a run whose process died before it could report one."""
    return _ended(task, "failed", why, 1)


def _computed(task: Task, run: Path, stop: Stop, reporters: tuple[Reporter, ...]) -> Status:
    from ..config.load import config_from
    from ..runs.run import carry_on
    from ..utils.reporting import LogReporter, Tee

    began = time.perf_counter()
    exists = not task["anew"] and _to_go_on_with(run / RUN)
    with closing(LogReporter(run / "run.log", exists)) as log:
        reporter = Tee(log, *reporters)
        try:
            config = config_from(task["tables"], task["source"], task["python"])
            more = {"reporter": reporter, "device": task["device"], "checkpoint": CHECKPOINT, "stop": stop}
            with carry_on(config.problem(), run, exists, force=True, **more) as result:
                figures = {k: result.summary[k] for k in ("steps", "rejected", "stage_solves")}
                ended = _ended(
                    task, result.status, result.message, 0 if result.status == "finished" else stop.status
                )
                return ended | {"wall_time": result.provenance["wall_time"]} | figures
        except RdsolverError as error:
            why, exit_status = str(error), error.exit_status
        except Exception as error:
            why, exit_status = f"{type(error).__name__}: {error}", 1
            reporter.say("", traceback.format_exc())
        reporter.say("error", why)
    return _ended(task, "failed", why, exit_status) | {"wall_time": time.perf_counter() - began}


def _ended(task: Task, status: str, error: str, exit_status: int) -> Status:
    figures = {"wall_time": 0.0, "steps": 0, "rejected": 0, "stage_solves": 0}
    said = {"status": status, "error": error, "exit_status": exit_status}
    return said | figures | {"attempts": task["attempt"], "hash": task["hash"], "row": task["row"]}


def _to_go_on_with(path: Path) -> bool:
    """True if a run file can be continued: its final state, or a checkpoint, exists.

    Otherwise the run starts again, with the same bits.
    """
    from ..errors import InputError
    from ..output.reader import open_run
    from ..runs.checkpoint_file import files

    try:
        with open_run(path, live=True) as run:
            return run.status == "finished" or any(p.exists() for p in files(path))
    except InputError:  # the file does not exist, or was cut off while it was made
        return False


def _write_config(path: Path, task: Task) -> None:
    """Write the config of the run, for rdsolver run run.toml."""
    import tomli_w

    atomic.write_text(path, tomli_w.dumps(task["tables"]))


def _listening() -> AbstractContextManager[Stop]:
    from ..utils.signals import Signals, Stop

    return Signals() if threading.current_thread() is threading.main_thread() else nullcontext(Stop())
