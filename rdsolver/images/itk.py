"""NRRD, MetaImage and NIfTI images, read through SimpleITK.

SimpleITK reports neither the meaning of an axis nor every scale, so the headers are read here too.
"""

from __future__ import annotations

import gzip
import math
import mmap
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..utils.extras import install
from .voxels import MICROMETRES, Asked, Image, Scale, check_size, colour, meaning, straight

IO = {
    ".nrrd": "NrrdImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
    ".nii": "NiftiImageIO",
    ".gz": "NiftiImageIO",
}
NAMED = dict.fromkeys((".mhd", ".mha"), rb"ElementDataFile\s*[=:]?\s*([^\r\n]*)") | {
    ".nrrd": rb"(?im)^\s*data ?file\s*:\s*([^\r\n]*)"
}
"""Patterns that find the name of the file with the values in a header."""
ENDS = dict.fromkeys((".mhd", ".mha"), rb"ElementDataFile[^\n]*\n") | {".nrrd": rb"\r?\n\r?\n"}
"""Patterns that find the end of a header."""
HEADER = 2**24
"""The number of bytes in which a header is searched."""
DOMAIN = ("domain", "space", "time", "???", "none")
"""The kinds of a NRRD axis along which there are voxels; along other axes there are the values of one
voxel.
"""
SECONDS = re.compile(r"[munp]?s|sec|seconds?|min|minutes?|h|hours?|d|days?|weeks?", re.IGNORECASE)
RIGHT = 1e-3
"""The largest cosine of an angle that counts as a right angle: less than a voxel in a thousand.

It is also the largest deviation of a length from one.
"""


def read_itk(path: Path, asked: Asked) -> Image:
    """Read a NRRD, MetaImage or NIfTI file.

    Lengths in these files are mm: by definition in NIfTI and MetaImage, by convention in NRRD that does not
    state another unit.
    """
    where = asked.where
    try:
        import SimpleITK as sitk
    except ImportError as error:
        raise InputError(
            f"{where}: reading it needs SimpleITK, which is not installed. {install('images')}, or save the"
            " image as TIFF."
        ) from error
    companions(path)
    reader = sitk.ImageFileReader()
    reader.SetImageIO(IO[path.suffix.lower()])  # by the suffix, not by the content
    reader.SetFileName(str(path))
    said = HEADERS[path.suffix.lower()](path, where)
    reader.ReadImageInformation()
    dimensions, values = reader.GetDimension(), reader.GetNumberOfComponents()
    if said.colour:
        raise colour(where, said.colour)
    if said.applied and said.scale and values > 1:
        raise InputError(
            # SimpleITK would crash
            f"{where}: it holds several values a voxel, and a scale of them, which is not read. "
            "Save one value a voxel, or without scl_slope and scl_inter."
        )
    _check_direction(np.reshape(reader.GetDirection(), (dimensions, dimensions)), where)
    voxel = sitk.Image([1] * dimensions, reader.GetPixelID()).GetSizeOfPixelComponent()
    shape = (*reader.GetSize()[::-1], *([values] if values > 1 else []))
    check_size(shape, 2 * voxel, where)  # the image is held once in SimpleITK and once in NumPy
    axes, units = (
        [*said.axes, *[""] * dimensions][:dimensions],
        [*said.units, *[1e3] * dimensions][:dimensions],
    )
    place = asked.place([*axes[::-1], *(["channel"] if values > 1 else [])], shape)
    spacing = reader.GetSpacing()
    unknown = all(s == 1 for s in spacing)  # SimpleITK gives 1 where nothing is stated
    lengths = [u if axis in ("x", "y", "z", "") else None for axis, u in zip(axes, units, strict=True)]
    edges = [None if unknown or u is None else s * u for s, u in zip(spacing, lengths, strict=True)][::-1]
    part = sitk.GetArrayFromImage(reader.Execute())[place.index]
    return place.image(part, [*edges, *([None] if values > 1 else [])], said.scale, applied=said.applied)


@dataclass(frozen=True)
class Said:
    """The contents of a header.

    axes, units  an item for each axis, the fastest first: its meaning, and its unit in um (None: not known)
    applied      True if SimpleITK has calibrated the values
    colour       a description of the colour values, if there are any
    """

    axes: Sequence[str] = ()
    units: Sequence[float | None] = ()
    scale: Scale | None = None
    applied: bool = False
    colour: str = ""


def _check_direction(matrix: np.ndarray, where: str) -> None:
    """Check that the axes are orthogonal; they may be rotated. Columns are directions of length one."""
    lengths = np.linalg.norm(matrix, axis=0)
    if not (np.isfinite(matrix).all() and lengths.all()):
        raise InputError(
            f"{where}: the directions of its axes are not valid ({matrix.tolist()}). Save the image again."
        )
    if abs(lengths - 1).max() > RIGHT:
        told = ", ".join(f"{n:g}" for n in lengths)
        raise InputError(
            f"{where}: the directions of its axes have the lengths {told}, so that it states two voxel sizes."
            " Save it with directions of length 1."
        )
    _check_right(matrix / lengths, where)


