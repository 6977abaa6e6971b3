"""Readers of image files: TIFF, PNG, NPY, HDF5, a folder of slices, and NRRD, MetaImage and NIfTI.

Axes, voxel size and grey values are taken from the statements of the file, and nothing is guessed. Every
fault of a file is an InputError that names the config key, the file, what was found and what to do.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image

from ..errors import InputError
from ..utils.safe_files import reason
from .hdf5 import read_hdf5
from .itk import companions, read_itk
from .tiff import read_tiff
from .voxels import SPACE, Asked, Image, Place, check_size, colour

GREY_PNG = ("1", "L", "I", "I;16", "F")


def read_image(path: Path, asked: Asked) -> Image:
    """The image in a file or in a folder of slices.

    Axes of length one are dropped, so a stack of one slice is 2D. Raises InputError when the file is missing,
    unreadable, empty, damaged, in colour, too large or of an unknown kind, and when it holds channels or
    times and none is chosen.
    """
    where = asked.where
    if not (_is(path.is_file) or _is(path.is_dir)):
        if _is(path.is_symlink):
            raise InputError(
                f"{where}: it is a link to a file that does not exist. "
                "Fetch that (git annex get, datalad get), or copy it to where the link points."
            )
        raise InputError(
            f"{where}: there is no such file. A path in a config counts from the config's folder, "
            "one given by --set from the current folder: check its spelling."
        )
    reader = (
        _folder
        if path.is_dir()
        else next((r for end, r in READERS.items() if path.name.lower().endswith(end)), None)
    )
    if reader is None:
        raise InputError(
            f"{where}: this kind of file cannot be read. Save the image as one of {', '.join(READERS)}, or"
            " as a"
            " folder of TIFF or PNG slices."
        )
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{where}: the file is empty (0 bytes). Save or copy the image again.")
    if asked.dataset is not None and reader is not read_hdf5:
        raise InputError(
            f"{where}: a dataset ({asked.dataset!r}) is named, but only HDF5 files (.h5, .hdf5) hold"
            " datasets. Leave dataset out."
        )
    try:
        return reader(path, asked)
    except InputError:
        raise
    except Exception as error:  # the libraries raise any kind of error on a damaged file
        raise InputError(
            f"{where}: it could not be read ({reason(error)}). Check that it is what its name says, complete,"
            " and readable by you."
        ) from error


def _is(test: Callable[[], bool]) -> bool:
    try:
        return test()
    except (OSError, ValueError):  # a name that no file can have
        return False


def sha256(path: Path) -> str:
    """The SHA-256 hash of a file, or of the files of a folder of slices one after the other, in the order
    they are read.
    """
    digest = hashlib.sha256()
    for file in _slices(path) if path.is_dir() else [path, *companions(path)]:
        with file.open("rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def _png(path: Path, asked: Asked) -> Image:
    """Read a PNG; its dots per metre are for printing and do not state a voxel size."""
    try:
        with PIL.Image.open(path, formats=["PNG"]) as image:
            check_size(image.size[::-1], 4, asked.where)
            if image.mode not in GREY_PNG:
                raise colour(asked.where, f"PNG mode {image.mode}")
            values = np.array(image)
            return asked.place(["y", "x"], values.shape).image(values)
    except PIL.Image.DecompressionBombError as error:
        raise InputError(
            f"{asked.where}: the PNG is too large to be opened safely ({error}). Save the image as TIFF, or a"
            " crop of it."
        ) from error


def _npy(path: Path, asked: Asked) -> Image:
    with path.open("rb") as stream:
        version = np.lib.format.read_magic(stream)
        header = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = header(stream)
        left = path.stat().st_size - stream.tell()
    check_size(shape, dtype.itemsize, asked.where)
    if left < math.prod(shape) * dtype.itemsize:
        raise InputError(
            f"{asked.where}: it could not be read (it is cut off: {left} bytes of values). Copy or save the"
            " image again."
        )
    values = np.load(path, allow_pickle=False)
    place = asked.place([""] * values.ndim, values.shape)
    return place.image(values[place.index])


def _slices(folder: Path) -> list[Path]:
    """The slices of a folder, with numbers in their names compared as numbers (slice2 before slice10)."""
    files = [
        f
        for f in folder.iterdir()
        if f.suffix.lower() in (".tif", ".tiff", ".png") and not f.name.startswith(".")
    ]
    return sorted(
        files,
        key=lambda f: [(int(s), "") if s.isdigit() else (-1, s) for s in re.split(r"(\d+)", f.name) if s],
    )


def _folder(path: Path, asked: Asked) -> Image:
    """Read a folder of slices; each slice is one image, with one channel and time."""
    files, where = _slices(path), asked.where
    kinds = {f.suffix.lower()[:4] for f in files}
    if len(kinds) != 1:
        found = "both TIFF and PNG files" if kinds else "no TIFF or PNG files"
        raise InputError(
            f"{where}: the folder holds {found}. Give a folder with the slices of one image, all of one kind."
        )
    first = _slice(files[0], asked)
    check_size((len(files), *first.values.shape), first.values.itemsize, where)
    stack = np.empty((len(files), *first.values.shape), first.values.dtype)
    for plane, file in zip(stack, files, strict=True):
        slice_ = _slice(file, asked)
        values = slice_.values
        if slice_.scale != first.scale:
            raise InputError(
                f"{where}: {file.name} is calibrated differently from {files[0].name}. "
                "All slices must be alike: save them again with one calibration, or as real numbers."
            )
        if values.shape != plane.shape or values.dtype != plane.dtype:
            raise InputError(
                f"{where}: {file.name} has shape {values.shape} and type {values.dtype}, "
                f"{files[0].name} has {plane.shape} and {plane.dtype}. "
                "All slices must be alike: remove what does not belong to the image, or save the slices"
                " again."
            )
        plane[:] = values
    whole = Place((slice(None),) * 3, SPACE, where)
    return whole.image(stack, (None, *first.voxel), first.scale, first.bits, applied=True)


def _slice(file: Path, asked: Asked) -> Image:
    where = asked.where
    image = read_image(file, replace(asked, where=f"{where}, slice {file.name}"))
    if image.values.ndim != 2:
        raise InputError(
            f"{where}: {file.name} is not one slice (shape {image.values.shape}). Give a folder of 2D images,"
            " or the stack itself."
        )
    return image


READERS: dict[str, Callable[[Path, Asked], Image]] = {
    ".tif": read_tiff,
    ".tiff": read_tiff,
    ".png": _png,
    ".npy": _npy,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".nrrd": read_itk,
    ".mha": read_itk,
    ".mhd": read_itk,
    ".nii": read_itk,
    ".nii.gz": read_itk,
}
