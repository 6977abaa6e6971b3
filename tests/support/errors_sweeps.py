"""Every error of a sweep, provoked without its runs: id in docs/errors.md -> how."""

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from types import SimpleNamespace

import dask

from rdsolver import open_sweep
from rdsolver.errors import RunError
from rdsolver.models.base import Series
from rdsolver.sweep import collect, driver, estimate, executors, worker_pool
from rdsolver.sweep import store as disk
from rdsolver.sweep import task as work
from tests.support.errors_here import FULL, SLAB, Here, fails, lock, then
from tests.support.sweeps import BASE, STEPS, design, put_run, put_sweep

ONE = '[grid]\n"time.end" = ["5 d"]\n'
PROFILE = {"jobs": 1, "cores": 1, "memory": "1GB", "host": "127.0.0.1"}
TWO_LEVELS = 'base = "base.toml"\n[grid]\n"dose.0.amount" = ["1 mg/kg", "3 mg/kg"]\n'


def swept(h: Here, text: str = ONE, *words: object) -> tuple[str, int]:
    """The command on a sweep of the slab: refused before any run has begun."""
    Path("mine.toml").write_text(SLAB)
    Path("s.toml").write_text((text if "base = " in text else f'base = "mine.toml"\n{text}') + "\n")
    there = Path("out/runs").exists()
    told = h.cli("sweep", "s.toml", "--out", "out", *words)
    assert Path("out/runs").exists() == there
    return told


def sampled(h: Here, between: str, n: int = 2, key: str = "time.end") -> tuple[str, int]:
    return swept(h, f'[sample]\nn = {n}\n"{key}" = {{ {between} }}')


def tabled(h: Here, text: str, more: str = "") -> tuple[str, int]:
    Path("d.csv").write_text(text)
    return swept(h, f'[sample]\ntable = "d.csv"\n{more}')


def under_slurm(h: Here, **changed: object) -> tuple[str, int]:
    settings = {k: v for k, v in (PROFILE | changed).items() if v is not None}
    Path("p.toml").write_text("\n".join(f"{k} = {json.dumps(v)}" for k, v in settings.items()))
    h.patch.setenv("PATH", "")
    return swept(h, ONE, "--engine", "slurm:p.toml")


def begun(h: Here, *words: object, edit: Callable[[Path], object] = lambda out: None) -> tuple[str, int]:
    """On a folder that a driver left before its first run, changed."""
    swept(h, ONE, "--list")
    edit(Path("out"))
    return h.cli("sweep", *words) if words else swept(h)


def driven(
    h: Here, answer: Callable[[work.Task], object], *words: object, text: str = ONE
) -> tuple[str, int]:
    """The driver with an engine that answers at once (None: it is lost); what status.json of run 0 says."""

    class Now(Executor):
        def submit(self, fn, task):  # pyright: ignore
            future = Future()
            try:
                status = answer(task)
                if status is None:
                    future.cancel()
                    future.set_running_or_notify_cancel()
                else:
                    future.set_result(status)
            except Exception as error:
                future.set_exception(error)
            return future

    h.patch.setattr(
        driver,
        "_engine",
        lambda *_: executors.Engine("a cluster", Now(), lambda: 1, lambda: None, lambda: None),
    )
    Path("mine.toml").write_text(SLAB)
    Path("s.toml").write_text(f'base = "mine.toml"\n{text}')
    said, left = h.cli("sweep", "s.toml", "--out", "out", *words)
    return (
        disk.status_of(Path("out/runs/0")).get("error", "") or said + Path("out/sweep.log").read_text(),
        left,
    )


def unlucky(task: work.Task) -> work.Status:
    return work.died(task, "an unlucky start")


def collected(
    text: str = TWO_LEVELS, missing: tuple[str, ...] = (), edit: Callable[[Path], object] = lambda out: None
) -> Path:
    """A sweep of two doses, or another, that is done, and changed after it was collected."""
    made = design(Path(), text, BASE)
    out = put_sweep(Path("done"), made, missing=missing)
    collect.collect(out)
    edit(out)
    return out


