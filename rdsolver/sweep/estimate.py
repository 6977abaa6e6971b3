"""The estimated cost of a sweep in memory, disk and time, known before the first of its runs starts."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..utils.reporting import byte_size
from .collect import grid
from .design import Design

OBSERVABLES = 16  # approximate number of observables of a run in series.h5


@dataclass(frozen=True)
class Estimate:
    """The cost of the rest of a sweep.

    memory   bytes of its largest run
    disk     bytes of all files, including the collected series
    seconds  on one core (None: not known)
    """

    memory: int
    disk: int
    seconds: float | None


def estimate(design: Design, statuses: Mapping[int, Mapping[str, Any]]) -> Estimate:
    """The cost of the runs that have not ended.

    statuses: the statuses of the runs that have ended, which show how long the others will take.
    """
    left = Counter(group for i, group in enumerate(design.groups) if i not in statuses)
    costs = {group: design.costs[group] for group in left}
    walls: dict[int, list[float]] = {}
    for i, status in statuses.items():
        if status["status"] == "finished":
            walls.setdefault(design.groups[i], []).append(status["wall_time"])
    known = {group: sum(w) / len(w) for group, w in walls.items()}
    each = {group: known.get(group, c.seconds) for group, c in costs.items()}
    seconds = None if None in each.values() else sum(n * (each[group] or 0.0) for group, n in left.items())
    collected = len(design) * len(grid(design.as_json())) * OBSERVABLES * 8
    disk = sum(n * costs[g].file for g, n in left.items()) + collected
    return Estimate(max((c.memory for c in costs.values()), default=0), disk, seconds)


def check_disk(folder: Path, needed: int) -> int:
    """The number of bytes free at the folder's place on the disk. Raises InputError when they are too few."""
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise InputError(
            f"{folder}: the runs would take about {byte_size(needed)} of disk, and {byte_size(free)} are"
            " free. Keep less (keep.fields = false, output.fields, output.stride, a longer time.save), or"
            " choose another disk with --out."
        )
    return free
