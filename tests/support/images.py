"""Images for the tests, and files of them."""

import importlib
import struct
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import PIL.Image
import pytest
import tifffile

GREY = np.random.default_rng(1).integers(0, 100, (24, 30)).astype(np.uint8)
GREY[6:18, 5:20] += 120  # bone
STACK = np.stack([np.roll(GREY, i, 0) for i in range(6)])


def flat(**options: Any) -> dict[str, Any]:
    """The arguments for GREY, some of them changed."""
    return {"voxel": 20.0, "thickness": 10.0, "threshold": 110} | options


def write(path: Path, values: np.ndarray) -> Path:
    """An image file of the kind that its name says, without a voxel size."""
    kind = path.name.split(".", 1)[-1]
    if kind == "tif":
        tifffile.imwrite(path, values, photometric="minisblack", metadata=None)
    elif kind == "png":
        PIL.Image.fromarray(values).save(path)
    elif kind == "npy":
        np.save(path, values)
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file["scan"] = values
    else:
        sitk = pytest.importorskip("SimpleITK")
        sitk.WriteImage(sitk.GetImageFromArray(values), str(path))
    return path


def nifti(path, axes="ZYX", pixdim=(20.0, 20.0, 20.0), slope=(0.0, 0.0), sform=None, intent=0):
    """A NIfTI 1 file, lengths in um, written here byte by byte so that what it says is known."""
    dim = {"T": (4, 30, 24, 1, 6, 1, 1, 1), "C": (5, 30, 24, 1, 1, 6, 1, 1)}.get(
        axes[0], (3, 30, 24, 6, 1, 1, 1, 1)
    )
    head = bytearray(352)
    struct.pack_into("<i36x8h", head, 0, 348, *dim)
    struct.pack_into("<3h", head, 68, intent, 2, 8)
    struct.pack_into("<8f3f", head, 76, 1, *pixdim, 1, 1, 1, 1, 352, *slope)
    head[123] = 3  # um
    if sform is not None:
        struct.pack_into("<2h", head, 252, 1, 1)  # and a qform, without a turn
        struct.pack_into("<12f", head, 280, *np.ravel(np.c_[sform, np.zeros(3)]))
    head[344:348] = b"n+1\0"
    path.write_bytes(bytes(head) + STACK.tobytes())


def without_imagecodecs(monkeypatch):
    """tifffile then has a module of its own in its place."""
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    monkeypatch.setattr(tifffile.tifffile, "imagecodecs", importlib.import_module("tifffile._imagecodecs"))
    monkeypatch.setattr(tifffile.TIFF.DECOMPRESSORS, "_codecs", {1: lambda data, out=None: data})
