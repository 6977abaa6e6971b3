"""Contraction of the multigrid in a table of cases, and independence of its work from the grid spacing.

The cases are in multigrid_cases.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...geometry.grid import Grid
from ...geometry.trabeculae import trabecular
from ...simulation.time_loop import Simulation
from .bone_problems import dosed
from .multigrid_cases import cases
from .results import Curve, Row, at_most

SPACINGS = (20.0, 10.0, 5.0)  # um
LENGTH = 640.0  # um


def contraction(quick: bool) -> Iterator[Row | Curve]:
    """The factor by which a V(2,2) reduces the residual, or the number of Krylov iterations to 1e-6.

    The quick cases have their own test.
    """
    if not quick:
        for name, bound, observed in cases(quick):
            yield at_most(f"multigrid: {name}", bound, observed)


def work(spacing: float) -> tuple[int, int]:
    """(Stage solves, V-cycles of all groups in accepted steps) of 20 days after a dose on the bone model."""
    cells = int(LENGTH / spacing)
    place = trabecular(Grid((cells, cells), (spacing, spacing), thickness=10.0), 0.3, 120.0, 1)
    simulation = Simulation(dosed(place, end=20.0))
    cycles = 0
    for step in simulation.steps():
        a_stage = sum(n for name, n in step.stats.items() if name.endswith(".cycles"))
        cycles += int(step.stats.get("stages", 0) * a_stage)
    return simulation.totals.solves, cycles


def independence(quick: bool) -> Iterator[Row | Curve]:
    """The effect of the spacing. The tests compare 20 um with 10 um."""
    if quick:
        return
    for what, counts in zip(
        ("stage solves", "V-cycles"), zip(*map(work, SPACINGS), strict=True), strict=True
    ):
        text = f"multigrid: {what} of a run at 20, 10 and 5 um, most over least"
        yield at_most(text, 1.15, max(counts) / min(counts))


STUDIES = (contraction, independence)
