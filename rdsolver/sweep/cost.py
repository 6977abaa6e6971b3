"""The cost of one run of a sweep in memory, disk and time, from its problem alone."""

from __future__ import annotations

from dataclasses import dataclass

from ..config.config import Config
from ..problem import ModelProblem, Problem
from ..problem.bone_problem import expected_solves
from ..utils.memory import memory_needed

FILE_OVERHEAD = 150_000  # bytes of a run file beside its arrays, including its log and its status
# on one core, measured at 64 x 64 to 256 x 256
SECONDS_A_RUN, SECONDS_A_SOLVE, SECONDS_AN_UNKNOWN = 0.3, 5e-4, 5e-8


@dataclass(frozen=True)
class Cost:
    """The cost of one run.

    memory   bytes
    file     bytes of run.h5
    seconds  on one core (None: not known before a run has finished)
    """

    memory: int
    file: int
    seconds: float | None


def cost(config: Config, problem: Problem | ModelProblem) -> Cost:
    cells, fields = problem.grid.cells, len(config.field_names)
    size = 8 if config.solver.precision == "float64" else 4
    saved = fields if problem.output.fields is None else len(problem.output.fields)
    file = FILE_OVERHEAD + cells * (size * (saved * len(problem.save) + fields) + 2 * 8)
    seconds = None
    if isinstance(problem, Problem):
        seconds = SECONDS_A_RUN + expected_solves(problem) * (
            SECONDS_A_SOLVE + SECONDS_AN_UNKNOWN * cells * fields
        )
    return Cost(memory_needed(cells, fields, config.solver.precision), file, seconds)
