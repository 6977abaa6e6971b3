"""One run in plain data, between the input and the computation.

This package needs no JAX, pydantic or pint, so a run can be set up in Python on a machine that has none of
them. All numbers are in internal units (um, d, nM, cells/mm3, mg/kg).
"""

from typing import TYPE_CHECKING

from .._moved import moved
from .bone_problem import Problem
from .changes import Change
from .model_problem import ModelProblem
from .output import Output
from .solver import Solver
from .source import Source

__all__ = ["Change", "ModelProblem", "Output", "Problem", "Solver", "Source"]

if not TYPE_CHECKING:
    __getattr__ = moved("problem")