def _check_right(directions: np.ndarray, where: str) -> None:
    oblique = abs(directions.T @ directions - np.eye(directions.shape[1]))
    if oblique.max() > RIGHT:
        angle = math.degrees(math.acos(min(oblique.max(), 1.0)))
        raise InputError(
            f"{where}: its axes are not at right angles (two of them at {angle:.3g} degrees), and the cells"
            " of a grid are boxes. Resample it to axes at right angles (for example by SimpleITK.Resample),"
            " and give that."
        )


# --- headers ------------------------------------------------------------------------------------------------


def _nrrd(path: Path, where: str) -> Said:
    with path.open("rb") as stream:
        text = re.split(rb"\r?\n\r?\n", stream.read(HEADER), maxsplit=1)[0].decode(errors="replace")
    fields = {k.replace(" ", "").lower(): v.strip() for k, v in re.findall(r"(?m)^([\w ]+): (.*)", text)}
    if "oldmin" in fields or "oldmax" in fields:
        raise InputError(
            f"{where}: its grey values were quantised (old min, old max in its header), and that is not"
            " undone. Save it with the values themselves, or without these lines, for a threshold of what is"
            " stored."
        )
    try:
        dimensions = int(fields.get("dimension", 0))
    except ValueError:
        dimensions = 0
    if not 0 < dimensions <= 16:
        return Said()
    kinds = (fields.get("kinds", "").split() + ["???"] * dimensions)[:dimensions]
    tinted = next((k for k in kinds if "color" in k.lower()), "")
    labels, units = (_quoted(fields.get(name, ""), dimensions) for name in ("labels", "units"))
    voxels = [i for i, kind in enumerate(kinds) if kind.lower() in DOMAIN]
    axes = [
        "frame" if kinds[i].lower() == "time" or SECONDS.fullmatch(units[i]) else _label(labels[i])
        for i in voxels
    ]
    if "spacedirections" in fields:  # axes may be rotated, so a unit is known only if all units are the same
        stated = set(_quoted(fields.get("spaceunits", ""), 1))
        lengths = [_unit(stated.pop()) if len(stated) == 1 else None] * len(voxels)
    else:
        lengths = [_unit(units[i]) for i in voxels]
    return Said(axes, lengths, colour=f"NRRD of kind {tinted}" if tinted else "")


def _quoted(text: str, count: int) -> list[str]:
    found = re.findall(r'"([^"]*)"', text)
    return (found + [""] * count)[: max(count, len(found))]


def _label(label: str) -> str:
    """The meaning of an axis label; labels are free text, and many are anatomical."""
    found = meaning(label)
    return found if found in ("z", "y", "x", "channel", "frame") else ""


def _unit(stated: str) -> float | None:
    return MICROMETRES.get(stated.strip()) if stated.strip() else 1e3


def _metaimage(path: Path, where: str) -> Said:
    """Read the header of a MetaImage; SimpleITK does not apply its calibration of intensities."""
    with path.open("rb") as stream:
        text = re.split(rb"(?m)^\s*ElementDataFile\s*[=:]", stream.read(HEADER), maxsplit=1)[0].decode(
            errors="replace"
        )
    fields = dict(re.findall(r"(?m)^[ \t]*(\w+)[ \t]*[=:][ \t]*(.*?)[ \t\r]*$", text))
    offset, slope = (
        fields.get(f"ElementToIntensityFunction{n}", x) for n, x in (("Offset", "0"), ("Slope", "1"))
    )
    return Said(scale=straight(offset, slope, where))


def _nifti(path: Path, where: str) -> Said:
    """Read the header of a NIfTI.

    Axes 1 to 3 are space, the fourth is time, and the fifth holds several values per voxel. SimpleITK applies
    scl_slope and scl_inter, and converts m and um to mm; for an oblique sform it uses the qform.
    """
    with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as stream:
        header = stream.read(540)
    for order in "<>":
        size = struct.unpack_from(f"{order}i", header)[0] if len(header) >= 348 else 0
        if size in NIFTI and len(header) >= size:
            break
    else:
        return Said()
    got: Mapping[str, Any] = {
        k: struct.unpack_from(order + form, header, at) for k, (form, at) in NIFTI[size].items()
    }
    dim, [datatype], [slope], [inter] = got["dim"], got["datatype"], got["slope"], got["inter"]
    if datatype in (128, 2304):
        return Said(colour="RGB values")
    if datatype in COMPLEX:
        # SimpleITK would crash
        raise InputError(f"{where}: it holds values of type complex. Give real numbers: integers or floats.")
    _check_nifti_size(path, got, where)
    if got["sform_code"][0] > 0:
        wide = [i for i in range(3) if dim[0] > i and dim[1 + i] > 1]
        matrix = np.reshape(got["srow"], (3, 4))[:, wide]
        lengths = np.linalg.norm(matrix, axis=0)
        stated = np.array([got["pixdim"][1 + i] for i in wide])
        if not (np.isfinite(lengths).all() and lengths.all()):
            raise InputError(
                f"{where}: the directions of its axes are not valid ({matrix.tolist()}). Save the image"
                " again."
            )
        if len(wide) and (abs(lengths - stated) > 0.01 * lengths).any():
            raise InputError(
                f"{where}: it states two voxel sizes, {_told(stated)} in pixdim and {_told(lengths)} in its"
                " sform. Save it with the one that is right."
            )
        _check_right(matrix / lengths, where) if len(wide) else None
    # SimpleITK adds scl_inter also where scl_slope is 0
    scale = straight(inter, slope, where) if slope or inter else None
    unit = 1e3 if got["xyzt_units"][0] & 7 else None  # code 0 is "unknown"
    return Said(("x", "y", "z", "frame", "channel", "sixth", "seventh"), [unit] * 7, scale, applied=True)


