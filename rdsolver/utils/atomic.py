"""Files that are there whole or not at all, whenever the process is killed or the power fails: written under
another name, flushed to the disk, and then renamed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def fresh_name(path: Path) -> Path:
    """What a file is called while it is written."""
    return path.with_name(f"{path.name}.new")


@contextmanager
def replacing(path: Path, *, fresh: Path | None = None, before: Path | None = None) -> Iterator[Path]:
    """Gives the name to write to; once that is done, what was written takes the place of `path`. After an
    error nothing is left of it, and `path` is as it was.

    fresh   the name to write to, where several processes may write at once (default: fresh_name)
    before  where an earlier file at `path` goes (None: nowhere)

    Raises OSError.
    """
    fresh = fresh or fresh_name(path)
    try:
        yield fresh
        _flush(fresh)
        if before is not None and path.exists():
            os.replace(path, before)
        os.replace(fresh, path)
        _flush(path.parent)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Replace a file by this text. Raises OSError."""
    with replacing(path) as fresh:
        fresh.write_text(text, encoding="utf-8")


def _flush(path: Path) -> None:
    """A file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
