"""TIFF images: axes, voxels and grey values from OME, ImageJ, tifffile and the baseline tags."""

from __future__ import annotations

import html
import io
import math
import re
import struct
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import tifffile

from ..errors import InputError
from ..utils.extras import install
from ..utils.safe_files import SMALL, Damaged, check_fits, check_unpacks, too_much
from .voxels import MICROMETRES, Asked, Image, Scale, check_size, colour, meaning, straight

COLOUR = {"RGB", "PALETTE", "SEPARATED", "YCBCR", "CIELAB"}
DEFLATE = (8, 32946)
JPEG = 7
READ = {1, 2, 3, 4, 5, JPEG, *DEFLATE, 32773}
"""The compressions that are read: none, CCITT, LZW, JPEG, deflate, PackBits.

The size of their unpacked data is limited by a check before, or by the size of the page.
"""
INCH = 25400.0  # um
# Resolutions that programs write when they do not know a size. As voxels these would be 25 mm to 21 um, and
# none is a round number.
DEFAULT_DPI = (1, 72, 96, 150, 300, 600, 1200)
FUNCTIONS = (
    "straight line",
    "2nd degree polynomial",
    "3rd degree polynomial",
    "4th degree polynomial",
    "exponential",
    "power",
)
FUNCTIONS += (
    "log",
    "Rodbard",
    "gamma variate",
    "log",
    "Rodbard",
    "exponential with offset",
    "Gaussian",
    "exponential recovery",
)
"""ImageJ's calibration functions, by its number cf."""


def read_tiff(path: Path, asked: Asked) -> Image:
    where = asked.where
    with tifffile.TiffFile(path, _multifile=False, is_ndtiff=False, is_mmstack=False) as tif:
        _check_directories(tif, where)
        if len(set(re.findall(r"<(?:\w+:)?UUID\b[^>]*>\s*([^<]*)", tif.ome_metadata or ""))) > 1:
            raise InputError(
                f"{where}: part of it is in other files, which are not read. Save it as one TIFF."
            )
        if len(tif.series) != 1:
            shapes = ", ".join(" x ".join(map(str, s.shape)) for s in tif.series[:4])
            raise InputError(
                f"{where}: it holds {len(tif.series)} images of different shape ({shapes}). "
                "Save the one that is meant as a separate TIFF."
            )
        series = tif.series[0]
        check_size(series.shape, np.dtype(series.dtype).itemsize, where)
        axes, shape = series.get_axes(squeeze=False), series.get_shape(squeeze=False)
        photometric = getattr(tif.pages.first.photometric, "name", "unknown")
        if photometric in COLOUR:
            raise colour(
                where, f"{photometric}, axes {series.axes}, shape {' x '.join(map(str, series.shape))}"
            )
        if photometric == "MINISWHITE":
            raise InputError(
                f"{where}: its grey values are stored inverted (0 is white), so it is not clear which end is"
                " bone. Save it with 0 as black (in ImageJ: Image > Lookup Tables > Grays, then save) and"
                " give that."
            )
        _check_whole(path, series, where)
        for page in series.pages:
            _check_segments(tif, page, where)
        scale = _imagej_scale(tif, np.dtype(series.dtype), where) if tif.is_imagej else None
        meanings = [
            _meaning(a, series.kind) if a != "S" or n > 1 else "" for a, n in zip(axes, shape, strict=True)
        ]
        place = asked.place(meanings, shape, _channels(tif))
        part = _unpacked(series, where).reshape(shape)[place.index]
        bits = tif.pages.first.bitspersample
        odd = (
            bits
            if isinstance(bits, int) and bits < 8 * part.dtype.itemsize and part.dtype.kind in "ui"
            else None
        )
        return place.image(part, _edges(tif, axes), scale, odd)


def _meaning(letter: str, kind: str) -> str:
    """The meaning of an axis as tifffile names it.

    A stack without a stated meaning lies along z; an axis that OME calls other is not an axis in space.
    """
    if letter in "IQ":
        return "other" if (letter, kind) == ("Q", "ome") else ""
    if letter in "XYZTC":
        return meaning(letter)
    return "channel" if letter in "SE" else tifffile.TIFF.AXES_NAMES.get(letter, letter)


def _channels(tif: tifffile.TiffFile) -> list[str]:
    """The names of the channels, from OME or from ImageJ's labels of planes."""
    if tif.is_ome:
        text = (tif.ome_metadata or "").partition("</Image>")[0]
        found = [
            re.search(r'\bName="([^"]*)"', each) for each in re.findall(r"<(?:\w+:)?Channel\b[^>]*>", text)
        ]
        return [html.unescape(name[1]) for name in found if name]
    labels = (tif.imagej_metadata or {}).get("Labels", [])
    return [str(label) for label in labels] if isinstance(labels, list) else []


# --- grey values --------------------------------------------------------------------------------------------


def _imagej_scale(tif: tifffile.TiffFile, dtype: np.dtype, where: str) -> Scale | None:
    """The calibration that Image > Show Info and ImageJ's status bar show.

    cf names the function; c0 and c1 are the coefficients of a straight line.
    """
    said = tif.imagej_metadata or {}
    function = said.get("cf", 20)  # 20: no function
    if function == 20:
        return None
    if function != 0:
        known = dict(enumerate(FUNCTIONS)) | {21: "uncalibrated optical density"}
        name = known.get(function, "unknown") if isinstance(function, int) else "unknown"
        raise InputError(
            f"{where}: its grey values are calibrated by a function that is not applied (cf = {function}:"
            f" {name}). In ImageJ: Image > Type > 32-bit, which applies it, then save that and give it."
        )
    if dtype.kind == "f":
        raise InputError(
            f"{where}: its grey values are calibrated, and are not integers, so it is not clear whether that"
            " was applied. In ImageJ: Analyze > Calibrate, function None, then save that and give it."
        )
    return straight(
        said.get("c0"), said.get("c1"), where, said.get("vunit", ""), said.get("zeroclip") in (True, "true")
    )


