"""A small user model with diffusion, growth and a loss, on 9 x 8 cells."""

import numpy as np

from rdsolver.geometry.grid import Grid
from rdsolver.models.base import Field, Observer
from rdsolver.models.pointwise import ReactionDiffusion
from rdsolver.operators.reductions import total
from rdsolver.problem import ModelProblem, Solver


def rates(u, p, at):
    return {"a": p["growth"] * u["a"] * (1 - u["a"]) - u["a"] * u["b"], "b": u["a"] - u["b"]}


def amount(u, p, at):
    return total(u["a"]) / u["a"].size


FIELDS = (Field("a", "1", 1.0, "a"), Field("b", "1", 1.0, "b"))
MODEL = ReactionDiffusion(
    "prey", FIELDS, rates, {"a": "diffusivity"}, observers=(Observer("amount", "1", "amount", amount),)
)


def prey(integrator="tr-bdf2", save=(), model=MODEL, end=3.0):
    start = np.random.default_rng(0).random((9, 8))
    values = {"growth": 2.0, "diffusivity": 0.5}
    solver = Solver(integrator, 1e-4, "float64")
    return ModelProblem(
        model, Grid((9, 8), (1.0, 1.0), thickness=1.0), values, {"a": start}, end, save=save, solver=solver
    )
