"""Small sections of the bone model that studies run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...geometry.boundary_conditions import Border
from ...geometry.grid import Grid
from ...geometry.section import Section
from ...geometry.trabeculae import trabecular
from ...models.bone.binders import drug
from ...models.bone.parameters import parameters
from ...models.bone.pharmacokinetics import Dose
from ...problem import Change, Problem, Solver

SPACING = 20.0


def oblique(cells: int) -> Section:
    """A flat surface oblique to the grid, for the smallest sections."""
    grid = Grid((cells, cells), (SPACING, SPACING), thickness=10.0)
    y, x = np.meshgrid(grid.centres(0), grid.centres(1), indexing="ij")
    bone = 1 / (1 + np.exp((x + 0.5 * y - 0.75 * cells * SPACING) / SPACING))
    return Section(grid, bone, np.ones(grid.shape, bool), {"kind": "oblique surface"})


def section(cells: int, ndim: int = 2) -> Section:
    """A generated section, BV/TV 0.3, struts of 60 um, cells of 20 um."""
    return trabecular(
        Grid((cells,) * ndim, (SPACING,) * ndim, thickness=10.0 if ndim == 2 else None), 0.3, 60.0, 1
    )


def small(quick: bool) -> Section:
    """A section small enough for an independent integrator with a dense Jacobian.

    Quick studies share it, and its compiled programs.
    """
    return oblique(10) if quick else section(12)


def dosed(
    place: Section,
    *,
    agents: Sequence[str] = ("rank_fc",),
    end: float = 4.0,
    save: tuple[float, ...] = (),
    integrator: str = "tr-bdf2",
    tolerance: float = 1e-3,
    precision: str = "float64",
    surge: float = 1.0,
    changed: Mapping[str, float] | None = None,
    borders: tuple[Border, ...] = (),
) -> Problem:
    """A problem with 3 mg/kg of each drug on day 0; surge: factor on RANKL production from day 0."""
    binders = tuple(map(drug, agents))
    values = {p.name: p.default("human") for p in parameters(binders)} | dict(changed or {})
    return Problem(
        place,
        values,
        end,
        save,
        agents=binders,
        doses=tuple(Dose(a, 3.0, "sc", 0.0) for a in agents),
        changes=() if surge == 1 else (Change("rankl_production", surge, 0.0),),
        borders=borders,
        solver=Solver(integrator, tolerance, precision),  # pyright: ignore[reportArgumentType]
    )
