"""Image files as arrays: TIFF, PNG, NPY, HDF5, a folder of slices, and NRRD, MetaImage and NIfTI through SimpleITK.

What a file says of its voxel size is returned beside the values, in um; nothing is guessed. Every fault of a file is an
InputError that names the config key, the file, what was found and the way out.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import PIL.Image
import tifffile

from ..errors import InputError
from .untrusted import array, check_fits, check_unpacks, open_hdf5, reason

MAX_VOXELS = 4_000_000_000
GREY_PNG = ("1", "L", "I", "I;16", "F")
DEFLATE_TIFF = (8, 32946)
UNBOUNDED_TIFF = {34925: "LZMA", 34926: "Zstandard", 50000: "Zstandard", 50013: "PIXTIFF"}  # unpacked whole, whatever their size
COLOUR_TIFF = {"RGB", "PALETTE", "SEPARATED", "YCBCR", "CIELAB"}
MICROMETRES = {"nm": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, r"\u00B5m": 1.0, "micron": 1.0, "microns": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}
INCH = 25400.0  # um
# What programs write when they know no size. As voxels these would be 25 mm to 21 um, and none a round number.
DEFAULT_DPI = (1, 72, 96, 150, 300, 600, 1200)


@dataclass(frozen=True)
class Image:
    """values: (z, y, x) or (y, x), as in the file; voxel: its edges in um, None on an axis where the file does not say."""

    values: np.ndarray
    voxel: tuple[float | None, ...]


def read_image(path: Path, key: str, dataset: str | None = None) -> Image:
    """The image in a file or in a folder of slices; axes of length one are dropped, so a stack of one slice is 2D.

    key      the config key that names the file, for the messages
    dataset  of an HDF5 file; may be left out when it holds only one image

    Raises InputError when the file is missing, unreadable, empty, damaged, in colour, too large or of an unknown kind.
    """
    where = f'{key} = "{path}"'
    if not (_is(path.is_file) or _is(path.is_dir)):
        raise InputError(
            f"{where}: there is no such file. A path in a config counts from the config's folder, "
            "one given by --set from the current folder: check its spelling."
        )
    reader = _folder if path.is_dir() else next((r for end, r in READERS.items() if path.name.lower().endswith(end)), None)
    if reader is None:
        raise InputError(
            f"{where}: this kind of file is not read. Save the image as one of {', '.join(READERS)}, or as a folder of TIFF or PNG slices."
        )
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{where}: the file is empty (0 bytes). Save or copy the image again.")
    if dataset is not None and reader is not _hdf5:
        raise InputError(f"{where}: a dataset ({dataset!r}) is named, but only HDF5 files (.h5, .hdf5) hold datasets. Leave dataset out.")
    try:
        image = _hdf5(path, where, dataset) if reader is _hdf5 else reader(path, where)
    except InputError:
        raise
    except Exception as error:  # the libraries raise anything at all on a damaged file
        raise InputError(
            f"{where}: it could not be read ({reason(error)}). Check that it is what its name says, complete, and readable by you."
        ) from error
    keep = [i for i, n in enumerate(image.values.shape) if n != 1]
    return Image(image.values.squeeze(), tuple(image.voxel[i] for i in keep) if len(image.voxel) == image.values.ndim else ())


def _is(test: Callable[[], bool]) -> bool:
    try:
        return test()
    except (OSError, ValueError):  # a name that no file can have
        return False


def sha256(path: Path) -> str:
    """SHA-256 of a file, or of the files of a folder of slices one after the other, in the order they are read."""
    digest = hashlib.sha256()
    for file in _slices(path) if path.is_dir() else [path, *_companions(path)]:
        with file.open("rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def _companions(path: Path) -> list[Path]:
    """The files that hold the values of a MetaImage or NRRD header. Raises InputError when one is not in the folder of the header."""
    kind = path.suffix.lower()
    if kind not in NAMED:
        return []
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        end = re.search(ENDS[kind], content)
        header = content[: end.end() if end else len(content)]
        searched = content if kind != ".nrrd" else header  # a comment may feign the end of a MetaImage header
        named = {match.decode(errors="replace").strip() for match in re.findall(NAMED[kind], searched)}
        axes = re.findall(rb"(?im)^\s*(?:NDims|dimension)\s*[=:]([^\r\n]*)", searched)
    if any(n.strip() not in (b"2", b"3", b"4") for n in axes) or any(len(x) > 500 for x in re.findall(rb"(?m)^(?![^:\n]*:=).*", header)):
        raise InputError(f"{path}: its header is damaged: the number of axes, or the length of a line.")  # SimpleITK would crash
    folder, found = path.resolve().parent, []
    for name in sorted(named - {"LOCAL"}):
        file = (folder / name).resolve()
        if file.parent != folder or not _is(file.is_file):
            raise InputError(
                f"{path}: its values lie in {name!r}, which is no file in the same folder, and others are not read. "
                "Save the image as one file (.mha, .nrrd), or put the file with the values beside it."
            )
        found.append(file)
    return found


NAMED = dict.fromkeys((".mhd", ".mha"), rb"ElementDataFile\s*[=:]?\s*([^\r\n]*)") | {".nrrd": rb"(?im)^\s*data ?file\s*:\s*([^\r\n]*)"}
"""Where a header names the file with its values."""
ENDS = dict.fromkeys((".mhd", ".mha"), rb"ElementDataFile[^\n]*\n") | {".nrrd": rb"\r?\n\r?\n"}
"""Of a header."""


def _check_size(shape: Sequence[int], itemsize: int, where: str) -> None:
    """Before anything is read, so that a damaged header or a bomb cannot fill the memory."""
    voxels = math.prod(int(n) for n in shape) if len(shape) else 0
    size = " x ".join(map(str, shape))
    if voxels == 0:
        raise InputError(f"{where}: the image is empty (shape {size or '()'}). Give an image with at least one voxel.")
    if not 0 < voxels <= MAX_VOXELS:
        raise InputError(
            f"{where}: the image has {size} = {voxels:.3g} voxels, and at most {MAX_VOXELS:.3g} are read. "
            "Save a crop of it, or a coarser copy, and give that."
        )
    check_fits(voxels * (itemsize + 1), where)  # and where it is finite


def _colour(where: str, found: str) -> InputError:
    return InputError(
        f"{where}: this is a colour image ({found}), and bone is found in one grey value. "
        "Convert it to grey, or save the channel that shows bone as an image of its own, and give that."
    )


# --- TIFF ---------------------------------------------------------------------------------------------------------


def _tiff(path: Path, where: str) -> Image:
    with tifffile.TiffFile(path, _multifile=False, is_ndtiff=False, is_mmstack=False) as tif:
        _check_directories(tif, where)
        if len(set(re.findall(r"<(?:\w+:)?UUID\b[^>]*>\s*([^<]*)", tif.ome_metadata or ""))) > 1:
            raise InputError(f"{where}: part of it lies in other files, and those are not read. Save it as one TIFF.")
        if len(tif.series) != 1:
            shapes = ", ".join(" x ".join(map(str, s.shape)) for s in tif.series[:4])
            raise InputError(
                f"{where}: it holds {len(tif.series)} images of different shape ({shapes}). "
                "Save the one that is meant as a TIFF of its own."
            )
        series = tif.series[0]
        _check_size(series.shape, np.dtype(series.dtype).itemsize, where)
        photometric = getattr(tif.pages.first.photometric, "name", "unknown")
        samples = dict(zip(series.axes, series.shape, strict=True))
        # Programs that do not say what the axis of a stack is leave it as channels: more than 4 of them are slices.
        if photometric in COLOUR_TIFF or samples.get("S", 1) > 1 or 1 < samples.get("C", 1) <= 4:
            raise _colour(where, f"{photometric}, axes {series.axes}, shape {' x '.join(map(str, series.shape))}")
        if photometric == "MINISWHITE":
            raise InputError(
                f"{where}: its grey values are stored inverted (0 is white), so it is not clear which end is bone. "
                "Save it with 0 as black (in ImageJ: Image > Lookup Tables > Grays, then save) and give that."
            )
        end = max(
            (o + n for page in series.pages if page is not None for o, n in zip(page.dataoffsets, page.databytecounts, strict=True)),
            default=0,
        )
        if series.dataoffset is not None:
            end = max(end, series.dataoffset + series.nbytes)
        if end > path.stat().st_size:
            raise InputError(f"{where}: the file is cut off, {path.stat().st_size} bytes of {end}. Copy or save the image again.")
        for page in series.pages:
            _check_segments(tif, page, where)
        return Image(series.asarray(), _tiff_voxel(tif, series.axes))


def _check_directories(tif: tifffile.TiffFile, where: str) -> None:
    """The directories of a TIFF, a linked list, come to an end."""
    form, file, seen = tif.tiff, tif.filehandle, set[int]()
    file.seek(8 if form.is_bigtiff else 4)
    while len(next_one := file.read(form.offsetsize)) == form.offsetsize and (at := struct.unpack(form.offsetformat, next_one)[0]):
        if at in seen:
            raise InputError(f"{where}: the file is damaged: its pages go round in a circle. Copy or save the image again.")
        seen.add(at)
        file.seek(at)
        count = int.from_bytes(file.read(form.tagnosize), "little" if form.byteorder == "<" else "big")
        file.seek(at + form.tagnosize + count * form.tagsize)


def _check_segments(tif: tifffile.TiffFile, page: Any, where: str) -> None:
    """The strips or tiles of a page unpack to no more than the page."""
    if page is None:
        return
    if page.compression in UNBOUNDED_TIFF:
        raise InputError(
            f"{where}: it is compressed by {UNBOUNDED_TIFF[page.compression]}, which is not read. Save it with deflate, or plain."
        )
    chunk = math.prod(page.chunks) * np.dtype(page.dtype).itemsize
    check_fits(chunk, where)
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True) if page.compression in DEFLATE_TIFF else ():
        tif.filehandle.seek(offset)
        check_unpacks(tif.filehandle.read(count), chunk, where)


def _tiff_voxel(tif: tifffile.TiffFile, axes: str) -> tuple[float | None, ...]:
    """From OME, ImageJ or the resolution tags, in this order."""
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
        unit = imagej.get("unit") if tif.is_imagej else getattr(tags.valueof("ResolutionUnit", 2), "name", None)
        scale = MICROMETRES.get(str(unit)) or {"INCH": INCH, "inch": INCH, "CENTIMETER": 1e4}.get(str(unit))
        for axis in "YX":
            count, length = tags.valueof(f"{axis}Resolution", (0, 1))
            edge = scale * length / count if scale and count and length else None
            edges[axis] = None if edge and unit in ("INCH", "inch", "CENTIMETER") and _is_default(edge) else edge
        z = imagej.get("spacing")
        edges["Z"] = float(z) * scale if z and scale and edges["X"] else None
    # A stack that is not said to go in time or channels goes in z, whatever tifffile calls its axis.
    return tuple(edges.get(axis if axis in "YX" else "Z") for axis in axes)


def _is_default(edge: float) -> bool:
    return any(abs(INCH / edge / dpi - 1) < 0.01 for dpi in DEFAULT_DPI)


# --- the other kinds -----------------------------------------------------------------------------------------------


def _png(path: Path, where: str) -> Image:
    """The dots per metre of a PNG are a printer's, and say nothing of voxels."""
    try:
        with PIL.Image.open(path, formats=["PNG"]) as image:
            _check_size(image.size[::-1], 4, where)
            if image.mode not in GREY_PNG:
                raise _colour(where, f"PNG mode {image.mode}")
            return Image(np.array(image), (None, None))
    except PIL.Image.DecompressionBombError as error:
        raise InputError(
            f"{where}: the PNG is too large to be opened safely ({error}). Save the image as TIFF, or a crop of it."
        ) from error


