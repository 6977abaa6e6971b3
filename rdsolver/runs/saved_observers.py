"""The observers at the saved times, which run on the host, on NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import RunError, file_of, traced
from ..models.base import Model
from ..problem import ModelProblem, Problem
from ..problem.changes import in_force


def watched_at_saved(
    problem: Problem | ModelProblem, model: Model, t: float, fields: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """The numbers at time t (d) from the fields of the whole grid, by name.

    Raises RunError if an observer fails, or gives no number.
    """
    observers = [o for o in model.observers if o.where == "host"]
    if not observers:
        return {}
    signed = {f.name for f in model.fields(problem.parameters) if f.signed}
    u = {name: x if name in signed else np.maximum(x, 0) for name, x in fields.items()}
    p = in_force(problem.parameters, problem.changes, t)
    active = problem.section.active if isinstance(problem, Problem) else problem.mask
    at = {"time": t, "active": active, "spacing": problem.grid.spacing}
    return {o.name: _number(o.name, o.value, u, p, at) for o in observers}


def _number(name: str, value: Any, *seen: Any) -> float:
    try:
        return float(value(*seen))
    except Exception as error:
        raise RunError(
            f"the observer {name} fails at {seen[-1]['time']:g} d. {traced(error, file_of(value))}"
        ) from error
