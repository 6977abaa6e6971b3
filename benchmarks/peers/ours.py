"""rdsolver itself on W1 and W2, through its own Simulation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from rdsolver.models.verification import DECOY, DECOY_VALUES
from rdsolver.parallel import device
from rdsolver.problem import ModelProblem, Solver
from rdsolver.simulation.time_loop import Simulation

from ..problems import MARKS, Case

NAMES = ("rankl", "opg", "bound")  # names of L, O, X


def problem(case: Case, integrator: str, tolerance: float, precision: str) -> ModelProblem:
    sources = {"rankl_source": case.sources[0], "opg_source": case.sources[1]}
    solver: Any = Solver(integrator, tolerance, precision)  # pyright: ignore[reportArgumentType]  # names come from the peers' table
    active = None if case.active.all() else case.active
    return ModelProblem(
        DECOY, case.grid, DECOY_VALUES, {}, MARKS[-1], MARKS, active=active, arrays=sources, solver=solver
    )


def build(
    case: Case, precision: str, integrator: str
) -> Callable[[float], tuple[list[np.ndarray], dict[str, Any]]]:
    """Return solve(tolerance) -> states at MARKS, counts; a first run compiles."""

    def solve(tolerance: float) -> tuple[list[np.ndarray], dict[str, Any]]:
        with device.on("gpu" if jax.default_backend() == "gpu" else "cpu"):
            simulation = Simulation(problem(case, integrator, tolerance, precision))
            saved = dict(pair for step in simulation.steps() for pair in step.saved)
        totals = simulation.totals
        states = [np.stack([np.asarray(saved[t][name], float) for name in NAMES]) for t in MARKS]
        counts = {
            "steps": totals.steps,
            "rejected": totals.rejected,
            "solves": totals.solves,
            "integrator": simulation.integrator.name,
        }
        return states, counts

    solve(1e-2)
    return solve
