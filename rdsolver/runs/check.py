"""The properties and the cost of a run before it starts: the output of `rdsolver check`."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from ..output.writer import estimate_size
from ..parallel import device as devices
from ..problem import ModelProblem, Problem
from ..problem.bone_problem import expected_solves
from ..simulation.scenario import scenario_of, warnings_at_start
from ..timestepping.choice import choose
from ..timestepping.trbdf2 import GAMMA
from ..utils.memory import check_memory, enough_memory, memory_needed
from ..utils.reporting import byte_size
from .summary import Lines, RunSummary, summary_of


def describe(problem: Problem | ModelProblem) -> Lines:
    """The description of a problem: (topic, text) lines."""
    s, summary = problem.solver, summary_of(problem)
    return [
        ("section", f"{summary.record.get('kind', '')} {summary.where}".strip()),
        *summary.describe(),
        ("solver", f"{s.integrator}, {s.precision}, tolerance {s.tolerance:g}, {s.device}"),
    ]


def forecast(problem: Problem | ModelProblem) -> Lines:
    """The forecast of a run's cost before it starts: (topic, text) lines."""
    summary, cells = summary_of(problem), problem.grid.cells
    free = devices.free_memory("cpu") if problem.solver.device == "cpu" else None
    left = "" if free is None else f" of {byte_size(free)} free"
    needed = memory_needed(*run_size(problem, summary))
    lines = [
        ("cells", f"{cells:,}, {int(summary.active.sum()):,} of them solved"),
        ("memory", f"about {byte_size(needed)}{left}"),
        (
            "file",
            f"{len(problem.save)} saved times, at most {byte_size(expected_file_size(problem, summary))}",
        ),
    ]
    with devices.on(problem.solver.device):
        return lines + _expected_work(problem)


def _expected_work(problem: Problem | ModelProblem) -> Lines:
    """The stiffness of a bone run and its stage solves; for another model the integrator, and the reason for
    its choice.
    """
    if isinstance(problem, ModelProblem):
        scenario = scenario_of(problem)
        integrator, why = choose(
            problem.solver, scenario.system, scenario.u, problem.end, len(scenario.events)
        )
        return [("work", f"{integrator.name}, {why}")]
    p = problem.parameters
    fastest = 4 * p["rankl_diffusivity"] * sum(1 / h**2 for h in problem.grid.spacing)
    if problem.tissue == "bone":
        slowest, what = p["turnover_speed"] * p["surface_reference"], "bone turnover"
    else:
        slowest, what = p["response_rate"], "response"
    solves, unknowns = expected_solves(problem), problem.grid.cells * len(summary_of(problem).fields)
    stiffness = f"{fastest:.2g} /d (diffusion across a cell) to {slowest:.2g} /d ({what})"
    return [
        ("stiffness", f"{stiffness}: a ratio of {fastest / slowest:.0e}"),
        ("work", f"about {solves} stage solves of {unknowns:,} unknowns (tr-bdf2, tolerance 1e-3)"),
    ]


def as_plain(problem: Problem | ModelProblem) -> dict[str, Any]:
    """The contents of `describe` and `forecast` as plain values."""
    summary, grid, solver = summary_of(problem), problem.grid, problem.solver
    return {
        "title": problem.title,
        "section": dict(summary.record),
        "cells": list(grid.shape),
        "cells_solved": int(summary.active.sum()),
        "spacing_um": list(grid.spacing),
        "thickness_um": grid.thickness,
        "fields": [f.name for f in summary.fields],
        "end_d": problem.end,
        "saved_d": list(problem.save),
        "changes": [
            {"parameter": c.parameter, "factor": c.factor, "start_d": c.start, "end_d": c.end}
            for c in problem.changes
        ],
        "solver": {
            name: getattr(solver, name) for name in ("integrator", "precision", "tolerance", "device")
        },
        "memory_bytes": memory_needed(*run_size(problem, summary)),
        "memory_free_bytes": devices.free_memory(solver.device) if solver.device == "cpu" else None,
        "file_bytes_at_most": expected_file_size(problem, summary),
        "parameters": dict(problem.parameters),
    }


def solver_report(problem: Problem | ModelProblem) -> Lines:
    """A report on the convergence of the multigrid on this section.

    V-cycles are run on a stage of a step of 1 d from the start.
    """
    summary = summary_of(problem)
    with devices.on(problem.solver.device), enough_memory(*run_size(problem, summary)):
        scenario = scenario_of(problem)
        system = scenario.between(0.0, scenario.events[0])
        found = system.contraction(jnp.zeros(()), scenario.u, jnp.asarray(1 / GAMMA, scenario.dtype))
        cycles = {g.name: g.cycles for g in scenario.model.groups}
    rows = summary.opening(scenario)
    for name, factors in found.items():
        used = float(np.prod(factors[: cycles[name]])) ** (1 / cycles[name])
        rows.append(
            (
                "multigrid",
                (
                    f"{name}: {used:.2f} a V-cycle over the {cycles[name]} of a solve; cycle by cycle"
                    f" {' '.join(f'{x:.2f}' for x in factors)}"
                ),
            )
        )
    return rows


def check_start(problem: Problem | ModelProblem, device: str | None = None) -> tuple[str, ...]:
    """Check the start of a run. Return the warnings that can be given only there.

    Raises InputError for faults of the start: memory, the run from which it continues, the rates of a user
    model.
    """
    device, summary = device or problem.solver.device, summary_of(problem)
    size = run_size(problem, summary)
    with devices.on(device), enough_memory(*size):
        check_memory(*size, devices.free_memory(device))
        return warnings_at_start(problem)


def run_size(problem: Problem | ModelProblem, summary: RunSummary) -> tuple[int, int, str]:
    """The numbers that determine the memory of a run: cells, fields, precision."""
    return problem.grid.cells, len(summary.fields), problem.solver.precision


def expected_file_size(problem: Problem | ModelProblem, summary: RunSummary) -> int:
    return estimate_size(
        problem.grid, summary.fields, len(problem.save), problem.solver.precision, problem.output
    )
