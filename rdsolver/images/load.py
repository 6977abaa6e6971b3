"""A section from a scan: read, crop, denoise, field of view, threshold, resample - in this order.

The bone fraction of a cell is the volume average of the thresholded voxels that it covers. Each voxel is
weighted by its part that lies in the cell and in the field of view, so that bone volume is conserved at any
ratio of spacing to voxel size.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from operator import index
from typing import Any

import numpy as np
import scipy.ndimage

from ..errors import InputError
from ..geometry.grid import Grid
from ..geometry.section import Section
from ..utils.home import at_home
from ..utils.safe_files import check_fits
from .readers import read_image, sha256
from .resampling import average, cells_within
from .voxels import MAX_VOXELS, Asked, Image

VOXEL_RANGE = (0.05, 1000.0)  # um
VOXEL_TOLERANCE = 0.01  # relative difference between the voxel size given and the one in the file
# share of the radius by which a detected circle is reduced: a scan is dim at its rim, and voxels there are
# half outside
RIM = 0.04
WORKING = 24  # most bytes per voxel besides the image itself: a mask, its bone, a smoothed copy
BINS = 1024  # for Otsu's threshold of grey values that are not integers

Lengths = float | Sequence[float]
Crop = Sequence[Sequence[int]]
FieldOfView = str | os.PathLike[str] | Mapping[str, Any] | np.ndarray
RULES = ("otsu", "binary", "fraction")


def section_from_image(
    path: str | os.PathLike[str],
    *,
    threshold: str | float,
    voxel: Lengths | None = None,
    dataset: str | None = None,
    channel: int | str | None = None,
    frame: int | str | None = None,
    crop: Crop | None = None,
    denoise: str | float | None = None,
    field_of_view: FieldOfView | None = None,
    spacing: Lengths | None = None,
    thickness: float | None = None,
    key: str = "section",
) -> Section:
    """A section from an image file or a folder of slices (readers.py lists the kinds).

    voxel    edge of a voxel, um, one number or one per axis; needed when the file does not state it, and
             compared with the file's when it does
    dataset  name of the dataset in an HDF5 file
    channel  channel to read of a file that holds several: counted from 0, or by its name where the file has
             names; "slices": the channels of the file are the slices of a block
    frame    time to read of a file that holds several, counted from 0; "slices" as above
    key      name of the section in the config, for the messages

    The other arguments are those of `section_from_array`. Raises InputError when the file or an argument is
    wrong.
    """
    path = at_home(path)
    image = read_image(path, Asked(f'{key}.image = "{path}"', key, dataset, channel, frame))
    edges = _voxel(voxel, image.voxel, image.values.ndim, path.name, key)
    chosen = {"dataset": dataset, "channel": channel, "frame": frame}
    source = {"kind": "image", "file": path.name, "sha256": sha256(path)} | {
        k: v for k, v in chosen.items() if v is not None
    }
    return _section(image, edges, threshold, crop, denoise, field_of_view, spacing, thickness, source, key)


def section_from_array(
    array: np.ndarray,
    *,
    voxel: Lengths,
    threshold: str | float,
    crop: Crop | None = None,
    denoise: str | float | None = None,
    field_of_view: FieldOfView | None = None,
    spacing: Lengths | None = None,
    thickness: float | None = None,
    source: Mapping[str, Any] | None = None,
    key: str = "section",
) -> Section:
    """A section from grey values, (z, y, x) or (y, x).

    voxel          edge of a voxel, um, one number or one per axis, 0.05 to 1000
    threshold      "otsu" (of the grey values in the field of view) | a grey value: bone is brighter |
                   "binary": two values, the larger is bone | "fraction": bone fractions, 0 to 1, or integers,
                   0 to the largest number of their type
    crop           one (start, stop) per axis, in voxels of the whole image
    denoise        None | "median" (3 voxels wide) | sigma of a Gaussian, um. No value from outside the field
                   of view is used
    field_of_view  None | "circle" in the (y, x) plane, about its centre: it reaches the outermost voxel that
                   differs from the padding in the corners, at most the border, less 4 % | {"radius": um,
                   "centre": (y, x) um}, either may be left out | a mask, an array or file of the shape of the
                   whole image, inside where not 0
    spacing        spacing of the grid, um, one number or one per axis (default: the voxels). A last cell that
                   would reach beyond the image is dropped; a cell is active when more than half of it lies in
                   the field of view
    thickness      thickness of a 2D image, um
    source         origin of the array, for the record

    Coordinates are those of the whole image: a crop moves the origin of the grid. The record's
    bone_volume_fraction is that of the voxels, before they are resampled. Raises InputError when an argument
    is wrong.
    """
    image = Image(np.asarray(array), ())
    return _section(
        image, voxel, threshold, crop, denoise, field_of_view, spacing, thickness, dict(source or {}), key
    )


def _section(
    image: Image,
    voxel: Lengths,
    threshold: str | float,
    crop: Crop | None,
    denoise: str | float | None,
    field_of_view: FieldOfView | None,
    spacing: Lengths | None,
    thickness: float | None,
    source: dict[str, Any],
    key: str,
) -> Section:
    name = f' = "{source["file"]}"' if source and "file" in source else ""
    largest = _largest(image)
    array = _grey(image.values, f"{key}.image{name}", key)
    edges = _lengths(voxel, array.ndim, f"{key}.voxel", VOXEL_RANGE)
    _check_thickness(thickness, array.ndim, key)
    part = _crop(crop, array.shape, key)
    # an image of one value shows no circle
    if isinstance(field_of_view, str) and field_of_view == "circle" and array.min() == array.max():
        raise InputError(
            f"{key}.image{name} has one grey value everywhere, {array.flat[0]:g}: nothing tells bone from"
            " marrow. Give an image that shows both."
        )
    inside, view = _field_of_view(field_of_view, array, edges, key)
    inside, grey = inside[part], array[part]
    check_fits(WORKING * grey.size, f"{key}.image{name}")
    if not inside.any():
        raise InputError(
            f"{key}.field_of_view and {key}.crop leave nothing of the image. Make one of them larger."
        )
    if isinstance(threshold, str) and threshold == "fraction" and largest:
        grey = grey / largest
    grey = _denoise(denoise, grey, inside, edges, key)
    bone, rule = _bone(threshold, grey, inside, key)

    target = edges if spacing is None else _lengths(spacing, array.ndim, f"{key}.spacing")
    cells, active, dropped = _cells(bone, inside, edges, target, key)
    origin = tuple(p.start * e for p, e in zip(part, edges, strict=True))
    record = (source or {"kind": "array", "sha256": hashlib.sha256(array.tobytes()).hexdigest()}) | {
        "shape": list(array.shape),
        "voxel": list(edges),
        "crop": None if crop is None else [[p.start, p.stop] for p in part],
        "denoise": denoise if denoise is None or isinstance(denoise, str) else float(denoise),
        "field_of_view": view,
        "grey_values": image.scale.record if image.scale else {"scale": "as stored"},
        "threshold": rule,
        "bone_volume_fraction": float(bone[inside].mean()),
        "spacing": list(target),
        "dropped": dropped,
    }
    return Section(Grid(cells.shape, target, origin, thickness=thickness), cells, active, record)


def _largest(image: Image) -> int:
    """The value that stands for a bone fraction of 1; 0 if the values are fractions themselves, or
    calibrated.
    """
    kind = image.values.dtype
    if kind.kind not in "biu" or image.scale:
        return 0
    return 1 if kind.kind == "b" else 2**image.bits - 1 if image.bits else np.iinfo(kind).max


def _grey(array: np.ndarray, where: str, key: str) -> np.ndarray:
    """The array as grey values, checked to be an image; True and False become 1 and 0."""
    array = np.asarray(array)
    size = " x ".join(map(str, array.shape))
    if array.ndim not in (2, 3):
        raise InputError(
            f"{where}: it has {array.ndim} axes (shape {size}), and a section has 2 or 3. "
            "Save one time and one channel of it as a separate image."
        )
    if array.size == 0:
        raise InputError(
            f"{where}: the image is empty (shape {size}). Give an image with at least one voxel."
        )
    if array.ndim == 3 and array.shape[-1] in (3, 4) and min(array.shape[:2]) >= 16:
        raise InputError(
            f"{where}: it has shape {size}, which is a colour image, with its channels last. "
            "Convert it to grey, or save the channel that shows bone as a separate image, and give that."
        )
    if array.dtype == bool:
        return array.astype(np.uint8)
    if not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)):
        raise InputError(
            f"{where}: it holds values of type {array.dtype}. Give real numbers: integers or floats."
        )
    bad = array.size - np.count_nonzero(np.isfinite(array))
    if bad:
        raise InputError(
            f"{where}: {bad} of {array.size} voxels are NaN or infinite. "
            f"Replace them, for example by 0, and leave them out with {key}.field_of_view."
        )
    return array


def _number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value)


def _lengths(
    value: Any, ndim: int, key: str, allowed: tuple[float, float] = (0.0, math.inf)
) -> tuple[float, ...]:
    """One positive length per axis, um."""
    lengths = (
        [value] * ndim
        if _number(value)
        else list(value)
        if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
        else []
    )
    axes = ("z", "y", "x")[3 - ndim :]
    if len(lengths) != ndim or not all(map(_number, lengths)):
        raise InputError(
            f"{key} is {value!r}. Give one length in um, or one for each of the {ndim} axes"
            f" ({', '.join(axes)})."
        )
    low, high = allowed
    if not all(low <= h <= high and h > 0 for h in lengths):
        limits = f"from {low:g} to {high:g} um" if math.isfinite(high) else "a length above 0"
        raise InputError(
            f"{key} is {_um(lengths)}, which is impossible: it must be {limits}. Check the unit."
        )
    return tuple(float(h) for h in lengths)


def _um(lengths: Sequence[float | None]) -> str:
    return (
        " x ".join(
            "?" if h is None else f"{h:.6g}" for h in (lengths if len(set(lengths)) > 1 else lengths[:1])
        )
        + " um"
    )


def _voxel(
    given: Any, carried: tuple[float | None, ...], ndim: int, name: str, key: str
) -> tuple[float, ...]:
    """The voxel size from the config and the file, which must agree if both give one."""
    if given is None:
        edges = [e for e in carried if e is not None]
        if len(edges) < ndim:
            says = f"only {_um(carried)}" if edges else "no voxel size"
            raise InputError(
                f"{key}.voxel is missing, and {name} carries {says}.\nGive the edge of one voxel, for example"
                ' voxel = "19.5 um".'
            )
        low, high = VOXEL_RANGE
        if not all(low <= e <= high for e in edges):
            raise InputError(
                f"{key}.voxel is missing, and {name} carries {_um(edges)}, which is impossible: a voxel has"
                f" {low:g} to {high:g} um. The unit in the file is probably wrong: save it with the right"
                " one."
            )
        return tuple(edges)
    edges = _lengths(given, ndim, f"{key}.voxel", VOXEL_RANGE)
    if any(c is not None and abs(c - e) > VOXEL_TOLERANCE * e for c, e in zip(carried, edges, strict=False)):
        raise InputError(
            f"{key}.voxel is {_um(edges)}, but {name} carries {_um(carried)}. Leave {key}.voxel out to"
            " believe the file, or save the image with the right size, or without one."
        )
    return edges


def _check_thickness(thickness: float | None, ndim: int, key: str) -> None:
    if ndim == 2 and thickness is None:
        raise InputError(
            f"{key}.thickness is missing, and the image is 2D. Give the thickness of the section, for example"
            ' thickness = "10 um".'
        )
    if ndim == 3 and thickness is not None:
        raise InputError(
            f"{key}.thickness is {thickness} um, but the image is 3D and has its own depth. Leave thickness"
            " out."
        )
    if thickness is not None and not (_number(thickness) and thickness > 0):
        raise InputError(f"{key}.thickness is {thickness!r}. It must be a length above 0.")


def _crop(crop: Crop | None, shape: tuple[int, ...], key: str) -> tuple[slice, ...]:
    if crop is None:
        return tuple(slice(0, n) for n in shape)
    try:
        ranges = [(index(start), index(stop)) for start, stop in crop]
        ok = len(ranges) == len(shape) and all(
            0 <= a < b <= n for (a, b), n in zip(ranges, shape, strict=True)
        )
    except (TypeError, ValueError):
        ranges, ok = [], False
    if not ok:
        raise InputError(
            f"{key}.crop is {crop}, and the image has {' x '.join(map(str, shape))} voxels. Give one [start,"
            f" stop] for each of its {len(shape)} axes, 0 <= start < stop <= voxels, for example"
            f" {[[0, n] for n in shape]}."
        )
    return tuple(slice(a, b) for a, b in ranges)


def _field_of_view(
    rule: FieldOfView | None, array: np.ndarray, edges: tuple[float, ...], key: str
) -> tuple[np.ndarray, Any]:
    """The field of view, bool (None: the whole image), and its entry in the record."""
    if rule is None:
        return np.broadcast_to(np.True_, array.shape), None
    if isinstance(rule, np.ndarray):
        mask, record = rule, {"mask": "array"}
    elif isinstance(rule, Mapping) or rule == "circle":
        plane, record = _circle(rule if isinstance(rule, Mapping) else {}, array, edges, key)
        return np.broadcast_to(plane, array.shape), record
    elif not isinstance(rule, str | os.PathLike):
        raise InputError(
            f'{key}.field_of_view is {rule!r}. Leave it out, or give "circle", or the name of a mask file.'
        )
    else:
        file = at_home(rule)
        image = read_image(file, Asked(f'{key}.field_of_view = "{file}"'))
        if image.scale and image.scale.moves_zero:
            raise InputError(
                f"{key}.field_of_view: the mask is calibrated, and a stored 0 is {image.scale.offset:g}, "
                "so it is not clear which voxels are outside. "
                "Save it without calibration (in ImageJ: Analyze > Calibrate, function None), with 0 outside."
            )
        mask = image.values
        record = {"mask": file.name, "sha256": sha256(file)}
    if mask.shape != array.shape:
        raise InputError(
            f"{key}.field_of_view: the mask has shape {' x '.join(map(str, mask.shape))}, the image"
            f" {' x '.join(map(str, array.shape))}. Give a mask of the shape of the whole image (before the"
            " crop), with 0 outside and any other value inside."
        )
    return mask != 0, record


def _circle(
    given: Mapping[str, Any], array: np.ndarray, edges: tuple[float, ...], key: str
) -> tuple[np.ndarray, dict[str, Any]]:
    """A circle in the (y, x) plane, bool, with its radius and centre in um."""
    if set(given) - {"radius", "centre"}:
        raise InputError(
            f"{key}.field_of_view is {dict(given)}. A circle has a radius (um) and a centre (y, x) (um);"
            " either may be left out."
        )
    size = np.array(array.shape[-2:]) * edges[-2:]
    centre = np.array(
        _lengths(given["centre"], 2, f"{key}.field_of_view.centre") if "centre" in given else size / 2
    )
    y, x = ((np.arange(n) + 0.5) * h for n, h in zip(array.shape[-2:], edges[-2:], strict=True))
    distance = np.hypot(*np.meshgrid(y - centre[0], x - centre[1], indexing="ij"))
    if "radius" in given:
        radius = _lengths(given["radius"], 1, f"{key}.field_of_view.radius")[0]
    else:
        scanned = (array != array[(0,) * array.ndim]).reshape(-1, *array.shape[-2:]).any(axis=0)
        radius = (1 - RIM) * min(*centre, *(size - centre), distance[scanned].max(initial=0.0))
    return distance <= radius, {"radius": float(radius), "centre": [float(c) for c in centre]}


def _denoise(
    rule: Any, grey: np.ndarray, inside: np.ndarray, edges: tuple[float, ...], key: str
) -> np.ndarray:
    """Smoothed grey values; at the edge of the field of view only values inside it count."""
    if rule is None:
        return grey
    if rule == "median":
        whole = scipy.ndimage.binary_erosion(inside, np.ones((3,) * grey.ndim), border_value=1)
        return np.where(whole, scipy.ndimage.median_filter(grey, 3), grey)
    if not (_number(rule) and rule > 0):
        raise InputError(
            f'{key}.denoise is {rule!r}. Leave it out, or give "median", or the sigma of a Gaussian, for'
            ' example denoise = "20 um".'
        )
    widest = min(n * h for n, h in zip(grey.shape, edges, strict=True)) / 4
    if rule > widest:
        raise InputError(
            f"{key}.denoise is {rule:g} um. At most a quarter of the image's shortest edge, {widest:g} um,"
            " makes sense."
        )
    sigma = [rule / h for h in edges]
    weight = scipy.ndimage.gaussian_filter(inside.astype(np.float32), sigma)
    smooth = scipy.ndimage.gaussian_filter(np.where(inside, grey, 0).astype(np.float32), sigma)
    return np.where(inside, smooth / np.where(inside, weight, 1), 0)


def _bone(rule: Any, grey: np.ndarray, inside: np.ndarray, key: str) -> tuple[np.ndarray, dict[str, Any]]:
    """The bone of each voxel, bool or a fraction, and the record's entry about the threshold."""
    if not (rule in RULES if isinstance(rule, str) else _number(rule)):
        raise InputError(
            f"{key}.threshold is {rule!r}. Give one of {', '.join(RULES)}, or the grey value above which a"
            " voxel is bone."
        )
    values = grey[inside]
    low, high = values.min(), values.max()
    found = f"the grey values in the field of view go from {low:g} to {high:g}"
    if rule == "fraction":
        if low < 0 or high > 1:
            raise InputError(
                f'{key}.threshold is "fraction", but {found}. '
                'Fractions lie between 0 and 1: divide the image by its largest value, or use "otsu".'
            )
        bone, record = grey.astype(float), {"rule": rule}
    elif rule == "binary":
        other = values[(values != low) & (values != high)]
        if other.size:
            raise InputError(
                f'{key}.threshold is "binary", but the field of view holds more than two values: {low:g},'
                f" {high:g}, and also {other[0]:g}. Segment the image first, leave {key}.denoise out, or use"
                ' "otsu" or a grey value.'
            )
        bone, record = grey == high, {"rule": rule, "value": float(low)}
    else:
        value = _otsu(values) if rule == "otsu" else float(rule)
        bone, record = grey > value, {"rule": rule if isinstance(rule, str) else "grey value", "value": value}
    bone = np.where(inside, bone, bone.dtype.type(0))
    volume_fraction = float(bone[inside].mean())
    if not 0 < volume_fraction < 1:
        what = "no" if volume_fraction == 0 else "nothing but"
        raise InputError(
            f"{key}.threshold = {rule!r} finds {what} bone: {found}. Bone and marrow must both be there: "
            f"check the threshold, {key}.crop, {key}.field_of_view and the image."
        )
    return bone, record


