"""A check that tries the rates of a model once at its start.

So a mistake in the rates is an error of the input, and its line is named.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from ..errors import InputError, file_of, traced
from ..models.base import Observer
from ..problem import ModelProblem, Problem

Fields = dict[str, jax.Array]


def try_rates(
    what: str,
    rates: Any,
    u: Fields,
    p: Fields,
    at: Fields,
    mask: np.ndarray,
    needed: Collection[str],
    allowed: Collection[str] = (),
) -> None:
    """Try rates(u, p, at) once.

    mask     the cells that count
    needed   the fields of which it must give rates
    allowed  further fields of which it may give rates

    Raises InputError when the rates fail, miss or invent a field, or are not a finite number in every cell.
    """
    name = f"the rates of {what}"
    try:
        found: Any = jax.jit(rates)(u, p, at)
    except KeyError as error:
        there = {"u": u, "p": p, "at": at}
        known = "; ".join(f"{k} holds {', '.join(v) or 'nothing'}" for k, v in there.items())
        raise InputError(f"{name} fail. {traced(error, file_of(rates))} is not there: {known}.") from error
    except Exception as error:
        raise InputError(f"{name} fail. {traced(error, file_of(rates))}") from error
    keys = list(found) if isinstance(found, dict) else type(found).__name__
    if not isinstance(found, dict) or not set(needed) <= set(found) <= {*needed, *allowed}:
        more = f", and may give what is added to {', '.join(allowed)}" if allowed else ""
        raise InputError(
            f"{name} give {keys}. They must give a dictionary with du/dt of every field:"
            f" {', '.join(needed) or 'none'}{more}."
        )
    for key, x in found.items():
        if np.shape(x) not in ((), mask.shape):
            raise InputError(
                f"{name}: that of {key} has shape {np.shape(x)}, the grid {mask.shape}. They must be"
                " pointwise."
            )
        broken = ~np.isfinite(np.broadcast_to(x, mask.shape)) & mask
        if broken.any():
            cell = tuple(int(i) for i in np.argwhere(broken)[0])
            state = ", ".join(f"{k} = {float(v[cell]):g}" for k, v in u.items())
            raise InputError(
                f"{name}: that of {key} is not finite at the start in {broken.sum():,} cells; in cell {cell},"
                f" {state}."
            )


def try_observers(
    what: str,
    observers: Collection[Observer],
    taken: Collection[str],
    u: Fields,
    p: Fields,
    at: dict[str, Any],
    spacing: tuple[float, ...],
) -> None:
    """Try each observer of a user once.

    taken  the names of other observers
    at     the values that observers on the device see

    Raises InputError when an observer has a name that is taken, fails, or gives no number.
    """
    names = [*taken, *(o.name for o in observers)]
    fields, numbers = ({k: np.asarray(x) for k, x in arrays.items()} for arrays in (u, p))
    about = {"time": 0.0, "active": np.asarray(at["active"]) > 0, "spacing": spacing}
    for o in observers:
        who = f"the observer {o.name} of {what}"
        if names.count(o.name) > 1:
            raise InputError(f"{who} has a name that is taken. Give it another one.")
        try:
            if o.where == "host":
                found = np.asarray(o.value(fields, numbers, about))
            else:
                found = jax.eval_shape(lambda u, p, at, value=o.value: jnp.asarray(value(u, p, at)), u, p, at)
        except Exception as error:
            raise InputError(f"{who} fails. {traced(error, file_of(o.value))}") from error
        if found.shape != () or not np.issubdtype(found.dtype, np.number):
            raise InputError(
                f"{who} gives {found.dtype} of shape {found.shape}, and it must give one number."
            )


def follows_time(rates: Any, u: Fields, p: Fields, at: Fields) -> bool:
    """True if any of rates(u, p, at) depends on at["time"]."""
    found = jax.make_jaxpr(lambda time: rates(u, p, at | {"time": time}))(at["time"])
    return any(_reached(found.jaxpr, [True]))


def _reached(jaxpr: Any, inputs: list[bool]) -> list[bool]:
    """For each result of a traced function, True if it depends on the given inputs."""
    known = {v for v, on in zip(jaxpr.invars, inputs, strict=True) if on}

    def on(v: Any) -> bool:
        return not isinstance(v, Literal) and v in known

    for step in jaxpr.eqns:
        came, inner = [on(v) for v in step.invars], step.params.get("jaxpr")
        if not any(came):
            continue
        # the body of a jit in the user file can be searched
        looked_through = isinstance(inner, ClosedJaxpr) and len(inner.jaxpr.invars) == len(came)
        left = _reached(inner.jaxpr, came) if looked_through else [True] * len(step.outvars)
        known |= {v for v, reached in zip(step.outvars, left, strict=True) if reached}
    return [on(v) for v in jaxpr.outvars]


def unseen(name: str, problem: Problem | ModelProblem, follow_time: bool) -> tuple[str, ...]:
    """A warning if rates depend on time and nothing says how closely they must be resolved."""
    if not follow_time or problem.breaks or problem.solver.longest_step is not None:
        return ()
    return (
        (
            f"the rates of {name} depend on time, and it is not stated how fast: a step may skip what happens"
            ' within it. Give solver.longest_step, for example "2 h", or declare in'
            " the model the times at which they jump (breaks)."
        ),
    )
