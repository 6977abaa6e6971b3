"""Step control: one decision for each attempt, traced."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import NamedTuple

import jax.numpy as jnp

from ..operators.array_types import Count, Number, Truth
from .base import StepAttempt

SAFETY, LEAST, MOST = 0.8, 0.2, 4.0
# in the error norm: if the correction of the last V-cycle is larger, the solver did not solve the stage
UNSOLVED = 0.5


class Verdict(NamedTuple):
    """The verdict on an attempt.

    accept    True if the step counts
    dt        the next step, d, not clipped by events
    unsolved  largest last correction of the linear solver in the error norm (0: no solver, or one V-cycle)
    """

    accept: Truth
    dt: Number
    unsolved: Number


def judge(attempt: StepAttempt, dt: Number, cycles: Mapping[str, Count], order: int) -> Verdict:
    """Accept a step whose error is at most 1 and whose state is finite, not negative and solved.

    The next step is this one times 0.8 err^(-1/(order+1)), limited to 0.2 .. 4, and times a quarter after a
    failure. cycles: the V-cycles of each group in the attempt; one alone says nothing about what is left.
    """
    error = attempt.error
    left = [jnp.where(n > 1, attempt.report[group], 0.0) for group, n in cycles.items()]
    unsolved = jnp.max(jnp.stack([jnp.zeros((), jnp.float64), *left]))
    bad = (
        ~attempt.finite
        | ~jnp.isfinite(error)
        | jnp.logical_not(unsolved <= UNSOLVED)  # also if it is NaN
        | (attempt.lowest < -1)
    )
    factor = jnp.where(error == 0, MOST, SAFETY * error ** (-1 / (order + 1)))
    factor = jnp.where(bad, 0.25, jnp.clip(factor, LEAST, MOST))
    return Verdict(~bad & (error <= 1), dt * factor, unsolved)


def reason(tried: Mapping[str, float]) -> str:
    """Why an attempt was rejected. tried: its row (advance.py)."""
    if not tried["finite"] or not isfinite(tried["error"]):
        return "not finite"
    if not tried["unsolved"] <= UNSOLVED:
        return f"the linear solver left a correction of {tried['unsolved']:.2g} of the tolerance"
    if tried["lowest"] < -1:
        return f"a density fell to {tried['lowest']:.2g} tolerances below zero"
    return f"error {tried['error']:.2g} of the tolerance"


def clipped(dt: Number, left: Number) -> Number:
    """The step to take when `left` days remain to the next landing.

    It is `left` if the step reaches that far, or half of it if only a very short step would remain.
    """
    return jnp.where(dt >= left, left, jnp.where(left < dt / 0.6, left / 2, dt))
