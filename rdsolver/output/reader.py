"""Read a run: `open_run("run.h5")` is a mapping from field names to lazy arrays, with all else that the file knows of itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from ..errors import InputError
from . import layout
from .layout import as_text, dataset

if TYPE_CHECKING:
    from xarray import Dataset

LIVE_TRIES, LIVE_PAUSE = 20, 0.05  # s


def open_run(path: str | Path, locking: bool | None = None, live: bool = False) -> Run:
    """Open a run file for reading.

    live=True reads a run that is still being written: what it had flushed when it was opened. Open it again for more.
    locking: of the file, as h5py takes it.
    Raises InputError when there is no such file, when it is not a run, or when a newer rdsolver wrote it.
    """
    if not Path(path).is_file():
        raise InputError(f"{path} is not there. Give the run.h5 of a run: it lies in the folder of --out, or in outputs/<config name>.")
    for _ in range(LIVE_TRIES if live else 0):
        try:
            return Run(h5py.File(path, "r", locking=False))
        except (OSError, RuntimeError, KeyError):  # opened between two writes of one flush
            time.sleep(LIVE_PAUSE)
    try:
        file = h5py.File(path, "r", locking=False if live else locking)
    except BlockingIOError as e:
        raise InputError(f"{path} is being written. open_run(path, live=True) reads what is there so far.") from e
    except OSError as e:
        raise InputError(f"{path} is not an HDF5 file, or it is cut short: {e}.") from e
    try:
        return Run(file)
    except BaseException:
        file.close()
        raise


class Run(Mapping[str, "FieldData"]):
    """One run; a mapping from the names of the saved fields to lazy arrays, and a context manager.

    times       saved times, d
    series      the observables at every accepted step: name -> array, series.unit(name)
    active      bool, the field of view on the saved cells; static: name -> array that does not change
    axes, shape, spacing (um), origin (um, corner of the first cell), thickness (um, None in 3D)    of the saved cells
    of_bone     whether it is of the bone model, or of another
    config, parameters (name -> value; parameter_table: with units and sources), provenance, status, message, summary
    reference   the healthy baseline, on the whole grid; state: what another run goes on from, fields and attributes together
    """

    def __init__(self, file: h5py.File) -> None:
        attrs = dict[str, Any](file.attrs)
        schema = attrs.get(layout.SCHEMA_KEY)
        if schema is None:
            raise InputError(f"{file.filename} is an HDF5 file, but not a run of rdsolver.")
        if schema > layout.SCHEMA:
            raise InputError(
                f"{file.filename} has layout {schema}, this rdsolver reads up to {layout.SCHEMA}. Upgrade rdsolver to read it."
            )
        self.file = file
        self.title = as_text(attrs["title"])
        self.axes = tuple(as_text(attrs["axes"]))
        self.times: np.ndarray = dataset(file, "time")[:]
        self.spacing = tuple(float(h) for h in attrs["spacing"])
        self.thickness = float(attrs["thickness"]) if "thickness" in attrs else None
        self.shape = tuple(len(self.centres(axis)) for axis in self.axes)
        self.origin = tuple(float(self.centres(a)[0]) - h / 2 for a, h in zip(self.axes, self.spacing, strict=True))
        arrays = {name: node for name, node in file.items() if isinstance(node, h5py.Dataset) and name not in layout.SPECIAL}
        self._fields = {name: FieldData(node, len(self.times)) for name, node in arrays.items() if node.ndim > len(self.axes)}
        self._static = tuple(name for name in arrays if name not in self._fields)

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
        return f"<Run {self.title!r}: {cells} cells, {span}, {self.status}; {', '.join(self)}>"

    def centres(self, axis: str) -> np.ndarray:
        """Coordinates of the saved cells along "x", "y" or "z", um."""
        return dataset(self.file, axis)[:]

    @cached_property
    def series(self) -> SeriesData:
        return SeriesData(self._group("series"))

    @cached_property
    def active(self) -> np.ndarray:
        return dataset(self.file, "active")[...] == 1

    @cached_property
    def static(self) -> dict[str, np.ndarray]:
        return {name: dataset(self.file, name)[...] for name in self._static}

    @cached_property
    def _meta(self) -> dict[str, Any]:
        return layout.take(self._group("meta"))

    @property
    def config(self) -> dict[str, Any]:
        return json.loads(self._meta.get("config", "{}"))

    @property
    def parameter_table(self) -> list[dict[str, Any]]:
        """One row a parameter: name, value, unit, meaning, source, mark."""
        return self._meta.get("parameters", [])

    @property
    def parameters(self) -> dict[str, float]:
        return {row["name"]: row["value"] for row in self.parameter_table}

    @property
    def status(self) -> str:
        """running (or killed), finished, stopped or failed."""
        return self._meta["status"]

    @property
    def message(self) -> str:
        return self._meta.get("message", "")

    @property
    def summary(self) -> dict[str, Any]:
        return self._meta.get("summary", {})

    @property
    def of_bone(self) -> bool:
        """Whether it is a run of the bone model."""
        return self._meta.get("model", "bone") == "bone"

    @property
    def provenance(self) -> dict[str, Any]:
        """Versions, device, precision, seed, commit, wall time (s), a model of one's own as it was executed ("model_source"), and
        whatever else the run noted."""
        return {k: v for k, v in self._meta.items() if k not in ("config", "parameters", "status", "message", "summary")}

    @cached_property
    def reference(self) -> dict[str, Any]:
        return self._arrays("reference")

    @cached_property
    def state(self) -> dict[str, Any]:
        return self._arrays("state")

    def saved_cells(self, array: np.ndarray) -> np.ndarray:
        """The saved cells of an array of `reference`, which is on the whole grid."""
        whole = (dataset(self._group("reference"), axis)[:] for axis in self.axes)
        at = (np.abs(np.subtract.outer(self.centres(axis), c)).argmin(1) for axis, c in zip(self.axes, whole, strict=True))
        return array[np.ix_(*at)]

    def _arrays(self, name: str) -> dict[str, Any]:
        """Arrays, numbers and attributes of a group; empty when the run has not come that far."""
        if name not in self.file:
            return {}
        group = self._group(name)
        return {k: dataset(group, k)[()] for k in map(str, group) if k not in self.axes} | dict[str, Any](group.attrs)

    def _group(self, name: str) -> h5py.Group:
        group = self.file.get(name)
        if not isinstance(group, h5py.Group):
            raise InputError(f"{self.file.filename} has no group {name}. The file is damaged.")
        return group

    def to_xarray(self, *names: str) -> Dataset:
        """The named fields (all by default) with coordinates and units, in memory.

        For a lazy one: xarray.open_dataset(path). The series: run.series.to_xarray().
        """
        xarray = _xarray()
        coords = {"time": ("time", self.times, {"units": layout.TIME_UNIT})}
        coords |= {axis: (axis, self.centres(axis), {"units": layout.LENGTH_UNIT}) for axis in self.axes}
        data = {n: (("time", *self.axes), self[n][:], {"units": self[n].unit, "long_name": self[n].label}) for n in names or self}
        data |= {"active": (self.axes, self.active, {"long_name": "field of view"})}
        return xarray.Dataset(data, coords, {"title": self.title})

    def close(self) -> None:
        self.file.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FieldData:
    """One field, (time, (z), y, x), NaN outside the field of view: read when sliced, e.g. `run["rankl"][-1]`."""

    def __init__(self, node: h5py.Dataset, n_times: int) -> None:
        self._node = node
        self.unit = as_text(node.attrs["units"])
        self.label = as_text(node.attrs["long_name"])
        self.shape = (n_times, *node.shape[1:])
        self.dtype: np.dtype = node.dtype
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        """The first index counts the saved times: a field cut off while it was written may hold one more."""
        first, *rest = key if isinstance(key, tuple) else (key,)
        if first is Ellipsis:
            first, rest = slice(None), [Ellipsis, *rest]
        first = slice(*first.indices(len(self))) if isinstance(first, slice) else np.arange(len(self))[first]
        return self._node[(first, *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def __repr__(self) -> str:
        return f"<{self.label}, {self.unit}: {self.shape}, {self.dtype}>"


class SeriesData(Mapping[str, np.ndarray]):
    """Observables at every accepted step: name -> array (n,); "time" (d) is one of them."""

    def __init__(self, group: h5py.Group) -> None:
        self._group = group
        self._length = dataset(group, "time").shape[0]

    def __getitem__(self, name: str) -> np.ndarray:
        return self._read(name, lambda node: node[: self._length])

    def unit(self, name: str) -> str:
        return self._read(name, lambda node: as_text(node.attrs["units"]))

    def label(self, name: str) -> str:
        return self._read(name, lambda node: as_text(node.attrs["long_name"]))

    def levels(self, name: str) -> tuple[tuple[str, float], ...]:
        """Where something begins that has a name: the grades of hypercalcaemia, for serum calcium."""

        def both(node: h5py.Dataset) -> tuple[tuple[str, float], ...]:
            names = as_text(node.attrs.get("level_names", "")).split()
            return tuple(zip(names, map(float, node.attrs.get("levels", ())), strict=True))

        return self._read(name, both)

    def _read(self, name: str, what: Callable[[h5py.Dataset], Any]) -> Any:
        if name not in self._group:
            raise KeyError(f"{name}; this run has {', '.join(self)}")
        return what(dataset(self._group, name))

    def __iter__(self) -> Iterator[str]:
        return map(str, self._group)

    def __len__(self) -> int:
        return len(self._group)

    def __repr__(self) -> str:
        return f"<Series, {self._length} steps: {', '.join(self)}>"

    def to_xarray(self) -> Dataset:
        """All of them on their own time, with units."""
        data = {name: ("time", self[name], {"units": self.unit(name), "long_name": self.label(name)}) for name in self if name != "time"}
        return _xarray().Dataset(data, {"time": ("time", self["time"], {"units": self.unit("time")})})


def _xarray() -> Any:
    try:
        import xarray
    except ImportError as e:
        raise InputError("to_xarray() needs xarray, which is not installed. Install it with: pip install xarray h5netcdf.") from e
    return xarray
