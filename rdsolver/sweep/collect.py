"""Collection of a sweep's results: one row for each run in summary.csv, and all series in series.h5.

The series are on one grid of times. Both files are made anew from whatever the folders of the runs hold, and
replace the earlier ones as a whole.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import h5py
import numpy as np
from scipy.interpolate import PchipInterpolator

from ..config.tables import TimeTable
from ..errors import InputError
from ..output import layout
from ..output.reader import SeriesData
from ..units import number, quantity, split_unit
from ..utils import atomic, locks
from ..utils.home import at_home
from .reader import (
    FINISHED,
    RUN,
    RUN_COLUMNS,
    SERIES,
    STATISTICS,
    STATUS,
    SUMMARY,
    TEXTS,
    Sweep,
    open_sweep,
    read_design,
    run_folder,
)

ROWS = 64  # number of runs that are written to series.h5 at once, and of those in one of its chunks
MOST_VALUES = 2**21  # most values of one observable in memory
CHUNK_TIMES = 1024


Column = tuple[list[Any], str]
"""The values of all runs, and their unit (empty: text)."""


class RunSeries(NamedTuple):
    """A finished run: its counts, its end (d), its series, each with its times, and unit and label of new
    series.
    """

    counts: dict[str, Any]
    end: float
    series: dict[str, tuple[np.ndarray, np.ndarray]]
    said: dict[str, tuple[str, str]]


def collect(folder: str | Path) -> Sweep:
    """Write summary.csv and series.h5 of a sweep's folder, and open it.

    Runs that are not finished have only their status. Raises InputError when the folder is no sweep, or
    cannot be written.
    """
    folder = at_home(folder)
    design = read_design(folder)
    names = design["names"]
    rows = [_state(folder, name) for name in names]
    columns = {c: _column(c, [row[k] for row in design["rows"]]) for k, c in enumerate(design["columns"])}
    figures: dict[str, np.ndarray] = {}  # observable -> (runs, statistics)
    with (
        _replaced(folder / SERIES) as aside,
        locks.hdf5(aside, "w", libver=layout.LIBVER, track_order=True) as file,
    ):
        block = _Block(file, len(names), grid(design), taken=("run", "time", "status", *columns))
        for i, row in enumerate(rows):
            if row["status"] != FINISHED:
                continue
            try:
                found = _read(folder, names[i], known=figures)
                curves = {name: _curve(time, y) for name, (time, y) in found.series.items()}
            except (OSError, KeyError, ValueError, InputError) as error:
                row |= {
                    "status": "failed",
                    "error": f"run.h5 cannot be read: {error}".replace(str(folder), "."),
                }
                continue
            row |= found.counts
            for name, curve in curves.items():
                if name not in figures:
                    figures[name] = np.full((len(names), len(STATISTICS)), np.nan)
                figures[name][i] = _statistics(*found.series[name], curve)
            block.add(i, found, curves)
        block.close(columns, [row["status"] for row in rows], names)
    with _replaced(folder / SUMMARY) as aside, aside.open("w", newline="", encoding="utf-8") as stream:
        _write_table(stream, names, columns, rows, figures)
    return open_sweep(folder)


def grid(design: dict[str, Any]) -> np.ndarray:
    """The common times of all series, d: keep.times, or else the saved times of the base, to the end of the
    longest run.
    """
    columns, base = design["columns"], design["base"].get("time", {})

    def values(key: str) -> list[Any]:
        at = columns.index(f"time.{key}") if f"time.{key}" in columns else None
        return [base.get(key)] if at is None else [row[at] for row in design["rows"]]

    end = max(quantity(v, "d", "time.end") for v in values("end"))
    wanted = design["times"] or values("save")[0]
    given = {"save": list(wanted) if isinstance(wanted, tuple) else wanted} if wanted else {}
    return np.array(TimeTable(end=end, **given).saved())


def _state(folder: Path, name: str) -> dict[str, Any]:
    """The content of a run's status.json.

    Without that file the status is running (or killed) if the run has begun, otherwise waiting.
    """
    place = run_folder(folder, name)
    try:
        said = json.loads((place / STATUS).read_text(encoding="utf-8"))
        return {c: said.get(c) for c in RUN_COLUMNS}
    except FileNotFoundError:
        return dict.fromkeys(RUN_COLUMNS) | {"status": "running" if (place / RUN).exists() else "waiting"}
    except (OSError, ValueError, AttributeError) as error:
        return dict.fromkeys(RUN_COLUMNS) | {
            "status": "failed",
            "error": f"status.json cannot be read: {error}",
        }


def _read(folder: Path, name: str, known: Container[str]) -> RunSeries:
    """Read only counts and series of a run file, because open_run takes three times as long."""
    with h5py.File(run_folder(folder, name) / RUN, "r", locking=False) as file:
        series = SeriesData(layout.group(file, "series"), file.filename)
        summary = json.loads(layout.as_text(layout.dataset(layout.group(file, "meta"), "summary")[()]))
        if len(series["time"]) < 2:
            raise ValueError("it holds no step")
        sources = [series]
        if layout.AT_SAVED in file:
            saved = layout.dataset(file, "time")[()]
            sources.append(SeriesData(layout.group(file, layout.AT_SAVED), file.filename, saved))
        found = {n: (s["time"], s[n]) for s in sources for n in s if n != "time"}
        said = {n: (s.unit(n), s.label(n)) for s in sources for n in s if n not in known}
        end = float(series["time"][-1])
    return RunSeries({c: summary.get(c) for c in ("steps", "rejected", "stage_solves")}, end, found, said)


def _curve(time: np.ndarray, values: np.ndarray) -> PchipInterpolator | None:
    """A curve through the accepted steps that have a value; None where there are fewer than two.

    It is monotone between them, so that a jump at a dose does not overshoot (Fritsch and Carlson 1980,
    10.1137/0717021).
    """
    known = np.isfinite(values)
    return PchipInterpolator(time[known], values[known], extrapolate=False) if known.sum() > 1 else None


def _statistics(time: np.ndarray, values: np.ndarray, curve: PchipInterpolator | None) -> tuple[float, ...]:
    """The end, minimum with its time, maximum with its time, and mean over time."""
    if curve is None:
        return (math.nan,) * len(STATISTICS)
    low, high = int(np.nanargmin(values)), int(np.nanargmax(values))
    mean = curve.integrate(curve.x[0], curve.x[-1]) / (curve.x[-1] - curve.x[0])
    return values[-1], values[low], time[low], values[high], time[high], float(mean)


class _Block:
    """The rows of series.h5, written in blocks: (run, time), NaN where a run has no value."""

    def __init__(self, file: h5py.File, runs: int, times: np.ndarray, taken: Container[str]) -> None:
        """taken: names that no observable may have."""
        self.file, self.runs, self.times, self.taken = file, runs, times, taken
        self.rows = max(1, min(ROWS, runs, MOST_VALUES // len(times)))
        self.first, self.held = 0, dict[str, np.ndarray]()
        axis = file.create_dataset("time", data=times, track_order=True)
        layout.describe(axis, layout.TIME_UNIT, "time", axis="T")
        axis.make_scale("time")
        self.observables: list[str] = []

    def add(self, i: int, found: RunSeries, curves: dict[str, PchipInterpolator | None]) -> None:
        if i >= self.first + self.rows:
            self._flush()
            self.first = i - i % self.rows
        end = found.end
        at = np.where(np.abs(self.times - end) <= 1e-9 * end, end, self.times)
        for name, curve in curves.items():
            if name not in self.observables:
                self._create(name, *found.said[name])
            if curve is not None:
                held = self.held.setdefault(name, np.full((self.rows, len(self.times)), np.nan))
                held[i - self.first] = curve(at)

    def close(self, columns: dict[str, Column], status: list[str], names: Sequence[str]) -> None:
        """Write the remaining rows, and the coordinates of the runs."""
        self._flush()
        run = self._coordinate("run", (list(names), ""))
        run.make_scale("run")
        for name, column in {**columns, "status": (status, "")}.items():
            self._coordinate(name, column).dims[0].attach_scale(run)
        for name in self.observables:
            node = layout.attach(layout.dataset(self.file, name), "run", "time")
            layout.set_text(node, coordinates=" ".join([*columns, "status"]))

    def _coordinate(self, name: str, column: Column) -> h5py.Dataset:
        values, unit = column
        is_text = any(isinstance(v, str) for v in values)
        node = self.file.create_dataset(
            name, data=values, dtype=h5py.string_dtype() if is_text else None, track_order=True
        )
        if is_text:
            layout.set_text(node, long_name=name)
        else:
            layout.describe(node, unit, name)
        return node

    def _create(self, name: str, unit: str, label: str) -> None:
        if name in self.taken:
            raise InputError(
                f"An observable is called {name}, and so is a column of the sweep. Give it another name in"
                " the model."
            )
        shape = (self.runs, len(self.times))
        chunks = self.rows, min(len(self.times), CHUNK_TIMES)
        packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        node = self.file.create_dataset(
            name, shape, "f8", chunks=chunks, fillvalue=np.nan, track_order=True, **packed
        )
        layout.describe(node, unit, label)
        node.attrs["_FillValue"] = np.full(1, np.nan)
        self.observables.append(name)

    def _flush(self) -> None:
        for name, held in self.held.items():
            count = min(self.rows, self.runs - self.first)
            layout.dataset(self.file, name)[self.first : self.first + count] = held[:count]
        self.held = {}


def _column(name: str, values: list[Any]) -> Column:
    """A column that varies, and its unit.

    The values are numbers in one unit if all are quantities of one dimension (times in d), and text
    otherwise.
    """
    if name in TEXTS:
        return [str(v) for v in values], ""
    try:
        found = [(v, "") if type(v) is int else split_unit(v) for v in values]
        units = list(dict.fromkeys(unit for _, unit in found))
        for plain in (layout.TIME_UNIT, "1"):
            if all(units) and _converts(values[0], plain):
                return [number(v, plain) for v in values], plain
        said = f"1{units[0]}" if units[0].startswith("/") else units[0] or "1"
        if len(units) == 1:
            return [n for n, _ in found], said
        if all(units):
            return [number(v, units[0]) for v in values], said
    except ValueError:
        pass
    return [v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in values], ""


def _converts(value: Any, unit: str) -> bool:
    try:
        number(value, unit)
    except ValueError:
        return False
    return True


def _write_table(
    stream: TextIO,
    names: Sequence[str],
    columns: dict[str, Column],
    rows: list[dict[str, Any]],
    figures: dict[str, np.ndarray],
) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        ["name", *columns, *RUN_COLUMNS, *(f"{name}.{s}" for name in figures for s in STATISTICS)]
    )
    for i, (name, row) in enumerate(zip(names, rows, strict=True)):
        told = [x for of_all in figures.values() for x in of_all[i].tolist()]
        varied = [values[i] for values, _ in columns.values()]
        writer.writerow(
            [name, *varied, *(row[c] for c in RUN_COLUMNS), *("" if math.isnan(x) else x for x in told)]
        )


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """A file that replaces `path` when it is written: a reader finds the old one or the new one, intact.

    Several processes may collect at once.
    """
    try:
        with atomic.replacing(path, fresh=path.with_name(f".{path.name}.{os.getpid()}")) as fresh:
            yield fresh
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}. Make room, or choose another folder."
        ) from error
