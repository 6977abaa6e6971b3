"""The layout of a run file: names, types and creation rules, in one place.

The root is netCDF-4/CF (dimension scales, units, fill values), so that h5py, xarray and netCDF4 open it, and
`/VTKHDF` holds only links to it, so that ParaView opens it too:

    time, (z), y, x              scales: d, um
    <field> (time, (z), y, x)    physical units, NaN outside the field of view
    active, <static> ((z), y, x)
    series/                      the observables at every accepted step, on `series_time`
    at_saved/                    the observables at the saved times only, on `time`; if there are any
    reference/  state/           the baseline; the last state, on the whole grid, from which a run can
                                 continue
    section/                     bone and field of view on the whole grid, if they were made from an image
    clipped/                     number of cells of each field that were below zero, within the tolerance, at
                                 each saved time, and are saved as 0
    meta/                        configuration, parameters, versions, status ...
    VTKHDF/                      links for ParaView

In a tree that xarray opens, a group inherits the dimensions of the root, so no group may have a dimension of
the same name and another length.

A saved time is written fields -> offsets -> flush -> time -> NSteps -> flush, so a file cut off anywhere
holds all of the times it names; readers trust `time.shape[0]`. With a single flush for all, a killed process
left a time without its fields in 7 of 1,000 files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from ..errors import InputError
from ..geometry.grid import Grid
from ..geometry.section import Section
from ..utils.safe_files import Damaged, array, attribute, attributes
from .udunits import READABLE, udunits

if TYPE_CHECKING:
    from ..problem.output import Output

RUN_SCHEMA = 2
"""The version of the layout, raised when a reader of the older layout would misread the newer one.

