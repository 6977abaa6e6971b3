"""A model whose sources follow time in ways that can be switched on."""

from rdsolver.geometry.grid import Grid
from rdsolver.models.verification import DRIVEN
from rdsolver.problem import ModelProblem, Solver

GRID = Grid((8, 8), (10.0, 10.0), thickness=10.0)
NONE = {
    "day": 0.0,
    "pulse": 0.0,
    "dose": 0.0,
    "on": 23.3,
    "off": 23.9,
    "given": 7.0,
    "loss": 0.1,
    "diffusivity": 100.0,
    "undeclared": 0.0,
}


def driven(solver: Solver | None = None, **what) -> ModelProblem:
    return ModelProblem(DRIVEN, GRID, NONE | what, {}, 60.0, (0.0, 60.0), solver=solver or Solver())
