"""Files that are written as a whole or not at all, even if the process is killed or the power fails.

They are written under another name, flushed to the disk, and then renamed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def fresh_name(path: Path) -> Path:
    """The name of a file while it is written."""
    return path.with_name(f"{path.name}.new")


@contextmanager
def replacing(path: Path, *, fresh: Path | None = None, before: Path | None = None) -> Iterator[Path]:
    """Yield the name to write to; when it is written, the file takes the place of `path`.

    After an error nothing is left of it, and `path` is unchanged.

    fresh   the name to write to, if several processes may write at once (default: fresh_name)
    before  the new name of an earlier file at `path` (None: it is not kept)

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
    """Flush a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