def _otsu(values: np.ndarray) -> float:
    """The grey value that separates two classes with the largest variance between them.

    (Otsu, IEEE Trans SMC 1979, 9:62.) There is one bin for each integer, or BINS; the value returned is the
    edge between two bins.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low
    if np.issubdtype(values.dtype, np.integer) and high - low < 2**16:
        counts, bins = np.histogram(values, int(high - low) + 1, (low - 0.5, high + 0.5))
    else:
        width = (high - low) / BINS
        # the values are too close to each other, or too far apart, for bins
        if not 4 * np.spacing(max(abs(low), abs(high))) < width < math.inf:
            return low / 2 + high / 2
        counts, bins = np.histogram(values.astype(float), BINS, (low, high))
    below = np.cumsum(counts)[:-1]
    moment = np.cumsum(counts * np.arange(len(counts), dtype=float))
    total = counts.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        between = (moment[-1] * below - moment[:-1] * total) ** 2 / (below * (total - below))
    return float(bins[1 + np.nanargmax(between)])


def _cells(
    bone: np.ndarray, inside: np.ndarray, edges: tuple[float, ...], target: tuple[float, ...], key: str
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """The bone fraction and the active cells on the target spacing, and the length dropped at the far end of
    each axis, um.
    """
    if target == edges:
        return bone.astype(float), inside.copy(), [0.0] * bone.ndim
    lengths = [n * e for n, e in zip(bone.shape, edges, strict=True)]
    shape = cells_within(lengths, target)
    if min(shape) == 0:
        raise InputError(
            f"{key}.spacing is {_um(target)}, wider than the image ({_um(lengths)}). Make it finer."
        )
    if math.prod(shape) > MAX_VOXELS:
        raise InputError(
            f"{key}.spacing is {_um(target)}: that makes {math.prod(shape):.3g} cells, and at most"
            f" {MAX_VOXELS:.3g} fit. Make it coarser."
        )
    check_fits(WORKING * math.prod(shape), f"{key}.spacing is {_um(target)}")
    volume = average(inside, edges, shape, target)
    active = volume > 0.5
    fraction = np.divide(average(bone, edges, shape, target), volume, out=np.zeros(shape), where=active)
    dropped = [max(s - n * h, 0.0) for s, n, h in zip(lengths, shape, target, strict=True)]
    return np.clip(fraction, 0.0, 1.0), active, dropped