def _npy(path: Path, where: str) -> Image:
    with path.open("rb") as stream:
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(stream)
        left = path.stat().st_size - stream.tell()
    _check_size(shape, dtype.itemsize, where)
    if left < math.prod(shape) * dtype.itemsize:
        raise InputError(f"{where}: it could not be read (it is cut off: {left} bytes of values). Copy or save the image again.")
    return Image(np.load(path, allow_pickle=False), (None,) * len(shape))


def _hdf5(path: Path, where: str, name: str | None = None) -> Image:
    """The edges are read from `element_size_um`, where ImageJ and ilastik keep them."""
    with open_hdf5(path) as file:
        found: list[str] = []
        file.visititems(lambda n, item: found.append(n) if isinstance(item, h5py.Dataset) and len(item.shape or ()) > 1 else None)
        name = found[0] if name is None and len(found) == 1 else name
        data = None if name is None else file.get(name)
        if not isinstance(data, h5py.Dataset):
            asked = "no dataset is named" if name is None else f"there is no dataset {name!r}"
            raise InputError(
                f"{where}: {asked}. The file holds {', '.join(found) or 'no image'}: "
                f'name one, for example dataset = "{(found or ["data"])[0]}".'
            )
        _check_size(data.shape or (), data.dtype.itemsize, where)
        edges = np.ravel(data.attrs.get("element_size_um", ()))
        return Image(array(data), tuple(float(e) for e in edges) if len(edges) == data.ndim else (None,) * data.ndim)