def summary(h: Here, edit: Callable[[Path], object]) -> tuple[str, int]:
    """What summary.csv says of runs that were changed."""
    out = collected(edit=edit)
    _, left = h.cli("sweep", "collect", out)
    return (out / "summary.csv").read_text(), left


def named_label() -> None:
    """A sweep with a label, whose run has an observable of that name."""
    out = collected('base = "base.toml"\n[together]\nlabel = ["a"]\n', missing=("0",))
    put_run(out, "0", {"time": STEPS, "label": STEPS}, [Series("label", "1", "")])
    collect.collect(out)


def edit_json(name: str, **changed: object) -> Callable[[Path], object]:
    def edit(out: Path) -> None:
        (out / name).write_text(json.dumps(json.loads((out / name).read_text()) | changed))

    return edit


def no_room(h: Here) -> None:
    h.patch.setattr(estimate.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))


def fails_in(h: Here, where: str, error: Exception) -> Callable[[work.Task], object]:
    """What a child would answer whose run fails so."""
    h.patch.setattr(where, fails(error))
    return work.perform


CASES: dict[str, Callable[[Here], tuple[str, int]]] = {
    # what varies
    "sweep-empty": lambda h: swept(h, '[grid]\n"time.end" = []'),
    "sweep-list": lambda h: swept(h, '[grid]\n"time.end" = 3'),
    "sweep-tables": lambda h: swept(h, '[grid]\ndose = [{agent = "rank_fc"}]'),
    "sweep-ragged": lambda h: swept(h, '[together]\n"time.end" = [1, 2]\nlabel = ["a"]'),
    "sweep-label": lambda h: swept(h, '[grid]\nlabel = ["a"]'),
    "sweep-replicate": lambda h: swept(h, "[grid]\nreplicate = [1, 2]"),
    "sweep-twice": lambda h: swept(h, f'{ONE}[together]\n"time.end" = [1]'),
    "sweep-inside": lambda h: swept(h, '[grid]\n"dose.0" = [1]\n[together]\n"dose.0.amount" = [1]'),
    "sweep-order": lambda h: sampled(h, 'between = ["9 d", "3 d"]'),
    "sweep-log": lambda h: sampled(h, 'between = [0, 9], scale = "log"'),
    "sweep-integer": lambda h: sampled(h, 'between = [1.5, 3], scale = "integer"'),
    "sweep-unit": lambda h: sampled(h, 'between = ["3 d", 9]'),
    "sweep-dimensions": lambda h: sampled(h, 'between = ["3 d", "9 um"]'),
    "sweep-bounds": lambda h: sampled(h, "between = [3]"),
    "sweep-n": lambda h: swept(h, '[sample]\n"time.end" = { between = [1, 2] }'),
    "sweep-nothing": lambda h: swept(h, "[sample]\nn = 2"),
    "sweep-power": lambda h: sampled(h, "between = [1, 2]", 6),
    "sweep-samples": lambda h: sampled(h, "between = [1, 2]", 2**20),
    "sweep-table-points": lambda h: swept(h, '[sample]\ntable = "d.csv"\nn = 2'),
    "sweep-table-missing": lambda h: swept(h, '[sample]\ntable = "d.csv"'),
    "sweep-table-empty": lambda h: tabled(h, "time.end\n"),
    "sweep-table-unnamed": lambda h: tabled(h, "time.end,\n1,2\n"),
    "sweep-table-twice": lambda h: tabled(h, "time.end,time.end\n1,2\n"),
    "sweep-table-elsewhere": lambda h: tabled(h, "time.end\n1\n", ONE),
    "sweep-table-cells": lambda h: tabled(h, "time.end\n1,2\n"),
    "sweep-table-encoding": lambda h: then(
        Path("d.csv").write_bytes(b"\xff"), swept(h, '[sample]\ntable = "d.csv"')
    ),
    "sweep-table-separators": lambda h: tabled(h, "time.end;title,label\n1;2,3\n"),
    "sweep-table-decimals": lambda h: tabled(h, "time.end;time.save\n1,5;0.5\n"),
    "sweep-table-thousands": lambda h: tabled(h, "time.end;time.save\n1,500;1\n"),
    "sweep-table-list": lambda h: tabled(h, "time.end;time.save\n1;[0,5]\n"),
    "sweep-table-csv": lambda h: tabled(h, "title\n" + "x" * 200_000 + "\n"),
    "sweep-base": lambda h: swept(h, 'base = "none.toml"'),
    "sweep-base-unnamed": lambda h: swept(h, '# base = ""'),
    "sweep-many": lambda h: swept(h, f'replicates = 1000\n[grid]\n"section.seed" = {list(range(1001))}'),
    "sweep-replicates": lambda h: swept(h, "replicates = 2"),
    "sweep-name": lambda h: swept(h, '[together]\nname = ["../a"]'),
    "sweep-names": lambda h: swept(h, '[together]\nname = ["a", "A"]'),
    "sweep-run-key": lambda h: swept(h, '[grid]\n"time.ned" = [1, 2]'),
    "sweep-run-value": lambda h: sampled(h, 'between = ["3 um", "9 um"]', 256),
    "sweep-keep-none": lambda h: swept(h, "[keep]\ntimes = []"),
    "sweep-keep-zero": lambda h: swept(h, '[keep]\ntimes = "0 d"'),
    "sweep-keep-late": lambda h: swept(h, f'{ONE}[keep]\ntimes = ["1 d", "9 d"]'),
    "sweep-keep-often": lambda h: swept(h, '[keep]\ntimes = "1e-9 d"'),
    # where it goes
    "sweep-failures": lambda h: swept(h, ONE, "--max-failures", "half"),
    "sweep-engine": lambda h: swept(h, ONE, "--engine", "ray"),
    "sweep-batch": lambda h: swept(h, ONE, "--batch", "1"),
    "sweep-batch-engine": lambda h: swept(h, ONE, "--batch", "4", "--engine", "tcp://127.0.0.1:1"),
    "sweep-batch-memory": lambda h: then(
        h.patch.setattr(driver, "host_memory", lambda: 1000), swept(h, ONE, "--batch", "4")
    ),
    "sweep-listed": lambda h: swept(h, ONE, "--list", "--jobs", 4),
    "sweep-gpu": lambda h: then(
        h.patch.setenv("CUDA_VISIBLE_DEVICES", ""), swept(h, ONE, "--device", "gpu:9")
    ),
    "sweep-dask": lambda h: then(
        h.patch.setattr(executors, "CONNECTING", 0.2), swept(h, ONE, "--engine", "tcp://127.0.0.1:9")
    ),
    "sweep-tls": lambda h: swept(h, ONE, "--engine", "tls://127.0.0.1:9"),
    "sweep-slurm-tls": lambda h: then(
        h.patch.setitem(dask.config.config, "distributed", {"comm": {"require-encryption": True}}),
        under_slurm(h),
    ),
    "sweep-dask-missing": lambda h: then(
        h.patch.setitem(sys.modules, "distributed", None), swept(h, ONE, "--engine", "tcp://127.0.0.1:9")
    ),
    "sweep-profile-missing": lambda h: under_slurm(h, memory=None),
    "sweep-profile-key": lambda h: under_slurm(h, memroy="1GB"),
    "sweep-profile-jobs": lambda h: under_slurm(h, jobs=0),
    "sweep-profile-network": lambda h: under_slurm(h, host=None),
    "sweep-profile-made": lambda h: under_slurm(h, memory="lots"),
    "sweep-slurm": lambda h: under_slurm(h),
    "sweep-disk": lambda h: then(no_room(h), swept(h)),
    "sweep-other": lambda h: begun(h, "s.toml", "--out", "out", "--set", "time.save=2 d"),
    "sweep-runs": lambda h: then(Path("out/runs").mkdir(parents=True), swept(h)),
    "sweep-written": lambda h: then(Path("out").touch(), swept(h)),
    "sweep-lock": lambda h: then(
        h.patch.setattr(driver, "PATIENCE", 0.0),
        begun(h, edit=lambda out: ((out / disk.LOCK).touch(), lock(out / disk.LOCK))),
    ),
    "sweep-lock-written": lambda h: begun(h, edit=lambda out: (out / disk.LOCK).mkdir()),
    "sweep-none": lambda h: h.cli("sweep", "status", "."),
    "sweep-newer": lambda h: begun(h, "status", "out", edit=edit_json("sweep.json", schema=9)),
    "sweep-damaged": lambda h: begun(h, "one", "out", "0", edit=edit_json("sweep.json", rows=[[1, 2]])),
    "sweep-unreadable": lambda h: begun(
        h,
        "status",
        "out",
        edit=lambda _: h.patch.setattr(Path, "read_text", fails(PermissionError(13, "no"))),
    ),
    "sweep-run-unknown": lambda h: begun(h, "one", "out", "7"),
    # read and drawn
    "sweep-uncollected": lambda h: h.cli("plot", collected(edit=lambda out: (out / "series.h5").unlink())),
    "sweep-changed": lambda h: h.cli("plot", collected(edit=edit_json("sweep.json", names=["a", "b"]))),
    "sweep-summary": lambda h: h.cli(
        "plot", collected(edit=lambda out: (out / "summary.csv").write_text("name\n0,1\n"))
    ),
    "sweep-series": lambda h: h.cli(
        "plot", collected(edit=lambda out: (out / "series.h5").write_text("no HDF5"))
    ),
    "sweep-taken": lambda h: h.raised(named_label),
    "sweep-collected": lambda h: then(
        out := collected(), h.patch.setattr(os, "replace", fails(FULL)), h.cli("sweep", "collect", out)
    ),
    "sweep-kind": lambda h: h.cli("plot", collected(), "--kind", "maps"),
    "sweep-kind-run": lambda h: h.cli("plot", h.runs / "flat", "--kind", "surface"),
    "sweep-choice": lambda h: h.cli("plot", collected(), "--time", "3 d"),
    "sweep-unfinished": lambda h: h.cli("plot", collected(missing=("0", "1"))),
    "sweep-numbers": lambda h: h.cli("plot", collected(), "--kind", "surface"),
    "sweep-field": lambda h: h.cli("plot", collected(), "--field", "gold"),
    "sweep-statistic": lambda h: h.cli("plot", collected(), "--field", "ntx.median"),
    "sweep-xarray": lambda h: then(
        h.patch.setitem(sys.modules, "xarray", None), h.raised(lambda: open_sweep(collected()).series)
    ),
    # while it goes on
    "sweep-lost": lambda h: driven(h, lambda task: None),
    "sweep-kept": lambda h: then(
        h.patch.setattr(driver, "record", fails(FULL)),
        driven(h, fails(worker_pool.WorkerDied("")), "--retry", "0"),
    ),
    "sweep-table": lambda h: then(
        h.patch.setattr(collect, "locks", SimpleNamespace(hdf5=fails(FULL))), driven(h, unlucky)
    ),
    # runs that failed
    "sweep-failed": lambda h: driven(h, unlucky),
    "sweep-too-many": lambda h: driven(h, unlucky, "--max-failures", "0", text='[grid]\n"time.end" = [4, 5]'),
    "sweep-killed": lambda h: driven(h, fails(worker_pool.WorkerDied(worker_pool._exit_text(-9)))),
    "sweep-ended": lambda h: driven(h, fails(worker_pool.WorkerDied(worker_pool._exit_text(7)))),
    "sweep-worker": lambda h: driven(h, fails(TimeoutError("a worker is lost")), "--retry", "1"),
    "sweep-another": lambda h: driven(
        h, lambda task: work._ended(task, "stopped", "another process computes it", 1)
    ),
    "sweep-run-error": lambda h: driven(
        h, fails_in(h, "rdsolver.runs.run.carry_on", RunError("an unlucky start"))
    ),
    "sweep-unforeseen": lambda h: driven(
        h, fails_in(h, "rdsolver.runs.run.carry_on", ZeroDivisionError("division by zero"))
    ),
    # what the table says
    "sweep-row-run": lambda h: summary(h, lambda out: (out / "runs/0/run.h5").write_text("no HDF5")),
    "sweep-row-status": lambda h: summary(h, lambda out: (out / "runs/0/status.json").write_text("{")),
}
