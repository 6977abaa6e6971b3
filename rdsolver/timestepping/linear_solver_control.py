"""How much work the linear solver of a stage is given: decided on the host between steps, fixed inside one.

A attempt whose last V-cycle still changed the solution by more than UNSOLVED of the tolerance was not solved.
Where its step was not too long anyhow, by its error, it is tried again with the V-cycles that the contraction
seen asks for, and where V-cycles alone are slow (masks, contrasts of 1000) each becomes an iteration of
conjugate residuals; only at MOST_CYCLES is the step shortened. What is not needed any more is taken back one
by one.
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
AIM, SPARE = 0.5 * UNSOLVED, 0.05 * UNSOLVED  # of the last correction


def least(groups: tuple[Group, ...]) -> dict[str, np.int32]:
    """V-cycles of every transport group as its model states them."""
    return {g.name: np.int32(g.cycles) for g in groups if g.solve == "transport"}


def more(system: System, seen: Mapping[str, float]) -> System | None:
    """The system with a plan that would have solved the attempt; None where there is none.

    seen: of each group the last correction in the error norm, and "<group>.contraction" (StepAttempt.stats).
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
    """One V-cycle less for each group whose solution would have done with it, down to the model's own."""
    floor, cycles = least(system.model.groups), dict(system.cycles)
    for name, now in system.cycles.items():
        if now > floor[name] and seen[name] < SPARE * min(1.0, seen[f"{name}.contraction"]):
            cycles[name] = np.int32(now - 1)
    return system if cycles == system.cycles else replace(system, cycles=cycles)


def carried(old: System, new: System) -> System:
    """The plan so far, for the system after an event."""
    return replace(new, cycles=old.cycles, krylov=old.krylov)
