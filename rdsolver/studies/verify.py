"""The verification studies, together: what runs, the table, the JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from .. import device
from ..errors import RdsolverError
from . import verify_drift, verify_exact, verify_invariants, verify_multigrid, verify_space, verify_time
from .rows import Curve, Row, Study

STUDIES: tuple[Study, ...] = (
    *verify_space.STUDIES,
    *verify_drift.STUDIES,
    *verify_time.STUDIES,
    *verify_exact.STUDIES,
    *verify_invariants.STUDIES,
    *verify_multigrid.STUDIES,
)


AT_ONCE = 2


def verify(
    quick: bool = False, tell: Callable[[Row], None] = lambda row: None, studies: Sequence[Study] | None = None
) -> tuple[list[Row], list[Curve]]:
    """Run the studies on the CPU in float64; rows go to `tell` in order. quick: the set that takes under a minute.

    Two at a time: most of it is compilation, which takes one core.
    """
    chosen, rows, curves = STUDIES if studies is None else studies, [], []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for found in chain.from_iterable(pool.map(lambda study: _whole(study, quick), chosen)):
            if isinstance(found, Row):
                rows.append(found)
                tell(found)
            else:
                curves.append(found)
    return rows, curves


def _whole(study: Study, quick: bool) -> list[Row | Curve]:
    """All that a study says. A run that stops is a miss of its study, not the end of all."""
    found = []
    with device.on("cpu"):  # types and device are a thread's own
        try:
            for each in study(quick):
                found.append(each)  # what came before a stop counts
        except RdsolverError as stopped:
            name = f"{study.__module__.rpartition('_')[2]}: {study.__name__} stopped: {stopped}"
            found.append(Row(name, "a run to its end", float("nan"), False))
    return found


def figures_folder() -> Path | None:
    """docs/verification of the checkout that rdsolver runs from; None for an installed package."""
    root = Path(__file__).resolve().parents[2]
    return root / "docs" / "verification" if (root / "pyproject.toml").is_file() else None


class Table:
    """Prints rows as they come: verdict, study, expected, observed."""

    WIDTH = 96

    def __init__(self, write: Callable[[str], None]) -> None:
        self.write, self.began, self.missed, self.count = write, time.perf_counter(), 0, 0
        write(f"{'':5}{'study':{self.WIDTH}} {'expected':>22} {'observed':>10}")

    def __call__(self, row: Row) -> None:
        self.count, self.missed = self.count + 1, self.missed + (not row.passed)
        self.write(f"{'ok' if row.passed else 'MISS':5}{row.study:{self.WIDTH}} {row.expected:>22} {row.observed:>10.4g}")

    def end(self) -> None:
        verdict = "all as expected" if not self.missed else f"{self.missed} missed"
        self.write(f"{self.count} studies in {time.perf_counter() - self.began:.0f} s: {verdict}")
