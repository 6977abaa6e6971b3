"""File locks, which keep two processes from writing one file.

On a file system without locks a run continues with a warning.
"""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import h5py

NONE_THERE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""The errors of a file system without locks, such as NFS without its lock daemon."""


def taken(descriptor: int) -> bool:
    """Take the lock of an open file, if the file system has locks. Return False if another process has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # the file system has no locks
        pass
    return True


def warnings(folder: Path) -> Iterator[str]:
    """Warnings about a folder whose files cannot be locked."""
    with TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in NONE_THERE:
                yield (
                    f"{folder}: its file system has no locks, so nothing keeps a second process from writing"
                    " there. See that none does."
                )


def hdf5(path: str | Path, mode: str, **how: Any) -> h5py.File:
    """Open an HDF5 file, without a lock if the file system has none. Raises what h5py raises."""
    try:
        return h5py.File(path, mode, **how)
    except OSError as error:
        if error.errno not in NONE_THERE:
            raise
    return h5py.File(path, mode, **how | {"locking": False})
