"""The verification studies together: their list, the table, the JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from time import perf_counter

from ...errors import RdsolverError
from ...parallel import device
from . import drift, exact, invariants, multigrid, space, time
from .results import Curve, Row, Study

STUDIES: tuple[Study, ...] = (
    *space.STUDIES,
    *drift.STUDIES,
    *time.STUDIES,
    *exact.STUDIES,
    *invariants.STUDIES,
    *multigrid.STUDIES,
)


AT_ONCE = 2


def verify(
    quick: bool = False,
    tell: Callable[[Row], None] = lambda row: None,
    studies: Sequence[Study] | None = None,
) -> tuple[list[Row], list[Curve]]:
    """Run the studies on the CPU in float64; rows go to `tell` in order. quick: the set that takes under a
    minute.

    Two run at a time: most of the work is compilation, which takes one core.
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
    """All results of a study. A run that stops is a miss of its study, and does not end the others."""
    found = []
    with device.on("cpu"):  # each thread has its own types and device
        try:
            for each in study(quick):
                found.append(each)  # results before a stop count
        except RdsolverError as stopped:
            name = f"{study.__module__.rpartition('.')[2]}: {study.__name__} stopped: {stopped}"
            found.append(Row(name, "a run to its end", float("nan"), False))
    return found


class Table:
    """A table that prints rows as they come: verdict, study, expected, observed."""

    WIDTH = 96
    VERDICTS = {True: "ok", False: "MISS", None: "-"}  # noqa: RUF012

    def __init__(self, write: Callable[[str], None]) -> None:
        self.write, self.began, self.count = write, perf_counter(), Counter[bool | None]()
        write(f"{'':5}{'study':{self.WIDTH}} {'expected':>22} {'observed':>10}")

    def __call__(self, row: Row) -> None:
        self.count[row.passed] += 1
        self.write(
            f"{self.VERDICTS[row.passed]:5}{row.study:{self.WIDTH}} {row.expected:>22} {row.observed:>10.4g}"
        )

    def end(self) -> None:
        verdict = f"{self.count[False]} missed" if self.count[False] else "all as expected"
        verdict += f", {self.count[None]} not run" if self.count[None] else ""
        self.write(
            f"{self.count.total() - self.count[None]} studies in {perf_counter() - self.began:.0f} s:"
            f" {verdict}"
        )
