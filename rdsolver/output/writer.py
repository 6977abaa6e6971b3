"""The writer of a run: one saved time after another, so that a killed process loses no flushed data."""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, Literal

import h5py
import numpy as np

from ..errors import InputError, RunError
from ..geometry.grid import Grid
from ..geometry.section import Section
from ..models.base import Field, Series
from ..utils import locks
from ..utils.home import at_home
from . import layout
from .layout import Window
from .repair import extend_to_real_end

if TYPE_CHECKING:
    from ..problem.output import Output

# bytes that the format may add to a write; as much again is kept for the end of a run whose disk is full
MARGIN = 1 << 19
MEMORY_BLOCK = 1 << 22  # bytes by which a run in memory grows


class RunWriter:
    """The file of one run, open for writing; a context manager.

    path       path of the new file; None keeps the run in memory, with the same layout
    fields     fields that are saved at each saved time; series: series that are saved at each accepted step
    at_saved   numbers that are saved at each saved time
    active     bool, shape of the grid: cells outside are written as NaN
    selection  fields and cells that are saved (default: all)
    static     (field, array of the grid's shape) pairs that do not change
    meta       name -> number, text or a value that can be written as JSON: configuration, parameters,
               provenance
    overwrite  replace an existing file (it stays whole until the new one exists)

    Raises InputError when the file exists or cannot be created, or when the selection does not fit; every
    method that writes raises RunError when the disk is full or fails.
    """

    def __init__(
        self,
        path: str | Path | None,
        grid: Grid,
        fields: Sequence[Field],
        series: Sequence[Series],
        *,
        active: np.ndarray,
        dtype: str = "float32",
        selection: Output | None = None,
        static: Sequence[tuple[Field, np.ndarray]] = (),
        at_saved: Sequence[Series] = (),
        meta: Mapping[str, Any] | None = None,
        title: str = "",
        overwrite: bool = False,
    ) -> None:
        self.path = None if path is None else at_home(path)
        self._began = time.monotonic()
        self._window, self._whole = Window.of(grid, selection), Window.of(grid)
        self._outside = None if active.all() else ~active[self._window.slices]
        saved = selected_fields(fields, selection)
        self.file = _create(self.path, overwrite)
        try:
            self._reserve(2 * MARGIN)
            self._lay_out(grid, saved, series, at_saved, np.dtype(dtype), active, static, meta or {}, title)
            self.file.flush()
            if self.path is not None:
                os.replace(self.file.filename, self.path)
        except BaseException as e:
            self.file.close()
            if self.path is not None:
                _fresh(self.path).unlink(missing_ok=True)
            if isinstance(e, (OSError, RuntimeError)):  # h5py raises either
                raise InputError(
                    f"{self.path} cannot be written: {reason(e)}. Choose another folder with --out."
                ) from e
            raise

    @classmethod
    def reopened(
        cls,
        path: Path,
        grid: Grid,
        *,
        active: np.ndarray,
        selection: Output | None = None,
        times: int,
        rows: int,
        spent: float,
    ) -> RunWriter:
        """The file of a run that continues: all data after this many saved times and rows of the series are
        dropped.

        spent: seconds of wall time so far. Raises RunError when the file is locked, damaged, not writable or
        holds less.
        """
        writer = cls.__new__(cls)
        writer.path, writer._began = path, time.monotonic() - spent
        writer._window, writer._whole = Window.of(grid, selection), Window.of(grid)
        writer._outside = None if active.all() else ~active[writer._window.slices]
        try:
            extend_to_real_end(path)
            writer.file = locks.hdf5(path, "r+", libver=layout.LIBVER)
        except BlockingIOError as e:
            raise RunError(
                f"{path} is open in another program, which keeps it locked. Close it, then resume."
            ) from e
        except OSError as e:
            raise RunError(f"{path} cannot be opened for writing: {reason(e)}.") from e
        try:
            writer._take_up(times, rows)
        except BaseException:
            writer.file.close()
            raise
        return writer

    def _take_up(self, times: int, rows: int) -> None:
        file = self.file
        self._time, self._meta, self._steps = (
            layout.dataset(file, "time"),
            layout.group(file, "meta"),
            layout.group(file, "VTKHDF/Steps"),
        )
        self._offsets = layout.dataset(self._steps, "Offsets")
        arrays = {
            name: node
            for name, node in file.items()
            if isinstance(node, h5py.Dataset) and name not in layout.PLACES
        }
        self._fields = {name: node for name, node in arrays.items() if node.ndim > len(self._window.axes)}
        group = layout.group(file, "series")
        self._series = {name: layout.dataset(group, name) for name in map(str, group)}
        self._at_saved = {}
        if layout.AT_SAVED in file:
            group = layout.group(file, layout.AT_SAVED)
            self._at_saved = {name: layout.dataset(group, name) for name in map(str, group)}
        self._clipped = None
        if "clipped" in file:
            clipped = layout.group(file, "clipped")
            self._clipped = layout.dataset(clipped, "cells"), layout.dataset(clipped, "lowest")
            self._densities = layout.clipped_fields(clipped)
        if self._time.shape[0] < times or self._series["time"].shape[0] < rows:
            raise RunError(f"{self.path} holds less than its checkpoint says. The file is damaged.")
        with self._writing(0):
            self._steps.attrs.modify("NSteps", np.int64(times))
            for node in (
                self._time,
                self._offsets,
                *self._fields.values(),
                *self._at_saved.values(),
                *(self._clipped or ()),
            ):
                node.resize(times, 0)
            for node in self._series.values():
                node.resize(rows, 0)
            for name, value in {"status": "running", "message": ""}.items():
                layout.put(self._meta, name, value)

    def _lay_out(
        self,
        grid: Grid,
        saved: Sequence[Field],
        series: Sequence[Series],
        at_saved: Sequence[Series],
        dtype: np.dtype,
        active: np.ndarray,
        static: Sequence[tuple[Field, np.ndarray]],
        meta: Mapping[str, Any],
        title: str,
    ) -> None:
        file, window = self.file, self._window
        layout.set_text(file, Conventions="CF-1.10", title=title or "rdsolver run", axes="".join(window.axes))
        file.attrs[layout.SCHEMA_KEY] = np.int64(layout.RUN_SCHEMA)
        file.attrs["spacing"] = np.array(window.spacing)
        if grid.thickness is not None:
            file.attrs["thickness"] = grid.thickness
        self._time = layout.create_time(file)
        layout.create_space(file, window, window.axes)
        self._fields = {
            f.name: layout.create_field(file, f.name, window, dtype, f.unit, f.label, ("time", *window.axes))
            for f in saved
        }
        layout.create_active(file, window, active)
        for field, array in static:
            node = layout.create_field(file, field.name, window, dtype, field.unit, field.label, window.axes)
            node[...] = self._cut(array, dtype)
        self._densities = tuple(f.name for f in saved if not f.signed)
        self._clipped = layout.create_clipped(file, self._densities) if self._densities else None
        group = file.create_group("series", track_order=True)
        self._series = layout.create_step_times(group)
        self._series |= {
            s.name: layout.create_series(group, s.name, s.unit, s.label, s.levels) for s in series
        }
        self._at_saved = {}
        if at_saved:
            group = file.create_group(layout.AT_SAVED, track_order=True)
            self._at_saved = {
                s.name: layout.create_series(group, s.name, s.unit, s.label, s.levels, "/time")
                for s in at_saved
            }
        self._meta = file.create_group("meta", track_order=True)
        for name, value in {**meta, "status": "running"}.items():
            layout.put(self._meta, name, value)
        self._steps = layout.create_vtk(file, window, tuple(self._fields), grid.thickness)
        self._offsets = layout.dataset(self._steps, "Offsets")

    def append(
        self, t: float, fields: Mapping[str, np.ndarray], watched: Mapping[str, float] | None = None
    ) -> None:
        """Save one time t (d): every selected field on the whole grid, in physical units, and the observables
        at the saved times.

        Values of a density that are below zero within the tolerance are saved as 0, and counted: many
        programs draw a map from -1e-9 to 20 in the colours of a field that has two signs.
        """
        n = self._time.shape[0]
        with self._writing(
            sum(d.dtype.itemsize for d in self._fields.values()) * self._window.stored_cells + MARGIN
        ):
            found = {}
            for name, node in self._fields.items():
                cut = self._cut(fields[name], node.dtype)
                if self._clipped is not None and name in self._densities:
                    found[name] = _clip(cut)
                _extend(node, n, cut[None])
            if self._clipped is not None:
                for node, values in zip(
                    self._clipped, zip(*(found[name] for name in self._densities), strict=True), strict=True
                ):
                    _extend(node, n, np.array([values]))
            for name, node in self._at_saved.items():
                _extend(node, n, (watched or {})[name])
            _extend(self._offsets, n, n)
            self.file.flush()  # the fields are written before the time, as a flush has no order of its own
            _extend(self._time, n, t)
            self._steps.attrs.modify("NSteps", np.int64(n + 1))

    def set_clipped(self, counts: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
        """Set, for the saved times of some fields, the number of cells that were below zero, and the lowest
        value.

        This is for fields that come from another run.
        """
        if self._clipped is None:
            return
        with self._writing(MARGIN):
            for k, name in enumerate(self._densities):
                for node, values in zip(self._clipped, counts[name], strict=True):
                    node[:, k] = values

    def append_series(self, values: Mapping[str, np.ndarray]) -> None:
        """Save the observables of n accepted steps: "time" (d) and every series, each of shape (n,)."""
        n = self._series["time"].shape[0]
        with self._writing(8 * len(self._series) * len(values["time"]) + MARGIN):
            times = {name: self._series[name] for name in (layout.STEP_TIME, "time") if name in self._series}
            for name, node in self._series.items():
                if name not in times:
                    _extend(node, n, np.asarray(values[name], "f8"))
            self.file.flush()  # the times are written last, because readers trust their length
            for node in times.values():
                _extend(node, n, np.asarray(values["time"], "f8"))

    def set_section(self, section: Section) -> None:
        """Save the section itself, so that the run can continue without its image."""
        with self._writing(9 * section.grid.cells + MARGIN):
            layout.create_section(self.file, section, self._window)

    def set_reference(self, values: Mapping[str, float | np.ndarray]) -> None:
        """Save the healthy baseline: numbers, and arrays on the whole grid, in float64."""
        self._set("reference", {name: np.asarray(value, "f8") for name, value in values.items()}, {})

    def set_state(self, fields: Mapping[str, np.ndarray], attrs: Mapping[str, Any]) -> None:
        """Save the state from which another run continues: all fields on the whole grid.

        They are in the run's precision and physical units, unmasked. attrs: "time" (d) and other numbers or
        small arrays.
        """
        self._set("state", {name: np.asarray(value) for name, value in fields.items()}, attrs)

    def _set(self, name: str, arrays: Mapping[str, np.ndarray], attrs: Mapping[str, Any]) -> None:
        with self._writing(sum(a.nbytes for a in arrays.values()) + MARGIN):
            if name in self.file:  # a run that continued has the same arrays, so the file does not grow
                group = layout.group(self.file, name)
                for key, array in arrays.items():
                    layout.dataset(group, key)[...] = array
            else:
                group = self.file.create_group(name, track_order=True)
                layout.create_arrays(group, arrays, self._whole, self._window)
            for key, value in attrs.items():
                group.attrs[key] = np.asarray(value)

    def note(self, name: str, value: Any) -> None:
        """Set one entry of meta (a value that can be written as JSON), replacing an earlier value."""
        with self._writing(0):
            layout.put(self._meta, name, value)

    def finish(
        self,
        status: Literal["finished", "stopped", "failed"] = "finished",
        message: str = "",
        summary: Mapping[str, Any] | None = None,
        wall_time: float | None = None,
    ) -> None:
        """Save how the run ended, the contents of its summary (which can be written as JSON), and how long it
        took.

        wall_time: s (None: since its file was made).
        """
        wall_time = time.monotonic() - self._began if wall_time is None else wall_time
        ending = {
            "status": status,
            "message": message,
            "summary": dict(summary or {}),
            "wall_time": wall_time,
        }
        with self._writing(0):
            for name, value in ending.items():
                layout.put(self._meta, name, value)

    def close(self) -> None:
        """Close the file. A run in memory stays as long as an object holds `file`."""
        if self.path is not None and self.file:
            os.ftruncate(self._descriptor(), self.file.id.get_filesize())  # give back what was reserved
            self.file.close()

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cut(self, array: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """The saved cells of an array, NaN outside the field of view."""
        cut = np.asarray(array)[self._window.slices].astype(dtype)
        if self._outside is not None:
            cut[self._outside] = np.nan
        return cut

    @contextmanager
    def _writing(self, size: int) -> Iterator[None]:
        """Reserve space for `size` bytes, write, and flush."""
        if self.path is not None and os.fstat(self._descriptor()).st_nlink == 0:
            raise RunError(
                f"{self.path} was removed while the run was writing it, so what it would hold is lost."
            )
        try:
            self._reserve(size + MARGIN)
            yield
            self.file.flush()
        except (OSError, RuntimeError) as e:
            raise RunError(
                f"{self.path} cannot be written any further: {reason(e)}. What it held before is kept."
            ) from e

    def _reserve(self, size: int) -> None:
        """Reserve space on the disk before HDF5 needs it.

        If that fails nothing is lost, while a file whose flush fails can never be opened again.
        """
        if self.path is None:
            return
        if not hasattr(os, "posix_fallocate"):  # macOS
            if shutil.disk_usage(self.path.parent).free < size:
                raise OSError(errno.ENOSPC, "no space left")
            return
        try:
            os.posix_fallocate(self._descriptor(), self.file.id.get_filesize(), size)
        except OSError as e:
            if e.errno not in (
                errno.EOPNOTSUPP,
                errno.EINVAL,
            ):  # the file system cannot reserve space
                raise

    def _descriptor(self) -> int:
        return self.file.id.get_vfd_handle()


def selected_fields(fields: Sequence[Field], selection: Output | None) -> list[Field]:
    """The fields that a selection names, in the model's order.

    Raises InputError for a name the model does not have.
    """
    if selection is None or selection.fields is None:
        return list(fields)
    names = [f.name for f in fields]
    unknown = sorted(set(selection.fields) - set(names))
    if unknown:
        raise InputError(f"output.fields names {', '.join(unknown)}; this model has {', '.join(names)}.")
    return [f for f in fields if f.name in selection.fields]


def estimate_size(
    grid: Grid, fields: Sequence[Field], n_times: int, dtype: str = "float32", selection: Output | None = None
) -> int:
    """The number of bytes of the saved times of a run before compression (which saves a quarter to a third
    for smooth fields).
    """
    cells = int(np.prod(Window.of(grid, selection).shape))
    return len(selected_fields(fields, selection)) * n_times * cells * np.dtype(dtype).itemsize


def _clip(values: np.ndarray) -> tuple[int, float]:
    """Set values below zero to 0 in place. Return how many there were, and the lowest."""
    below = values < 0
    count = int(np.count_nonzero(below))
    lowest = float(values[below].min()) if count else 0.0
    values[below] = 0
    return count, lowest


def _extend(node: h5py.Dataset, n: int, values: Any) -> None:
    """Write values (one or more along the first axis) from index n on."""
    node.resize(n + (np.shape(values)[0] if np.ndim(values) else 1), 0)
    node[n:] = values


def _create(path: Path | None, overwrite: bool) -> h5py.File:
    """A new file beside its final name, so that no reader finds half a layout, or one in memory."""
    kind: dict[str, Any] = {"libver": layout.LIBVER, "track_order": True}
    if path is None:
        return h5py.File(
            uuid.uuid4().hex, "w", driver="core", backing_store=False, block_size=MEMORY_BLOCK, **kind
        )
    if path.exists() and not overwrite:
        raise InputError(
            f"{path} exists already. Choose another folder with --out, or overwrite it with --force."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return locks.hdf5(_fresh(path), "w", **kind)
    except OSError as e:
        raise InputError(f"{path} cannot be written: {reason(e)}. Choose another folder with --out.") from e


def check_folder(path: Path) -> None:
    """Make the folder for a run file, and check that it can be written.

    Raises InputError when it cannot be made, or nothing can be written there.
    """
    if path.is_dir():
        raise InputError(
            f"{path} is a folder, and the run's file is to be there. Choose another folder with --out."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as e:
        raise InputError(f"{path} cannot be written: {reason(e)}. Choose another folder with --out.") from e


def _fresh(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def reason(error: Exception) -> str:
    """The reason of an error, without HDF5's own details."""
    number = getattr(error, "errno", None)
    way = " (set HDF5_USE_FILE_LOCKING=FALSE in the environment)" if number in locks.NONE_THERE else ""
    return os.strerror(number) + way if number else str(error)