ITK = {".nrrd": "NrrdImageIO", ".mha": "MetaImageIO", ".mhd": "MetaImageIO", ".nii": "NiftiImageIO", ".gz": "NiftiImageIO"}


def _itk(path: Path, where: str) -> Image:
    """Lengths in these files are mm: by definition in NIfTI and MetaImage, by use in NRRD that does not state another unit."""
    try:
        import SimpleITK as sitk
    except ImportError as error:
        raise InputError(
            f"{where}: reading it needs SimpleITK. Install it with: pip install SimpleITK, or save the image as TIFF."
        ) from error
    _companions(path)
    reader = sitk.ImageFileReader()
    reader.SetImageIO(ITK[path.suffix.lower()])  # not one that the content asks for
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    if reader.GetNumberOfComponents() > 1:
        raise _colour(where, f"{reader.GetNumberOfComponents()} values a voxel")
    voxel = sitk.Image([1] * reader.GetDimension(), reader.GetPixelID()).GetSizeOfPixelComponent()
    _check_size(reader.GetSize()[::-1], 2 * voxel, where)  # once in SimpleITK, once in NumPy
    scale = _itk_unit(path, reader)
    spacing = reader.GetSpacing()[::-1]
    unknown = scale is None or all(s == 1 for s in spacing)  # 1 on every axis is what SimpleITK puts where nothing is stated
    return Image(sitk.GetArrayFromImage(reader.Execute()), tuple(None if unknown else s * scale for s in spacing))


