"""Checks that every reader of untrusted files makes.

A file may be damaged, or made to fill the memory or to read other files of this machine. So nothing is
allocated before its size is compared with the free memory, an HDF5 file is refused when any part of it lies
in another file, and any error of a library becomes one InputError.
"""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import InputError, RdsolverError
from . import locks
from .memory import host_memory

HEAP = b"GCOL\x01\0\0\0"
"""The mark of the heaps in which HDF5 keeps data without a fixed length."""
SMALL = 2**26  # bytes; a smaller size is not compared with the memory
DEFLATE = 1032  # most bytes that one byte can unpack to
FILTERS = {
    h5py.h5z.FILTER_DEFLATE,
    h5py.h5z.FILTER_SHUFFLE,
    h5py.h5z.FILTER_FLETCHER32,
    h5py.h5z.FILTER_SZIP,
    h5py.h5z.FILTER_LZF,
}


class Damaged(InputError):
    """An error about a file with wrong contents."""


@contextmanager
def reading(what: object) -> Iterator[None]:
    """Turn any error inside into Damaged, about the file `what`. rdsolver's own errors pass."""
    try:
        yield
    except RdsolverError:
        raise
    except MemoryError as error:
        raise Damaged(f"{what} does not fit into memory.") from error
    except RecursionError as error:
        raise Damaged(f"{what} is damaged: it is nested too deep.") from error
    except Exception as error:  # the libraries raise any kind of error
        raise Damaged(f"{what} is damaged: {reason(error)}.") from error


def reason(error: BaseException) -> str:
    """The last line of an error."""
    said = str(error).strip().splitlines()
    return (said[-1].rstrip(".") if said else "") or type(error).__name__


def check_fits(size: int, what: str) -> None:
    """Raise InputError if this many bytes are not free."""
    free = host_memory() if size > SMALL else None
    if free is not None and size > free:
        raise Damaged(
            f"{what}: {size / 2**30:.3g} GiB of memory are needed, and {max(free, 0) / 2**30:.3g} GiB are"
            " free. Take a crop of it, or a coarser copy, or a larger machine."
        )


def check_unpacks(packed: bytes, size: int, what: str) -> None:
    """Raise InputError if deflated bytes unpack to more than `size`, as a decompression bomb does."""
    if DEFLATE * len(packed) > SMALL and len(zlib.decompressobj().decompress(packed, size + 1)) > size:
        raise too_much(what, size)


def too_much(what: str, size: int) -> Damaged:
    return Damaged(
        f"{what}: it unpacks to more than the {size} bytes that it should hold. The file is damaged, or made"
        " to fill the memory."
    )


# --- HDF5 ---------------------------------------------------------------------------------------------------


def open_hdf5(path: str | Path, **how: Any) -> h5py.File:
    """Open an HDF5 file that is complete in itself, for reading.

    Raises InputError when part of it is in another file, and otherwise what h5py raises.
    """
    file = locks.hdf5(path, "r", **how)
    try:
        with reading(path):
            elsewhere = file.visititems_links(
                lambda name, link: name if isinstance(link, h5py.ExternalLink) else None
            )
            elsewhere = elsewhere or file.visititems(lambda name, node: name if _elsewhere(node) else None)
            if elsewhere:
                raise Damaged(
                    f"{path}: {elsewhere} is in another file, which is not followed. Copy all of it"
                    f" into one file, for example in Python: target[{elsewhere!r}] ="
                    f" source[{elsewhere!r}][...]."
                )
    except BaseException:
        file.close()
        raise
    return file


def _elsewhere(node: Any) -> bool:
    return isinstance(node, h5py.Dataset) and bool(node.is_virtual or node.external)


