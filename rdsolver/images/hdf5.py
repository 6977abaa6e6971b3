"""HDF5 images: axes, voxels and grey values from dimension scales, labels, attributes and ilastik's tags."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import InputError
from ..utils.safe_files import array, attribute, check_array, check_heaps, open_hdf5, texts
from .voxels import MICROMETRES, Asked, Image, Scale, check_size, meaning, straight

AXES = ("_ARRAY_DIMENSIONS", "dimension_names", "dims", "axes", "axis_order", "dimension_order", "dim_order")
"""The attributes in which programs name the axes, as a list or as a word of letters, the slowest first."""
EVEN = 0.01
"""The largest relative deviation of steps between coordinates that count as even."""


def read_hdf5(path: Path, asked: Asked) -> Image:
    """Read an HDF5 image.

    The voxel edges are read from `element_size_um`, where ImageJ and ilastik keep them, or are the steps of
    coordinates in a unit.
    """
    where, name = asked.where, asked.dataset
    with open_hdf5(path) as file:
        found: list[str] = []
        file.visititems(
            lambda n, item: (
                found.append(n) if isinstance(item, h5py.Dataset) and len(item.shape or ()) > 1 else None
            )
        )
        name = found[0] if name is None and len(found) == 1 else name
        data = None if name is None else file.get(name)
        if not isinstance(data, h5py.Dataset):
            told = "no dataset is named" if name is None else f"there is no dataset {name!r}"
            raise InputError(
                f"{where}: {told}. The file holds {', '.join(found) or 'no image'}: "
                f'name one, for example dataset = "{(found or ["data"])[0]}".'
            )
        shape = tuple(data.shape or ())
        scales = _scales(data)
        axes = [meaning(word) for word in _words(data, scales)]
        place = asked.place(axes, shape)
        whole = all(isinstance(cut, slice) for cut in place.index)
        check_size(
            [n for n, cut in zip(shape, place.index, strict=True) if isinstance(cut, slice)],
            data.dtype.itemsize,
            where,
        )
        check_array(data, whole)
        part = np.asarray(data[place.index])
        _check_missing(data, part, where)
        return place.image(part, _edges(data, scales), _scale(data, where))


def _words(data: h5py.Dataset, scales: Sequence[h5py.Dataset | None]) -> list[str]:
    """The names of the axes, from the first source that has them: axis tags, scales and labels, an
    attribute.
    """
    count = data.ndim
    tags: Any = None
    with suppress(ValueError, RecursionError, TypeError, KeyError, IndexError, AttributeError):
        tags = [str(tag["key"]) for tag in json.loads(texts(data, "axistags")[0])["axes"]]
    if tags and len(tags) == count:
        return tags
    labels = texts(data, "DIMENSION_LABELS")
    words = [_scale_word(scale) for scale in scales]
    if len(labels) == count:
        words = [label if meaning(label) else word for label, word in zip(labels, words, strict=True)]
    if any(map(meaning, words)):
        return words
    for node in (data, data.parent):
        for name in AXES:
            said = texts(node, name)
            if len(said) == 1:
                said = _listed(said[0], count)
            if len(said) == count:
                return said
    return [""] * count


def _listed(text: str, count: int) -> list[str]:
    """The list of axes in a text: "tzyx", "t,z,y,x", ["t", "z", "y", "x"], or a list of tables as in
    OME-Zarr, [{"name": "t", "type": "time"}, ...].
    """
    with suppress(ValueError, RecursionError):
        listed = json.loads(text)
        if isinstance(listed, list):
            return [_tabled(each) if isinstance(each, dict) else str(each) for each in listed]
    parts = text.replace(",", " ").split()
    return list(text) if len(parts) == 1 and len(text) == count else parts


def _tabled(axis: dict[str, Any]) -> str:
    kind = str(axis.get("type", ""))
    return str(axis.get("name", "")) if kind in ("", "space") else kind


def _scales(data: h5py.Dataset) -> list[h5py.Dataset | None]:
    """The dimension scale of each axis."""
    none: list[h5py.Dataset | None] = [None] * data.ndim
    if "DIMENSION_LIST" not in data.attrs:
        return none
    kept = data.attrs.get_id("DIMENSION_LIST")
    inner = h5py.check_vlen_dtype(kept.dtype)
    if kept.shape != (data.ndim,) or inner is None or h5py.check_ref_dtype(inner) is not h5py.Reference:
        return none
    check_heaps(data)
    listed: Any = data.attrs["DIMENSION_LIST"]
    nodes = [data.file[refs[0]] if len(refs) and refs[0] else None for refs in listed]
    return [node if isinstance(node, h5py.Dataset) else None for node in nodes]


def _scale_word(scale: h5py.Dataset | None) -> str:
    """The axis that a scale names (CF: X, Y, Z or T), or its name."""
    if scale is None:
        return ""
    said = "".join(texts(scale, "axis"))
    return said if meaning(said) else str(scale.name or "").rpartition("/")[2]


def _edges(data: h5py.Dataset, scales: Sequence[h5py.Dataset | None]) -> list[float | None]:
    stated = np.ravel(attribute(data, "element_size_um")) if "element_size_um" in data.attrs else np.zeros(0)
    if len(stated) == data.ndim and stated.dtype.kind in "iuf":
        return [float(e) for e in stated]
    return [_step(scale, n) for scale, n in zip(scales, data.shape, strict=True)]


def _step(scale: h5py.Dataset | None, count: int) -> float | None:
    """The distance between the coordinates of an axis, um; None without a unit of length, or if uneven."""
    unit = MICROMETRES.get("".join(texts(scale, "units"))) if scale is not None else None
    if scale is None or unit is None or scale.shape != (count,) or count < 2 or scale.dtype.kind not in "iuf":
        return None
    steps = np.diff(array(scale).astype(float)) * unit
    step = float(abs(steps.mean()))
    even = np.isfinite(steps).all() and step > 0 and abs(abs(steps) - step).max() <= EVEN * step
    return step if even else None


def _scale(data: h5py.Dataset, where: str) -> Scale | None:
    """The calibration of grey values, by the conventions of netCDF and CF."""
    names = [name for name in ("add_offset", "scale_factor") if name in data.attrs]
    if not names:
        return None
    # netCDF stores one number as an array of length one
    kept = {name: np.ravel(attribute(data, name)) for name in names}
    said = {"add_offset": 0.0, "scale_factor": 1.0} | {
        name: x[0] if len(x) == 1 else x for name, x in kept.items()
    }
    unit = "".join(texts(data, "units"))
    return straight(said["add_offset"], said["scale_factor"], where, "" if unit == "1" else unit)


def _check_missing(data: h5py.Dataset, part: np.ndarray, where: str) -> None:
    for name in ("_FillValue", "missing_value"):
        mark = np.ravel(attribute(data, name) if name in data.attrs and part.dtype.kind in "iu" else [])
        missing = np.count_nonzero(np.isin(part, mark)) if mark.dtype.kind in "iuf" else 0
        if missing:
            raise InputError(
                f"{where}: {missing} of {part.size} voxels are missing (they hold {name}, {mark.tolist()}). "
                "Replace them, for example by 0, and leave them out with a field of view."
            )