def _unpacked(series: Any, where: str) -> np.ndarray:
    try:
        return series.asarray()
    except Exception as error:
        if "imagecodecs" not in str(error) or _installed():
            raise
        packed = tifffile.COMPRESSION(series.keyframe.compression).name
        how = (
            f"compressed by {packed}"
            if packed != "NONE"
            else f"packed at {series.keyframe.bitspersample} bits a voxel"
        )
        raise InputError(
            f"{where}: it is {how}, and reading that needs imagecodecs, which is not installed. "
            f"{install('images')}, or save the image with deflate or plain, at 8 or 16 bits."
        ) from error


def _installed() -> bool:
    return sys.modules.get("imagecodecs", "") is not None and find_spec("imagecodecs") is not None


# --- what is checked before anything is unpacked ------------------------------------------------------------


def _check_directories(tif: tifffile.TiffFile, where: str) -> None:
    """Check that the linked list of directories of a TIFF ends."""
    form, file, seen = tif.tiff, tif.filehandle, set[int]()
    file.seek(8 if form.is_bigtiff else 4)
    while len(next_one := file.read(form.offsetsize)) == form.offsetsize and (
        at := struct.unpack(form.offsetformat, next_one)[0]
    ):
        if at in seen:
            raise InputError(
                f"{where}: the file is damaged: its pages go round in a circle. Copy or save the image again."
            )
        seen.add(at)
        file.seek(at)
        count = int.from_bytes(file.read(form.tagnosize), "little" if form.byteorder == "<" else "big")
        file.seek(at + form.tagnosize + count * form.tagsize)


def _segments(page: Any) -> Iterator[tuple[int, int]]:
    yield from zip(page.dataoffsets, page.databytecounts, strict=True)


def _check_whole(path: Path, series: Any, where: str) -> None:
    end = max((o + n for page in series.pages if page is not None for o, n in _segments(page)), default=0)
    if series.dataoffset is not None:
        end = max(end, series.dataoffset + series.nbytes)
    if end > path.stat().st_size:
        raise InputError(
            f"{where}: the file is cut off, {path.stat().st_size} bytes of {end}. Copy or save the image"
            " again."
        )


def _check_segments(tif: tifffile.TiffFile, page: Any, where: str) -> None:
    """Check that the strips or tiles of a page unpack to no more than the page."""
    if page is None:
        return
    if page.compression not in READ:
        known = {c.value: c.name for c in tifffile.COMPRESSION}
        name = known.get(page.compression, page.compression)
        raise InputError(
            f"{where}: it is compressed by {name}, which is not read. Save it with LZW or deflate, or plain."
        )
    chunk = math.prod(page.chunks) * np.dtype(page.dtype).itemsize
    check_fits(chunk, where)
    for offset, count in _segments(page) if page.compression in (*DEFLATE, JPEG) else ():
        tif.filehandle.seek(offset)
        packed = tif.filehandle.read(count)
        if page.compression in DEFLATE:
            check_unpacks(packed, chunk, where)
        elif packed:
            _check_jpeg(packed, chunk, where)


def _check_jpeg(packed: bytes, size: int, where: str) -> None:
    """Check the size that a JPEG states itself, whatever the TIFF around it states."""
    try:
        with PIL.Image.open(io.BytesIO(packed), formats=["JPEG"]) as image:
            found = math.prod(image.size) * len(image.getbands())
    except Exception as error:
        raise Damaged(
            f"{where}: it could not be read (a part of it is not JPEG). Save it with deflate, or plain."
        ) from error
    if found > max(size, SMALL):
        raise too_much(where, size)


# --- voxels -------------------------------------------------------------------------------------------------


def _edges(tif: tifffile.TiffFile, axes: str) -> tuple[float | None, ...]:
    """The voxel edges from OME, ImageJ or the resolution tags, in this order."""
    edges: dict[str, float | None] = {}
    imagej = tif.imagej_metadata or {}
    if tif.is_ome:
        pixels = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", tif.ome_metadata or "")
        given = dict(re.findall(r'PhysicalSize(\w+)="([^"]*)"', pixels[0] if pixels else ""))
        for axis in "ZYX":
            scale = MICROMETRES.get(given.get(f"{axis}Unit", "µm"))
            edges[axis] = float(given[axis]) * scale if axis in given and scale else None
    else:
        tags = tif.pages.first.tags
        unit = (
            imagej.get("unit") if tif.is_imagej else getattr(tags.valueof("ResolutionUnit", 2), "name", None)
        )
        scale = MICROMETRES.get(str(unit)) or {"INCH": INCH, "inch": INCH, "CENTIMETER": 1e4}.get(str(unit))
        for axis in "YX":
            count, length = tags.valueof(f"{axis}Resolution", (0, 1))
            edge = scale * length / count if scale and count and length else None
            edges[axis] = (
                None if edge and unit in ("INCH", "inch", "CENTIMETER") and _is_default(edge) else edge
            )
        z = imagej.get("spacing")
        edges["Z"] = float(z) * scale if z and scale and edges["X"] else None
    # The edge of a stack without a stated meaning, and of channels or times that are slices, is that of z.
    return tuple(edges.get(axis if axis in "YX" else "Z") for axis in axes)


def _is_default(edge: float) -> bool:
    return any(abs(INCH / edge / dpi - 1) < 0.01 for dpi in DEFAULT_DPI)
