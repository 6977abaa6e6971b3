"""The number of V-cycles of each stage solve: chosen between steps, fixed inside a step; traced.

An attempt whose last V-cycle still changed the solution by more than UNSOLVED of the tolerance was not
solved. If the error of its step was acceptable, the step is tried again with the number of V-cycles that the
observed contraction requires, and where V-cycles alone are slow (masks, contrasts of 1000) each becomes an
iteration of conjugate residuals, in another program; the step is shortened only at MOST_CYCLES. V-cycles that
are no longer needed are removed one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from ..models.base import Group
from ..operators.array_types import Count, Number, Truth
from .step_control import UNSOLVED

MOST_CYCLES = 12
SLOW = 0.5  # a contraction above it is worth the memory and the compilation of conjugate residuals
AIM, SPARE = 0.5 * UNSOLVED, 0.05 * UNSOLVED  # bounds on the last correction

Cycles = Mapping[str, Count]
Report = Mapping[str, Number]
"""For each group its last correction in the error norm, and "<group>.contraction" (StepAttempt.report)."""


def least(groups: tuple[Group, ...]) -> dict[str, np.int32]:
    """The number of V-cycles of every transport group as its model states it."""
    return {g.name: np.int32(g.cycles) for g in groups if g.solve == "transport"}


class Plan(NamedTuple):
    """A plan that would have solved an attempt.

    better  False if there is none
    cycles  V-cycles of each group
    slow    for each group, True if it should be accelerated
    """

    better: Truth
    cycles: dict[str, Count]
    slow: dict[str, Truth]


def more(cycles: Cycles, report: Report) -> Plan:
    """The plan with more V-cycles for each group that these did not solve."""
    planned, slow, hopeless = {}, {}, jnp.asarray(False)
    for name, now in cycles.items():
        left, factor = report[name], report[f"{name}.contraction"]
        lacks = (now >= 2) & ~(left <= UNSOLVED)
        hopeless |= lacks & ~(jnp.isfinite(left) & (factor < 1) & (now < MOST_CYCLES))
        wanted = jnp.minimum(now + jnp.ceil(jnp.log(AIM / left) / jnp.log(factor)), MOST_CYCLES)
        planned[name] = jnp.where(lacks & ~hopeless, wanted, now).astype(jnp.int32)
        slow[name] = lacks & ~hopeless & (factor > SLOW)
    changed = [planned[name] != now for name, now in cycles.items()]
    return Plan(~hopeless & jnp.any(jnp.stack(changed)) if changed else hopeless, planned, slow)


def fewer(cycles: Cycles, floor: Mapping[str, np.int32 | Count], report: Report) -> dict[str, Count]:
    """One V-cycle less for each group that does not need it, down to `floor`."""
    spare = {k: report[k] < SPARE * jnp.fmin(1.0, report[f"{k}.contraction"]) for k in cycles}
    return {k: (n - ((n > floor[k]) & spare[k])).astype(jnp.int32) for k, n in cycles.items()}
