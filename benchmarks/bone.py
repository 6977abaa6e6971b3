"""W3: the bone model on a generated section, 60 days, one dose, as plain problem objects.

These need neither pydantic nor pint.

128^2 cells of 10 um are the demo's section; 256^2 the same at 5 um; 64^3 a block of 1280 um at 20 um.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.interpolate import PchipInterpolator

from rdsolver.geometry.grid import Grid
from rdsolver.geometry.section import Section
from rdsolver.geometry.trabeculae import trabecular
from rdsolver.models.bone.binders import drug
from rdsolver.models.bone.parameters import parameters
from rdsolver.models.bone.pharmacokinetics import Dose
from rdsolver.problem import Problem, Solver
from rdsolver.simulation.time_loop import Simulation
from rdsolver.studies.verification.replay import errors

SIZE = 1280.0  # um; edge of the box on every axis
FRACTION, THICKNESS, SEED = 0.25, 120.0, 1
DOSE = Dose("rank_fc", 3.0, "sc", 20.0)
END = 60.0  # d; end of the run


@lru_cache(maxsize=8)
def section(cells: int, ndim: int, seed: int = SEED) -> Section:
    """The box of SIZE with this many cells along each axis; small ones get a smaller box of the same
    cells.
    """
    spacing = max(SIZE / cells, 5.0) if cells >= 48 else 20.0
    thickness = min(THICKNESS, cells * spacing / 4)
    grid = Grid((cells,) * ndim, (spacing,) * ndim, thickness=10.0 if ndim == 2 else None)
    return trabecular(grid, FRACTION, thickness, seed)


def problem(cells: int, ndim: int, solver: Solver, end: float = END, seed: int = SEED) -> Problem:
    """W3 on cells^ndim; with an end before the dose of day 20, the dose is given after a third of it."""
    binders = (drug("rank_fc"),)
    values = {p.name: p.default("human") for p in parameters(binders)}
    dose = DOSE if end > DOSE.time else replace(DOSE, time=end / 3)
    return Problem(
        section(cells, ndim, seed), values, end, (0.0, end), agents=binders, doses=(dose,), solver=solver
    )


@dataclass
class Found:
    """The result of a run. times, ntx: of every accepted step; fields: at the end."""

    times: np.ndarray
    ntx: np.ndarray
    fields: dict[str, np.ndarray]
    scales: dict[str, float]

    def errors(self, want: Found) -> dict[str, float | str]:
        """The worst difference in NTX(t), the error of the worst field at the end (relative L2, floored), and
        its name.
        """
        each = errors(self.fields, want.fields, self.scales)
        worst = max(each, key=lambda k: each[k])
        # linear interpolation would have an error of 1e-4
        ntx = float(np.abs(PchipInterpolator(want.times, want.ntx)(self.times) - self.ntx).max())
        return {"error_ntx": ntx, "error_end": each[worst], "worst_field": worst}


def run(p: Problem) -> tuple[Simulation, Found]:
    """The simulation after its end, and the values that are compared. It must be called inside
    device.on().
    """
    simulation = Simulation(p)
    rows = np.array([(c.t, c.observed["ntx"]) for c in simulation.steps()])
    fields = {k: np.asarray(v, float) for k, v in simulation.u.items()}
    return simulation, Found(rows[:, 0], rows[:, 1], fields, {f.name: f.scale for f in simulation.fields})


def parse(name: str) -> tuple[int, int]:
    """The cells and axes of w3-128 or w3-64-3d. Raises ValueError for any other form."""
    found = re.fullmatch(r"w3-(\d+)(-3d)?", name)
    if not found:
        raise ValueError(f'case "{name}" is not known: w3-N for N x N cells, w3-N-3d for N x N x N')
    return int(found[1]), 3 if found[2] else 2
