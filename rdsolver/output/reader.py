"""Reading of a run: `open_run("run.h5")` is a mapping from field names to lazy arrays.

Everything else in the file is in its attributes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from ..errors import InputError, printable
from ..utils import path_kinds
from ..utils.extras import install
from ..utils.home import at_home
from ..utils.safe_files import (
    Damaged,
    array,
    attribute,
    attributes,
    check_array,
    check_chunks,
    check_fits,
    open_hdf5,
    reading,
)
from . import layout
from .layout import as_text, dataset

if TYPE_CHECKING:
    from xarray import Dataset

    from ..geometry.section import Section

LIVE_TRIES, LIVE_PAUSE = 20, 0.05  # s
AXES = (("y", "x"), ("z", "y", "x"))
META = {"status": str, "message": str, "config": str, "summary": dict, "parameters": list, "warnings": list}
"""The type of each entry of meta, where the entry exists."""


def open_run(path: str | Path, locking: bool | None = None, live: bool = False) -> Run:
    """Open a run file, or the run file in a folder, for reading.

    live=True reads a run that is still being written: the data flushed before it was opened. Open it again
    for more. locking: locking of the file, as in h5py. Raises InputError when there is no such file, when it
    is not a run, when it is damaged or part of it lies in another file, or when a newer rdsolver wrote it;
    reading from it later raises InputError for the same reasons.
    """
    path = at_home(path)
    if path.is_dir():
        path = path_kinds.run_file(path)
    if not path.is_file():
        raise InputError(
            f"{path} does not exist. Give the run.h5 of a run: it is in the folder given by --out, or in"
            " outputs/<config name>."
        )
    for _ in range(LIVE_TRIES if live else 0):
        try:
            return _opened(path, False)
        except (
            OSError,
            RuntimeError,
            KeyError,
            Damaged,
        ):  # the file was opened between two writes of one flush
            time.sleep(LIVE_PAUSE)
    try:
        return _opened(path, False if live else locking)
    except BlockingIOError as e:
        raise InputError(
            f"{path} is being written. open_run(path, live=True) reads what is there so far."
        ) from e
    except (OSError, RuntimeError) as e:
        path_kinds.expect(path, "run")
        raise InputError(f"{path} is not an HDF5 file, or it is cut short: {e}.") from e


def _opened(path: str | Path, locking: bool | None) -> Run:
    file = open_hdf5(path, locking=locking)
    try:
        return Run(file)
    except BaseException:
        file.close()
        raise


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    """Turn every error inside into an error about the file."""

    @wraps(method)
    def read(run: Run, *arguments: Any) -> Any:
        if not run.file:
            raise InputError(f"{run.path} is closed. Open it again with open_run.")
        with reading(run.path):
            return method(run, *arguments)

    return read


class Run(Mapping[str, "FieldData"]):
    """One run; a mapping from the names of the saved fields to lazy arrays, and a context manager.

    times       saved times, d
    series      the observables at every accepted step: name -> array, series.unit(name)
    at_saved    the observables at the saved times only: name -> array, at_saved.unit(name)
    active      bool, the field of view on the saved cells; static: name -> array that does not change
    axes, shape, spacing (um), origin (um, corner of the first cell), thickness (um, None in 3D): of the saved
                cells
    of_bone     True for the bone model, False for any other
    clipped     for each field that cannot be negative, at the saved times: number of cells below zero, and
                the lowest value (saved as 0)
    config, parameters (name -> value; parameter_table: with units and sources), provenance, status, message,
    summary
    reference   the healthy baseline, on the whole grid
    state       fields and attributes from which another run can continue
    """

    def __init__(self, file: h5py.File) -> None:
        self.file, self.path = file, file.filename
        self._open()

    @_guarded
    def _open(self) -> None:
        file, attrs = self.file, self.file.attrs
        if layout.SCHEMA_KEY not in attrs:
            raise InputError(f"{self.path} is an HDF5 file, but not a run of rdsolver.")
        schema = attribute(file, layout.SCHEMA_KEY)
        if schema > layout.RUN_SCHEMA:
            raise InputError(
                f"{self.path} has layout {schema}, this rdsolver reads up to {layout.RUN_SCHEMA}. Upgrade"
                " rdsolver to read it."
            )
        self.title = as_text(attribute(file, "title"))
        self.axes = tuple(as_text(attribute(file, "axes")))
        self.spacing = tuple(float(h) for h in attribute(file, "spacing"))
        self.thickness = float(attribute(file, "thickness")) if "thickness" in attrs else None
        self.times = _times(file)
        if self.axes not in AXES or not all(0 < h < np.inf for h in (*self.spacing, self.thickness or 1.0)):
            raise Damaged(
                f"{self.path} is damaged: it has the axes {self.axes} and the spacing {self.spacing}."
            )
        centres = [self.centres(axis) for axis in self.axes]
        self.shape = tuple(map(len, centres))
        self.origin = tuple(float(c[0]) - h / 2 for c, h in zip(centres, self.spacing, strict=True))
        arrays = {
            name: node
            for name, node in file.items()
            if isinstance(node, h5py.Dataset) and name not in layout.PLACES
        }
        self._fields = {
            name: FieldData(node, len(self.times))
            for name, node in arrays.items()
            if node.ndim > len(self.axes)
        }
        self._static = tuple(name for name in arrays if name not in self._fields)
        for name, field in self._fields.items():
            if field.shape[1:] != self.shape:
                raise Damaged(f"{self.path} is damaged: {name} is {field.shape}, on {self.shape} cells.")

    def __getitem__(self, name: str) -> FieldData:
        try:
            return self._fields[name]
        except KeyError:
            raise KeyError(f"{name}; this run saved {', '.join(self._fields)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        cells = " x ".join(map(str, self.shape))
        span = f"{len(self.times)} times to {self.times[-1]:g} d" if len(self.times) else "no saved time"
        return printable(f"<Run {self.title!r}: {cells} cells, {span}, {self.status}; {', '.join(self)}>")

    def centres(self, axis: str) -> np.ndarray:
        """The coordinates of the saved cells along "x", "y" or "z", um."""
        return _centres(self, self.file, axis)

    @cached_property
    @_guarded
    def series(self) -> SeriesData:
        return SeriesData(layout.group(self.file, "series"), self.path)

    @cached_property
    @_guarded
    def at_saved(self) -> SeriesData:
        """The observables at the saved times; empty, except for the time, if none was asked for."""
        group = layout.group(self.file, layout.AT_SAVED) if layout.AT_SAVED in self.file else None
        return SeriesData(group, self.path, self.times)

    @cached_property
    @_guarded
    def active(self) -> np.ndarray:
        return self._cells("active") == 1

    @cached_property
    @_guarded
    def static(self) -> dict[str, np.ndarray]:
        return {name: self._cells(name) for name in self._static}

    @cached_property
    @_guarded
    def clipped(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """The number of clipped cells and the lowest values; empty for a file of layout 1, which is not
        clipped.
        """
        if "clipped" not in self.file:
            return {}
        group, n = layout.group(self.file, "clipped"), len(self.times)
        names, cells, lowest = (
            layout.clipped_fields(group),
            *(array(dataset(group, name, 2)) for name in ("cells", "lowest")),
        )
        if not cells.shape == lowest.shape or cells.shape[0] < n or cells.shape[1] != len(names):
            raise Damaged(
                f"{self.path} is damaged: clipped/cells is {cells.shape}, for {len(names)} fields at {n}"
                " times."
            )
        return {name: (cells[:n, k], lowest[:n, k]) for k, name in enumerate(names)}

    def _cells(self, name: str) -> np.ndarray:
        node = dataset(self.file, name, len(self.axes))
        if node.shape != self.shape:
            raise Damaged(f"{self.path} is damaged: {name} is {node.shape}, on {self.shape} cells.")
        return array(node)

    @cached_property
    @_guarded
    def _meta(self) -> dict[str, Any]:
        found = layout.take(layout.group(self.file, "meta"))
        wrong = [name for name, kind in META.items() if not isinstance(found.get(name, kind()), kind)]
        rows = () if wrong else found.get("parameters", ())
        wrong += (
            []
            if all(isinstance(row["name"], str) and float(row["value"]) == row["value"] for row in rows)
            else ["parameters"]
        )
        if wrong or "status" not in found:
            raise Damaged(
                f"{self.path} is damaged: meta/{(wrong or ['status'])[0]} is missing or is not what belongs"
                " there."
            )
        return found

    @property
    @_guarded
    def config(self) -> dict[str, Any]:
        found = json.loads(self._meta.get("config", "{}"))
        if not isinstance(found, dict):
            raise Damaged(f"{self.path} is damaged: its config is not a table.")
        return found

    @property
    def parameter_table(self) -> list[dict[str, Any]]:
        """One row per parameter: name, value, unit, meaning, source, mark."""
        return self._meta.get("parameters", [])

    @property
    def parameters(self) -> dict[str, float]:
        return {row["name"]: row["value"] for row in self.parameter_table}

    @property
    def status(self) -> str:
        """The status: running (or killed), finished, stopped or failed."""
        return self._meta["status"]

    @property
    def message(self) -> str:
        return self._meta.get("message", "")

    @property
    def summary(self) -> dict[str, Any]:
        return self._meta.get("summary", {})

    @property
    def of_bone(self) -> bool:
        """True if it is a run of the bone model."""
        return self._meta.get("model", "bone") == "bone"

    @property
    def provenance(self) -> dict[str, Any]:
        """The versions, device, precision, seed, commit, wall time (s), the text of a user model as it was
        executed ("model_source"), and everything else that the run noted.
        """
        return {
            k: v
            for k, v in self._meta.items()
            if k not in ("config", "parameters", "status", "message", "summary")
        }

    @cached_property
    @_guarded
    def reference(self) -> dict[str, Any]:
        return self._arrays("reference")

    @cached_property
    @_guarded
    def section(self) -> Section | None:
        """The section on the whole grid, if an image was needed to make it.

        It is None if the config makes it again, or if an older rdsolver wrote the file.
        """
        return (
            layout.read_section(self.file, self.provenance.get("section", {}))
            if "section" in self.file
            else None
        )

    @cached_property
    @_guarded
    def state(self) -> dict[str, Any]:
        return self._arrays("state")

    @_guarded
    def saved_cells(self, array: np.ndarray) -> np.ndarray:
        """The saved cells of an array of `reference`, which covers the whole grid."""
        group = layout.group(self.file, "reference")
        named = [
            layout.WHOLE_GRID + axis if layout.WHOLE_GRID + axis in group else axis for axis in self.axes
        ]
        whole = (_centres(self, group, name) for name in named)
        at = (
            np.abs(np.subtract.outer(self.centres(axis), c)).argmin(1)
            for axis, c in zip(self.axes, whole, strict=True)
        )
        return array[np.ix_(*at)]

    def _arrays(self, name: str) -> dict[str, Any]:
        """The arrays, numbers and attributes of a group; empty if the run has not written it yet."""
        if name not in self.file:
            return {}
        group = layout.group(self.file, name)
        scales = {prefix + axis for prefix in ("", layout.WHOLE_GRID) for axis in self.axes}
        return {k: array(dataset(group, k))[()] for k in map(str, group) if k not in scales} | attributes(
            group
        )

    def to_xarray(self, *names: str) -> Dataset:
        """The named fields (all by default) with coordinates and units, in memory.

        For a lazy one: xarray.open_dataset(path). The series: run.series.to_xarray().
        """
        xarray = _xarray()
        coords = {"time": ("time", self.times, layout.described(layout.TIME_UNIT, "time"))}
        coords |= {
            axis: (
                axis,
                self.centres(axis),
                layout.described(layout.LENGTH_UNIT, f"{axis} of the cell centres"),
            )
            for axis in self.axes
        }
        data = {
            n: (("time", *self.axes), self[n][:], layout.described(self[n].unit, self[n].label))
            for n in names or self
        }
        data |= {"active": (self.axes, self.active, {"long_name": "field of view"})}
        return xarray.Dataset(data, coords, {"title": self.title})

    def close(self) -> None:
        self.file.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FieldData:
    """One field, (time, (z), y, x), NaN outside the field of view; read when sliced: run["rankl"][-1]."""

    def __init__(self, node: h5py.Dataset, n_times: int) -> None:
        self._node = node
        self.unit = layout.units(node)
        self.label = as_text(attribute(node, "long_name"))
        self.shape = (n_times, *node.shape[1:])
        if node.dtype.kind not in "biuf" or node.shape[0] < n_times:
            raise Damaged(
                f"{node.file.filename} is damaged: {node.name} holds {node.shape} of {node.dtype}, for"
                f" {n_times} saved times."
            )
        self.dtype: np.dtype = node.dtype
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        """Read part of the field.

        The first index counts saved times: a field that was cut off while it was written may hold one more.
        """
        first, *rest = key if isinstance(key, tuple) else (key,)
        if first is Ellipsis:
            first, rest = slice(None), [Ellipsis, *rest]
        first = slice(*first.indices(len(self))) if isinstance(first, slice) else np.arange(len(self))[first]
        what = self._whole
        check_fits(np.broadcast_to(np.False_, self.shape)[(first, *rest)].size * self.dtype.itemsize, what)
        try:
            return self._node[(first, *rest)]
        except (OSError, RuntimeError, MemoryError) as error:
            with reading(what):
                raise error

    @cached_property
    def _whole(self) -> str:
        """Check the chunks of the field and return its name for messages."""
        with reading(self._node.file.filename):
            check_chunks(self._node)
        return f"{self._node.file.filename}: {self._node.name}"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def __repr__(self) -> str:
        return printable(f"<{self.label}, {self.unit}: {self.shape}, {self.dtype}>")


class SeriesData(Mapping[str, np.ndarray]):
    """The observables at every accepted step, or at the saved times: name -> array (n,).

    "time" (d) is one of them.
    """

    def __init__(self, group: h5py.Group | None, path: str, times: np.ndarray | None = None) -> None:
        """times: the saved times (d), if the group has no time of its own."""
        self._group, self._path, self._times = group, path, times
        if times is None:
            assert group is not None  # only the group of observables at the saved times may be missing
            self._length = dataset(group, "time", 1).shape[0]
        else:
            self._length = len(times)

    def __getitem__(self, name: str) -> np.ndarray:
        if name == "time" and self._times is not None:
            return self._times

        def values(node: h5py.Dataset) -> np.ndarray:
            check_array(node)
            if node.dtype.kind != "f" or len(node) < self._length:
                raise Damaged(
                    f"{self._path} is damaged: series/{name} holds {node.shape} of {node.dtype}, for"
                    f" {self._length} steps."
                )
            return node[: self._length]

        return self._read(name, values)

    def unit(self, name: str) -> str:
        return layout.TIME_UNIT if name == "time" else self._read(name, layout.units)

    def label(self, name: str) -> str:
        if name == "time":
            return "time"
        return self._read(name, lambda node: as_text(attribute(node, "long_name")))

    def levels(self, name: str) -> tuple[tuple[str, float], ...]:
        """The named levels of a series: the grades of hypercalcaemia, for serum calcium."""

        def both(node: h5py.Dataset) -> tuple[tuple[str, float], ...]:
            if "levels" not in node.attrs:
                return ()
            return tuple(
                zip(
                    as_text(attribute(node, "level_names")).split(),
                    map(float, attribute(node, "levels")),
                    strict=True,
                )
            )

        return self._read(name, both)

    def _read(self, name: str, what: Callable[[h5py.Dataset], Any]) -> Any:
        with reading(self._path):
            if self._group is not None and name in self._group:
                return what(dataset(self._group, name, 1))
        raise KeyError(f"{name}; this run has {', '.join(self)}")

    def __iter__(self) -> Iterator[str]:
        own = () if self._group is None else (n for n in map(str, self._group) if n != layout.STEP_TIME)
        return iter((*(("time",) if self._times is not None else ()), *own))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return printable(f"<Series, {self._length} times: {', '.join(self)}>")

    def to_xarray(self) -> Dataset:
        """All series on their own time, `series_time` or `time` as in the file, with units."""
        own = layout.STEP_TIME if self._times is None else "time"
        data = {
            name: (own, self[name], layout.described(self.unit(name), self.label(name)))
            for name in self
            if name != "time"
        }
        return _xarray().Dataset(
            data, {own: (own, self["time"], layout.described(self.unit("time"), "time"))}
        )


def _times(file: h5py.File) -> np.ndarray:
    """The saved times, d, without unfinished ones (NaN) at the end.

    Raises InputError when they do not increase.
    """
    times = np.asarray(array(dataset(file, "time", 1)), float)
    written = np.isfinite(times)
    times = times if written.all() else times[: written.argmin()]
    if np.any(np.diff(times) <= 0):
        raise Damaged(f"{file.filename} is damaged: its saved times do not increase.")
    return times


def _centres(run: Run, parent: Any, axis: str) -> np.ndarray:
    with reading(run.path):
        centres = np.asarray(array(dataset(parent, axis, 1)), float)
        if not len(centres) or not np.isfinite(centres).all():
            raise Damaged(f"{run.path} is damaged: {axis} should hold the centres of cells.")
        return centres


def _xarray() -> Any:
    try:
        import xarray
    except ImportError as e:
        raise InputError(f"to_xarray() needs {e.name}, which is not installed. {install('analysis')}.") from e
    return xarray