@lru_cache(maxsize=32)
def _check_heaps(path: str, version: tuple[int, int]) -> None:
    """Check the heaps of a file whose texts and references have no fixed length.

    They must have no free piece of size zero, over which libhdf5 would loop forever. version: the version of
    the file, so that it is checked only once.
    """
    if not version[0]:
        return
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.find(HEAP)
        while at >= 0:
            end, piece = min(at + int.from_bytes(content[at + 8 : at + 16], "little"), len(content)), at + 16
            while piece + 16 <= end:
                index, size = (
                    int.from_bytes(content[piece : piece + 2], "little"),
                    int.from_bytes(content[piece + 8 : piece + 16], "little"),
                )
                if index == 0 and size == 0:
                    raise Damaged(f"{path} is damaged: a heap of it, at byte {at}, has a piece of no size.")
                piece += 16 + -(-size // 8) * 8 if index else size
            at = content.find(HEAP, at + 1)


def check_heaps(node: Any) -> None:
    """Check the heaps before an attribute of variable length is read."""
    path = node.file.filename
    said = os.stat(path)
    _check_heaps(path, (said.st_size, said.st_mtime_ns))


def attribute(node: Any, name: str) -> Any:
    """Read one attribute: numbers, or one text. Raises KeyError if it does not exist."""
    found = node.attrs.get_id(name)
    if found.dtype.kind == "O":
        check_heaps(node)
    one_text = found.shape == () and h5py.check_string_dtype(found.dtype) is not None
    if found.shape is None or not (one_text or found.dtype.kind in "biufS"):
        raise Damaged(f"{node.file.filename} is damaged: its attribute {name} holds {found.dtype}.")
    check_fits(prod(found.shape) * found.dtype.itemsize, f"{node.file.filename}: {name}")
    return node.attrs[name]


def texts(node: Any, name: str) -> list[str]:
    """Read an attribute of one or a few texts; empty if there is none."""
    if name not in node.attrs:
        return []
    found = node.attrs.get_id(name)
    if found.shape is None or prod(found.shape) > 32 or h5py.check_string_dtype(found.dtype) is None:
        return []
    if found.dtype.kind == "O":
        check_heaps(node)
    return [
        t.decode(errors="replace") if isinstance(t, bytes) else str(t)
        for t in np.ravel(node.attrs[name]).tolist()
    ]


def attributes(node: Any) -> dict[str, Any]:
    return {name: attribute(node, name) for name in node.attrs}


def array(node: h5py.Dataset) -> np.ndarray:
    """Read a whole dataset, after checking it."""
    check_array(node)
    return node[()]


def check_array(node: h5py.Dataset, whole: bool = True) -> None:
    """Check that a dataset is plain numbers or text of fixed length, fits into memory (if all of it is read),
    and is compressed correctly. Raises InputError.
    """
    what = f"{node.file.filename}: {node.name}"
    if node.shape is None or node.dtype.kind not in "biufS":
        raise Damaged(f"{what} holds {node.dtype}, but numbers are needed.")
    if whole:
        check_fits(prod(node.shape) * node.dtype.itemsize, what)
    check_chunks(node)


def check_chunks(node: h5py.Dataset) -> None:
    """Check that the chunks of a dataset unpack to no more than their size.

    Raises InputError, also for an unknown compression.
    """
    if not node.chunks:
        return
    what, size, made = (
        f"{node.file.filename}: {node.name}",
        prod(node.chunks) * node.dtype.itemsize,
        node.id.get_create_plist(),
    )
    filters = [made.get_filter(i)[0] for i in range(made.get_nfilters())]
    if len(set(filters)) < len(filters) or not FILTERS.issuperset(filters):
        raise Damaged(f"{what} is packed in a way that is not read. Save it with gzip, or plain.")
    if not filters:
        return
    check_fits(size, what)
    if node.id.get_storage_size() * DEFLATE > SMALL:
        large: list[tuple[int, ...]] = []
        node.id.chunk_iter(
            lambda chunk: large.append(chunk.chunk_offset) if chunk.size * DEFLATE > SMALL else None
        )
        for place in large if h5py.h5z.FILTER_DEFLATE in filters else ():
            check_unpacks(node.id.read_direct_chunk(place)[1], size, what)
