"""The rates of a model tried once at its start, so that a slip in them is an error of the input and names its line."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .errors import InputError, traced
from .problem import ModelProblem, file_of
from .system import Fields, System


def try_rates(problem: ModelProblem, system: System, u: Fields) -> None:
    """Raises InputError when the rates fail, miss or invent a field, or give what is no finite number in every cell."""
    model, place = problem.model, system.place
    at = place.arrays | {"active": place.active} | system.inputs(jnp.zeros(()))
    name = f"the rates of {model.name}"
    try:
        found: Any = jax.jit(lambda u, p, at: model.rates(u, p, at))(u, system.p, at)
    except KeyError as error:
        there = {"u": u, "p": system.p, "at": at}
        known = "; ".join(f"{k} holds {', '.join(v) or 'nothing'}" for k, v in there.items())
        raise InputError(f"{name} fail. {traced(error, file_of(model.rates))} is not there: {known}.") from error
    except Exception as error:
        raise InputError(f"{name} fail. {traced(error, file_of(model.rates))}") from error
    keys = list(found) if isinstance(found, dict) else type(found).__name__
    if not isinstance(found, dict) or set(found) != set(u):
        raise InputError(f"{name} give {keys}. They must give a dictionary with du/dt of every field: {', '.join(u)}.")
    for key, x in found.items():
        if np.shape(x) not in ((), problem.grid.shape):
            raise InputError(f"{name}: that of {key} has shape {np.shape(x)}, the grid {problem.grid.shape}. They must be pointwise.")
        broken = ~np.isfinite(np.broadcast_to(x, problem.grid.shape)) & problem.mask
        if broken.any():
            cell = tuple(int(i) for i in np.argwhere(broken)[0])
            state = ", ".join(f"{k} = {float(v[cell]):g}" for k, v in u.items())
            raise InputError(f"{name}: that of {key} is not finite at the start in {broken.sum():,} cells; in cell {cell}, {state}.")
