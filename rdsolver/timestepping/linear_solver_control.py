"""The number of V-cycles of each stage solve, chosen on the host between steps and fixed inside a step.

An attempt whose last V-cycle still changed the solution by more than UNSOLVED of the tolerance was not
solved. If the error of its step was acceptable, the step is tried again with the number of V-cycles that the
observed contraction requires, and where V-cycles alone are slow (masks, contrasts of 1000) each becomes an
iteration of conjugate residuals; the step is shortened only at MOST_CYCLES. V-cycles that are no longer
needed are removed one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import ceil, isfinite, log

import numpy as np

from ..models.base import Group
from .step_control import UNSOLVED
from .system import System

MOST_CYCLES = 12
SLOW = 0.5  # a contraction above it is worth the memory and the compilation of conjugate residuals
AIM, SPARE = 0.5 * UNSOLVED, 0.05 * UNSOLVED  # bounds on the last correction


def least(groups: tuple[Group, ...]) -> dict[str, np.int32]:
    """The number of V-cycles of every transport group as its model states it."""
    return {g.name: np.int32(g.cycles) for g in groups if g.solve == "transport"}


def more(system: System, seen: Mapping[str, float]) -> System | None:
    """The system with a plan that would have solved the attempt; None if there is none.

    seen: for each group the last correction in the error norm, and "<group>.contraction" (StepAttempt.stats).
    """
    cycles, krylov = dict(system.cycles), set(system.krylov)
    for name, now in system.cycles.items():
        left, factor = seen[name], seen[f"{name}.contraction"]
        if now < 2 or left <= UNSOLVED:
            continue
        if not isfinite(left) or factor >= 1 or now >= MOST_CYCLES:
            return None
        cycles[name] = np.int32(min(MOST_CYCLES, now + ceil(log(AIM / left) / log(factor))))
        if factor > SLOW:
            krylov.add(name)
    if cycles == system.cycles:
        return None
    return replace(system, cycles=cycles, krylov=tuple(sorted(krylov)))


def fewer(system: System, seen: Mapping[str, float]) -> System:
    """The system with one V-cycle less for each group that does not need it, down to the number of the
    model.
    """
    floor, cycles = least(system.model.groups), dict(system.cycles)
    for name, now in system.cycles.items():
        if now > floor[name] and seen[name] < SPARE * min(1.0, seen[f"{name}.contraction"]):
            cycles[name] = np.int32(now - 1)
    return system if cycles == system.cycles else replace(system, cycles=cycles)


def carried(old: System, new: System) -> System:
    """The system after an event, with the plan so far."""
    return replace(new, cycles=old.cycles, krylov=old.krylov)