def _itk_unit(path: Path, reader: Any) -> float | None:
    """What one unit of the spacing is in um; None when the file says that it has no unit."""
    if reader.HasMetaDataKey("xyzt_units"):  # NIfTI: SimpleITK has turned m and um into mm; code 0 is "unknown"
        return 1e3 if int(reader.GetMetaData("xyzt_units")) & 7 else None
    if path.suffix.lower() == ".nrrd":  # SimpleITK passes over the unit
        with path.open("rb") as stream:
            header = stream.read(2**16).split(b"\n\n")[0].decode(errors="replace")
        stated = re.search(r'^(?:space )?units: *"([^"]*)"', header, re.MULTILINE)
        return MICROMETRES.get(stated[1]) if stated and stated[1] else 1e3
    return 1e3


def _slices(folder: Path) -> list[Path]:
    """The slices of a folder, numbers in their names compared as numbers (slice2 before slice10)."""
    files = [f for f in folder.iterdir() if f.suffix.lower() in (".tif", ".tiff", ".png") and not f.name.startswith(".")]
    return sorted(files, key=lambda f: [(int(s), "") if s.isdigit() else (-1, s) for s in re.split(r"(\d+)", f.name) if s])


def _folder(path: Path, where: str) -> Image:
    files = _slices(path)
    kinds = {f.suffix.lower()[:4] for f in files}
    if len(kinds) != 1:
        found = "both TIFF and PNG files" if kinds else "no TIFF or PNG files"
        raise InputError(f"{where}: the folder holds {found}. Give a folder with the slices of one image, all of one kind.")
    first = _slice(files[0], where)
    _check_size((len(files), *first.values.shape), first.values.itemsize, where)
    stack = np.empty((len(files), *first.values.shape), first.values.dtype)
    for plane, file in zip(stack, files, strict=True):
        values = _slice(file, where).values
        if values.shape != plane.shape or values.dtype != plane.dtype:
            raise InputError(
                f"{where}: {file.name} has shape {values.shape} and type {values.dtype}, "
                f"{files[0].name} has {plane.shape} and {plane.dtype}. "
                "All slices must be alike: remove what does not belong to the image, or save the slices anew."
            )
        plane[:] = values
    return Image(stack, (None, *first.voxel))


def _slice(file: Path, where: str) -> Image:
    image = read_image(file, f"{where}, slice")
    if image.values.ndim != 2:
        raise InputError(
            f"{where}: {file.name} is not one slice (shape {image.values.shape}). Give a folder of 2D images, or the stack itself."
        )
    return image


READERS: dict[str, Callable[[Path, str], Image]] = {
    ".tif": _tiff,
    ".tiff": _tiff,
    ".png": _png,
    ".npy": _npy,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".nrrd": _itk,
    ".mha": _itk,
    ".mhd": _itk,
    ".nii": _itk,
    ".nii.gz": _itk,
}
