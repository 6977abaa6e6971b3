"""Memory: the need of a run, the free memory, and the errors when a run does not fit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import InputError, RdsolverError, RunError

ARRAYS_PER_FIELD, ARRAYS_MORE = 16, 60
"""The number of whole-grid arrays in memory in an implicit stage, per field and in addition; measured as peak
memory of whole runs (docs/numerics.md).
"""


def memory_needed(cells: int, fields: int, precision: str) -> int:
    """An estimate of the peak memory of a run, bytes."""
    return cells * (ARRAYS_PER_FIELD * fields + ARRAYS_MORE) * (8 if precision == "float64" else 4)


EXHAUSTED = re.compile("RESOURCE_EXHAUSTED|out.of.memory|bad_alloc", re.IGNORECASE)
"""The texts of JAX's errors when there is no memory; the type of its error does not show it."""
LESS = "Use a coarser section.spacing, a smaller section.size or crop, or float32."


def check_memory(cells: int, fields: int, precision: str, free: int | None) -> None:
    """Raise InputError if a run would not fit into `free` bytes (None: unknown, not checked)."""
    need = memory_needed(cells, fields, precision)
    if free is not None and need > free:
        raise InputError(
            f"section: {cells:,} cells with {fields} fields in {precision} need about {need / 2**30:.1f} GiB"
            f" of memory, and {free / 2**30:.1f} GiB are free. {LESS}"
        )


@contextmanager
def enough_memory(cells: int, fields: int, precision: str) -> Iterator[None]:
    """Raise RunError if NumPy or JAX cannot allocate an array."""
    try:
        yield
    except Exception as error:
        if isinstance(error, RdsolverError) or not (
            isinstance(error, MemoryError) or EXHAUSTED.search(str(error))
        ):
            raise
        need = memory_needed(cells, fields, precision)
        raise RunError(
            f"memory ran out: {cells:,} cells with {fields} fields in {precision} need about"
            f" {need / 2**30:.2g} GiB. What was saved before is kept. Free some and resume the run, or start"
            f" a smaller one. {LESS}"
        ) from error


def host_memory() -> int | None:
    """The number of bytes free on this machine, or left to this process if it is limited; None if unknown."""
    try:
        with open("/proc/meminfo") as f:
            rows = dict(line.split(":", 1) for line in f)
        free = int(rows["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    import resource  # imported only on systems with /proc

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        with open("/proc/self/statm") as f:
            free = min(free, limit - int(f.read().split()[0]) * resource.getpagesize())
    return free