In layout 1 the series had a dimension `time`, units were in readable form only, and nothing was clipped.
"""
SCHEMA_KEY = "rdsolver_schema"
LIBVER = ("v108", "v110")
"""Bounds of the HDF5 format: it is readable everywhere, and every flushed step survives a killed process
(with newer superblocks it does not).
"""

TIME_UNIT = "d"  # xarray keeps "d" as float64; "days" it would turn into timedelta64
LENGTH_UNIT = "um"
FIELD_CHUNK = 64
SERIES_CHUNK = 512
WHOLE_GRID = "grid_"
"""The prefix of the name of an axis of the whole grid, where only part of its cells is saved."""
LONG_TEXT = 1024  # bytes; longer text is a dataset, as an attribute ends at 64 KiB
STEP_TIME = "series_time"
AT_SAVED = "at_saved"
HIDDEN = "This is a netCDF dimension but not a netCDF variable."
"""The name of a scale that readers of netCDF take for a dimension without values."""
PLACES = ("time", "z", "y", "x", "active")
"""The datasets of the root that are not fields."""


# Text and values
# -----------------------------------------------------------------------------------------------------------


def text(value: str) -> np.ndarray:
    """A string of fixed length in UTF-8 (variable-length text breaks some readers); never empty, as HDF5 has
    no length 0.
    """
    data = value.encode()
    return np.array(data, h5py.string_dtype("utf-8", max(len(data), 1)))


def as_text(value: Any) -> str:
    """The text of an attribute, which h5py returns as bytes or str."""
    return value.decode() if isinstance(value, bytes) else str(value)


def set_text(node: h5py.Dataset | h5py.Group, **attributes: str) -> None:
    for name, value in attributes.items():
        node.attrs[name] = text(value)


def described(unit: str, label: str) -> dict[str, str]:
    """The attributes of a dataset: the unit for UDUNITS, the unit for people, and the meaning."""
    return {"units": udunits(unit or "1"), READABLE: unit or "1", "long_name": label}


def describe(node: h5py.Dataset, unit: str, label: str, **more: str) -> None:
    set_text(node, **described(unit, label), **more)


def units(node: h5py.Dataset) -> str:
    """The unit of a dataset, in readable form."""
    return as_text(attribute(node, READABLE if READABLE in node.attrs else "units"))


def put(group: h5py.Group, name: str, value: Any) -> None:
    """Store a value under its name.

    Numbers and short text become attributes, everything else a text dataset, JSON unless it is text.
    """
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
        group.attrs[name] = value
    elif isinstance(value, str) and len(value.encode()) <= LONG_TEXT:
        group.attrs[name] = text(value)
    else:
        is_text = isinstance(value, str)
        content = (
            value
            if is_text
            else json.dumps(value, default=lambda o: o.tolist() if hasattr(o, "tolist") else str(o))
        )
        if name in group:
            del group[name]
        node = group.create_dataset(name, data=text(content), track_order=True)
        set_text(node, media_type="text/plain" if is_text else "application/json")


def take(group: h5py.Group) -> dict[str, Any]:
    """Read everything that `put` stored in a group."""
    found = {
        name: as_text(v) if isinstance(v, (bytes, str)) else v.tolist()
        for name, v in attributes(group).items()
    }
    for name in map(str, group):
        node = dataset(group, name)
        content = as_text(array(node))
        found[name] = (
            json.loads(content) if as_text(attribute(node, "media_type")) == "application/json" else content
        )
    return found


def dataset(group: Any, name: str, ndim: int | None = None) -> h5py.Dataset:
    """A dataset of a group. Raises InputError if there is none, or if it has another number of dimensions."""
    node = group.get(name)
    if not isinstance(node, h5py.Dataset) or ndim not in (None, node.ndim):
        what = "a dataset" if ndim is None else f"a dataset of {ndim} dimensions"
        raise Damaged(f"{group.file.filename} is damaged: {group.name.rstrip('/')}/{name} should be {what}.")
    return node


def group(parent: Any, name: str) -> h5py.Group:
    node = parent.get(name)
    if not isinstance(node, h5py.Group):
        raise Damaged(f"{parent.file.filename} is damaged: it has no group {name}.")
    return node


# The saved part of the grid
# ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Window:
    """The saved cells of a grid: axes, index slices, cells, spacing (um) and centres (um), one for each
    axis.
    """

    axes: tuple[str, ...]
    slices: tuple[slice, ...]
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    centres: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, grid: Grid, selection: Output | None = None) -> Window:
        """The window of every stride-th cell inside the crop; by default the whole grid.

        Raises InputError when it is not on the grid.
        """
        stride = 1 if selection is None else selection.stride
        crop = (
            tuple((0, n) for n in grid.shape)
            if selection is None or selection.crop is None
            else selection.crop
        )
        if stride < 1:
            raise InputError(f"output.stride is {stride}; it must be 1 or more.")
        if len(crop) != grid.ndim or not all(
            0 <= a < b <= n for (a, b), n in zip(crop, grid.shape, strict=True)
        ):
            raise InputError(
                f"output.crop is {crop}; the grid has {grid.shape} cells, so give {grid.ndim} ranges (start,"
                " stop) within it."
            )
        slices = tuple(slice(a, b, stride) for a, b in crop)
        centres = tuple(grid.centres(axis)[s] for axis, s in enumerate(slices))
        return cls(
            grid.axes, slices, tuple(map(len, centres)), tuple(h * stride for h in grid.spacing), centres
        )

    @property
    def chunks(self) -> tuple[int, ...]:
        """Chunk sizes that divide the cells evenly, since a partly filled last chunk costs time and space."""
        return tuple(ceil(n / ceil(n / FIELD_CHUNK)) for n in self.shape)

    @property
    def stored_cells(self) -> int:
        """The number of cells in whole chunks."""
        return prod(ceil(n / c) * c for n, c in zip(self.shape, self.chunks, strict=True))


# Datasets
# ----------------------------------------------------------------------------------------------------------


def _growing(group: h5py.Group, name: str) -> h5py.Dataset:
    return group.create_dataset(
        name, (0,), "f8", maxshape=(None,), chunks=(SERIES_CHUNK,), fillvalue=np.nan, track_order=True
    )


def create_time(group: h5py.Group, name: str = "time") -> h5py.Dataset:
    """An unlimited time axis, d."""
    time = _growing(group, name)
    time.make_scale(name)
    describe(time, TIME_UNIT, "time", axis="T")
    return time


def create_step_times(series: h5py.Group) -> dict[str, h5py.Dataset]:
    """The times of the accepted steps, d: `series_time`, which is the dimension of all series, and `time`.

    The second is for users who read series/time with h5py. Readers of netCDF do not see it, since DataTree
    would take it for the saved times.
    """
    time = _growing(series, "time")
    time.make_scale(HIDDEN)
    describe(time, TIME_UNIT, "time")
    return {"time": time, STEP_TIME: create_time(series, STEP_TIME)}


def create_space(group: h5py.Group, window: Window, names: Sequence[str]) -> None:
    """Create the coordinates of the cell centres along each axis, um, under these names."""
    for name, axis, centres in zip(names, window.axes, window.centres, strict=True):
        scale = group.create_dataset(name, data=np.asarray(centres, "f8"), track_order=True)
        scale.make_scale(name)
        describe(scale, LENGTH_UNIT, f"{axis} of the cell centres", axis=axis.upper())


def attach(node: h5py.Dataset, *scales: str) -> h5py.Dataset:
    """Name the dimensions of a dataset by the scales beside it."""
    for dimension, name in zip(node.dims, scales, strict=True):
        dimension.attach_scale(dataset(node.parent, name))
    return node


def create_field(
    file: h5py.Group, name: str, window: Window, dtype: np.dtype, unit: str, label: str, scales: Sequence[str]
) -> h5py.Dataset:
    """A field on the cells of a window.

    Its dimensions are named by scales, with or without "time" before those of space. It is compressed in
    chunks of one time and at most 64 cells along each axis.
    """
    lead = len(scales) - len(window.shape)
    node = file.create_dataset(
        name,
        (0,) * lead + window.shape,
        dtype,
        maxshape=(None,) * lead + window.shape,
        chunks=(1,) * lead + window.chunks,
        fillvalue=np.nan if dtype.kind == "f" else None,
        compression="gzip",
        compression_opts=1,
        shuffle=True,
        track_order=True,
    )
    describe(node, unit, label or name)
    if dtype.kind == "f":
        node.attrs["_FillValue"] = np.full(1, np.nan, dtype)
    return attach(node, *scales)


def create_active(file: h5py.File, window: Window, active: np.ndarray) -> None:
    """Create the field of view as labels, uint8 ((z), y, x)."""
    node = create_field(file, "active", window, np.dtype("u1"), "1", "field of view", window.axes)
    node[...] = active[window.slices]
    node.attrs["flag_values"] = np.array([0, 1], "u1")
    set_text(node, flag_meanings="outside inside")


def create_series(
    group: h5py.Group,
    name: str,
    unit: str,
    label: str,
    levels: tuple[tuple[str, float], ...] = (),
    time: str = STEP_TIME,
) -> h5py.Dataset:
    """Create one observable, on the times of the accepted steps or, with "/time", on the saved times.

    It is not compressed, because its last chunk is written again with every flush. Levels with a name become
    the attributes `levels` and `level_names` (separated by spaces).
    """
    node = _growing(group, name)
    describe(node, unit, label or name)
    node.attrs["_FillValue"] = np.full(1, np.nan)
    if levels:
        node.attrs["levels"] = np.array([value for _, value in levels])
        set_text(node, level_names=" ".join(name for name, _ in levels))
    return attach(node, time)


def whole_axes(whole: Window, window: Window) -> tuple[str, ...]:
    """The names of the axes of the whole grid in a group: those of the root if they are the same."""
    return whole.axes if whole.slices == window.slices else tuple(WHOLE_GRID + axis for axis in whole.axes)


def create_arrays(group: h5py.Group, arrays: Mapping[str, np.ndarray], whole: Window, window: Window) -> None:
    """Create arrays on the whole grid and plain numbers, contiguous, in their own precision."""
    names = whole_axes(whole, window)
    create_space(group, whole, names)
    for name, values in arrays.items():
        node = group.create_dataset(name, data=values, track_order=True)
        if node.shape == whole.shape:
            attach(node, *names)


def create_clipped(file: h5py.File, fields: Sequence[str]) -> tuple[h5py.Dataset, h5py.Dataset]:
    """Create `/clipped`, (time, field): the number of saved cells that were below zero, and their lowest
    value.

    The value is in the field's unit. `field` counts the fields that cannot be negative; its attribute
    `flag_meanings` names them.
    """
    group = file.create_group("clipped", track_order=True)
    field = group.create_dataset("field", data=np.arange(len(fields), dtype="i4"), track_order=True)
    field.make_scale("field")
    field.attrs["flag_values"] = field[:]
    set_text(field, long_name="field", flag_meanings=" ".join(fields))
    shape = {
        "shape": (0, len(fields)),
        "maxshape": (None, len(fields)),
        "chunks": (FIELD_CHUNK, max(len(fields), 1)),
    }
    cells = group.create_dataset("cells", dtype="i8", **shape, track_order=True)
    lowest = group.create_dataset("lowest", dtype="f8", **shape, track_order=True)
    set_text(cells, units="1", long_name="saved cells below zero, which are saved as 0")
    set_text(lowest, long_name="lowest value before, in the unit of the field")
    for node in (cells, lowest):
        node.dims[0].attach_scale(dataset(file, "time"))
        node.dims[1].attach_scale(field)
    return cells, lowest


def clipped_fields(group: h5py.Group) -> tuple[str, ...]:
    """The fields to which the columns of `/clipped` belong."""
    return tuple(as_text(attribute(dataset(group, "field", 1), "flag_meanings")).split())


def create_section(file: h5py.File, section: Section, window: Window) -> None:
    """Create bone (float64) and field of view on the whole grid, with that grid."""
    group, whole, grid = file.create_group("section", track_order=True), Window.of(section.grid), section.grid
    names = whole_axes(whole, window)
    create_space(group, whole, names)
    create_field(group, "bone", whole, np.dtype("f8"), "1", "bone fraction", names)[...] = section.bone
    create_field(group, "active", whole, np.dtype("u1"), "1", "field of view", names)[...] = section.active
    group.attrs["spacing"], group.attrs["origin"] = np.array(grid.spacing), np.array(grid.origin)
    if grid.thickness is not None:
        group.attrs["thickness"] = grid.thickness
    set_text(group, borders=" ".join(grid.borders))


def read_section(file: h5py.File, record: Mapping[str, Any]) -> Section:
    """Read what `create_section` stored. record: how the section was made."""
    kept = group(file, "section")
    bone, active = (array(dataset(kept, name)) for name in ("bone", "active"))
    spacing, origin = (tuple(map(float, attribute(kept, name))) for name in ("spacing", "origin"))
    borders: Any = tuple(as_text(attribute(kept, "borders")).split())
    thickness = float(attribute(kept, "thickness")) if "thickness" in kept.attrs else None
    return Section(Grid(bone.shape, spacing, origin, borders, thickness), bone, active == 1, dict(record))


def create_vtk(
    file: h5py.File, window: Window, fields: tuple[str, ...], thickness: float | None
) -> h5py.Group:
    """Create `/VTKHDF`: an image of points at the cell centres, in which every array is a link. Return its
    Steps group.

    All fields share one list of offsets (0, 1, 2 ...), `Steps/Offsets`. A window one cell thick is an image
    of cells instead: VTK would read one of points as an image of fewer dimensions, which the datasets do not
    have.
    """
    vtk = file.create_group("VTKHDF", track_order=True)
    flat, thin = 3 - len(window.shape), min(window.shape) == 1
    kind, ends = ("CellData", 0.5) if thin else ("PointData", 0.0)
    extent = [edge for n in reversed(window.shape) for edge in (0, n if thin else n - 1)]
    vtk.attrs["Version"] = np.array([2, 0], "i8")
    vtk.attrs["Type"] = np.array(b"ImageData", h5py.string_dtype("ascii", len("ImageData")))
    vtk.attrs["WholeExtent"] = np.array(extent + [0, 0] * flat, "i8")
    begin = [c[0] - ends * h for c, h in zip(window.centres, window.spacing, strict=True)]
    vtk.attrs["Origin"] = np.array([*reversed(begin), *[0.0] * flat])
    vtk.attrs["Spacing"] = np.array([*reversed(window.spacing), *[thickness or 1.0] * flat])
    vtk.attrs["Direction"] = np.eye(3).ravel()
    arrays = vtk.create_group(kind, track_order=True)
    steps = vtk.create_group("Steps", track_order=True)
    steps.attrs["NSteps"] = np.int64(0)
    steps["Values"] = h5py.SoftLink("/time")
    shared = steps.create_dataset(
        "Offsets", (0,), "i8", maxshape=(None,), chunks=(SERIES_CHUNK,), track_order=True
    )
    shared.dims[0].attach_scale(dataset(file, "time"))
    offsets = steps.create_group(f"{kind}Offsets", track_order=True)
    for name in fields:
        arrays[name] = h5py.SoftLink(f"/{name}")
        offsets[name] = h5py.SoftLink(f"{steps.name}/Offsets")
    return steps
