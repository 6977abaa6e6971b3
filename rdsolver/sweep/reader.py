"""Reading of a sweep: `open_sweep(DIR)` is a mapping from the names of its runs to the runs.

All runs are also in one table and one dataset.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from ..errors import InputError
from ..output import layout
from ..output.reader import Run, open_run
from ..output.udunits import READABLE
from ..utils.extras import install
from ..utils.home import at_home
from ..utils.path_kinds import DESIGN, RUN, expect

if TYPE_CHECKING:
    from xarray import Dataset

SUMMARY, SERIES, STATUS = "summary.csv", "series.h5", "status.json"
RUN_COLUMNS = ("status", "error", "wall_time", "steps", "rejected", "stage_solves")
STATISTICS = ("end", "min", "min_time", "max", "max_time", "mean")
"""The statistics of each observable, for columns such as ntx.min."""
FINISHED = "finished"
TEXTS = ("name", "label", "status", "error")  # columns that are never taken for numbers


DESIGN_SCHEMA, KEYS = 1, {"schema", "hash", "title", "base", "columns", "rows", "names", "times", "fields"}
"""The version of sweep.json, and its keys."""


def open_sweep(folder: str | Path) -> Sweep:
    """Open the collected results of a sweep, by its folder or a file in it. This needs neither JAX nor
    pydantic.

    Raises InputError when the folder is no sweep, or nothing of it has been collected.
    """
    path = at_home(folder)
    return Sweep(path.parent if path.name in (DESIGN, SUMMARY, SERIES) else path)


def run_folder(folder: Path, name: str) -> Path:
    return folder / "runs" / name


def is_sweep(folder: Path) -> bool:
    return (folder / DESIGN).is_file()


def read_design(folder: Path) -> dict[str, Any]:
    """The design of a sweep, as Design.as_json gives it.

    Raises InputError when the folder is no sweep, or it is damaged.
    """
    path = folder / DESIGN
    expect(folder, "sweep")
    if not is_sweep(folder):
        raise InputError(
            f"{folder} is not a sweep: it contains no {DESIGN}. Give the folder that `rdsolver sweep`"
            " wrote to."
        )
    try:
        design = json.loads(path.read_text(encoding="utf-8"))
        if design["schema"] > DESIGN_SCHEMA:
            raise InputError(f"{path} was written by a newer rdsolver. Upgrade rdsolver to read it.")
        columns, rows, names = design["columns"], design["rows"], design["names"]
        whole = (
            design.keys() >= KEYS
            and len(rows) == len(names)
            and all(len(row) == len(columns) for row in rows)
        )
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, TypeError, KeyError):
        whole, design = False, {}
    if not whole:
        raise InputError(
            f"{path} is damaged, or is not the design of a sweep. Run the sweep again into another folder"
            " with --out."
        )
    return design


class Sweep(Mapping[str, Run]):
    """A collected sweep; a mapping from names to runs, which are opened when asked for: sweep["012"], or
    sweep[12].

    table     one row for each run: name, the keys that vary, status, wall_time (s), steps, and for each
              observable .end, .min, .max, .mean and the times of the extremes (.min_time, .max_time; d): a
              pandas DataFrame, or without pandas a structured array
    series    an xarray Dataset (run, time), NaN where a run has no value
    columns   the table as name -> array; units, labels: those of its columns and of the observables
    design    the design, as in sweep.json; counts: status -> number of runs
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.design = read_design(folder)
        self.names: tuple[str, ...] = tuple(self.design["names"])
        self.title: str = self.design.get("title", "")
        for name in (SUMMARY, SERIES):
            if not (folder / name).is_file():
                raise InputError(
                    f"{folder} has not been collected: there is no {name}. Write it with: rdsolver sweep"
                    f" collect {folder}"
                )
        self.columns = _table(folder / SUMMARY)
        if self.columns["name"].tolist() != list(self.names):
            raise InputError(
                f"{folder / SUMMARY} does not hold the runs of {DESIGN}. Write it again with: rdsolver sweep"
                f" collect {folder}"
            )
        try:
            with h5py.File(folder / SERIES, "r", locking=False) as file:
                said = {
                    name: dict[str, Any](node.attrs)
                    for name, node in file.items()
                    if isinstance(node, h5py.Dataset)
                }
                self.observables = tuple(
                    name for name, node in file.items() if isinstance(node, h5py.Dataset) and node.ndim == 2
                )
        except OSError as error:
            raise InputError(
                f"{folder / SERIES} cannot be read: {error}. Write it again with: rdsolver sweep collect"
                f" {folder}"
            ) from None
        self.units = {
            name: layout.as_text(about.get(READABLE, about["units"]))
            for name, about in said.items()
            if "units" in about
        }
        self.labels = {name: layout.as_text(about["long_name"]) for name, about in said.items()}

    def __getitem__(self, key: str | int) -> Run:
        if isinstance(key, str) and key not in self.names:
            raise KeyError(
                f"{key}; this sweep has {', '.join(self.names[:5])}{' ...' if len(self.names) > 5 else ''}"
            )
        name = key if isinstance(key, str) else self.names[key]
        return open_run(run_folder(self.folder, name) / RUN, live=True)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __repr__(self) -> str:
        told = ", ".join(f"{n} {status}" for status, n in self.counts.items())
        return f"<Sweep {self.title!r}: {len(self)} runs over {', '.join(self.varied) or 'nothing'}; {told}>"

    @property
    def counts(self) -> dict[str, int]:
        return dict(Counter(self.columns["status"].tolist()).most_common())

    @property
    def varied(self) -> tuple[str, ...]:
        """The columns that were varied on purpose.

        These exclude the number of a replicate, the seeds drawn for it, and columns that are the same in all
        runs.
        """
        columns = list(self.design["columns"])
        wanted = columns[: columns.index("replicate")] if "replicate" in columns else columns
        return tuple(c for c in wanted if len(np.unique(self.columns[c])) > 1)

    @property
    def finished(self) -> np.ndarray:
        """True for each run that is finished, (runs,)."""
        return self.columns["status"] == FINISHED

    @cached_property
    def table(self) -> Any:
        try:
            import pandas
        except ImportError:
            return np.rec.fromarrays(
                list(self.columns.values()),
                dtype=[(name, values.dtype) for name, values in self.columns.items()],
            )
        return pandas.DataFrame(self.columns)

    @cached_property
    def series(self) -> Dataset:
        try:
            import h5netcdf  # noqa: F401
            import xarray
        except ImportError as error:
            raise InputError(
                f"sweep.series needs {error.name}, which is not installed. {install('analysis')}."
            ) from error
        return xarray.open_dataset(self.folder / SERIES, engine="h5netcdf")

    def curves(self, name: str) -> np.ndarray:
        """One observable of all runs on the common times, (runs, times); "time": these times."""
        with h5py.File(self.folder / SERIES, "r", locking=False) as file:
            return layout.dataset(file, name)[...]


def _table(path: Path) -> dict[str, np.ndarray]:
    """The columns by name: whole numbers, numbers (NaN where a cell is empty) or text."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            head, *rows = csv.reader(stream)
        return {
            name: _values(name, list(cells))
            for name, cells in zip(head, zip(*rows, strict=True), strict=True)
        }
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            f"{path} cannot be read: {error}. Write it again with: rdsolver sweep collect {path.parent}"
        ) from None


def _values(name: str, cells: list[str]) -> np.ndarray:
    if name not in TEXTS:
        for kind in (int, float):
            try:
                return np.array([kind(cell) if cell or kind is int else np.nan for cell in cells])
            except ValueError:
                continue
    return np.array(cells)