def _check_nifti_size(path: Path, got: Mapping[str, Any], where: str) -> None:
    """Refuse a truncated NIfTI, whose missing values SimpleITK would read as zeros."""
    start = max(got["offset"][0], 0) if math.isfinite(got["offset"][0]) else 0
    needed = int(start) + math.prod(max(n, 1) for n in got["dim"][1:8][: max(got["dim"][0], 1)]) * BYTES.get(
        got["datatype"][0], 0
    )
    there = 0
    if path.suffix.lower() != ".gz":
        there = path.stat().st_size
    else:
        with gzip.open(path) as stream:
            while there < needed and (block := stream.read(2**20)):
                there += len(block)
    if there < needed:
        raise InputError(
            f"{where}: the file is cut off, {there} bytes of {needed}. Copy or save the image again."
        )


NIFTI = {
    348: {"dim": ("8h", 40), "datatype": ("h", 70), "pixdim": ("8f", 76), "offset": ("f", 108),
          "slope": ("f", 112), "inter": ("f", 116), "xyzt_units": ("b", 123),
          "sform_code": ("h", 254), "srow": ("12f", 280)},
    540: {"dim": ("8q", 16), "datatype": ("h", 12), "pixdim": ("8d", 104), "offset": ("q", 168),
          "slope": ("d", 176), "inter": ("d", 184), "xyzt_units": ("i", 500),
          "sform_code": ("i", 348), "srow": ("12d", 400)},
}  # fmt: skip
"""The format and offset of the header entries that are read, by the size of the header (NIfTI 1 and 2)."""
BYTES = {2: 1, 4: 2, 8: 4, 16: 4, 64: 8, 128: 3, 256: 1, 512: 2, 768: 4, 1024: 8, 1280: 8, 1536: 16, 2304: 4}
"""The number of bytes of a value, by NIfTI's number of its type."""
COMPLEX = (32, 1792, 2048)
HEADERS = {".nrrd": _nrrd, ".mha": _metaimage, ".mhd": _metaimage, ".nii": _nifti, ".gz": _nifti}


def _told(lengths: Sequence[float] | np.ndarray) -> str:
    return " x ".join(f"{n:.6g}" for n in lengths)


# --- values in a file of their own --------------------------------------------------------------------------


def companions(path: Path) -> list[Path]:
    """The files that hold the values of a MetaImage or NRRD header.

    A header must name them by a plain name, in the folder where the user found the header. A link in that
    folder is followed, as is a link to the header. Raises InputError for any other name: a header must not
    choose among the files of this machine.
    """
    kind = path.suffix.lower()
    if kind not in NAMED:
        return []
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        end = re.search(ENDS[kind], content)
        header = content[: end.end() if end else len(content)]
        searched = (
            content if kind != ".nrrd" else header
        )  # a comment may imitate the end of a MetaImage header
        named = {match.decode(errors="replace").strip() for match in re.findall(NAMED[kind], searched)}
        axes = re.findall(rb"(?im)^\s*(?:NDims|dimension)\s*[=:]([^\r\n]*)", searched)
    if any(n.strip() not in (b"2", b"3", b"4") for n in axes) or any(
        len(x) > 500 for x in re.findall(rb"(?m)^(?![^:\n]*:=).*", header)
    ):
        # SimpleITK would crash
        raise InputError(f"{path}: its header is damaged: the number of axes, or the length of a line.")
    found = []
    for name in sorted(n for n in named if n.upper() != "LOCAL"):
        file = path.parent / name
        if (
            Path(name).name != name
            or re.match(r"(SKIP)?LIST\b", name, re.IGNORECASE)
            or "%" in name
            or not _is_file(file)
        ):
            nowhere = (
                " (a link to a file that is not here: fetch it, for example with git annex get)"
                if _is_link(file)
                else ""
            )
            raise InputError(
                f"{path}: its values are in {name!r}, which is not a file in the same folder{nowhere}, and"
                " others are not read. Save the image as one file (.mha, .nrrd), or put the file with the"
                " values beside it."
            )
        found.append(file)
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except (OSError, ValueError):
        return False
