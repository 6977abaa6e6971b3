"""The periodic steady state of a drug in plasma: the amounts that a dose and the interval after it bring back
to themselves. It is found by Newton's method on the plasma model itself, so it is right where elimination
saturates too.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .plasma_rates import Pharmacokinetics
from .plasma_solver import solve

RTOL = 1e-12  # of the plasma solver, whose errors add up over the periods that lead to the steady state
CONVERGED = 1e-8  # relative change of all amounts
FIRST, MOST = 3, 50  # periods ahead of Newton's method, and its steps
NUDGE = 1e-4  # relative, for derivatives
LEAST = 1e-2  # share of a dose, or of the target, to which changes of less are relative
SLOWEST = 1 - 1e-6  # share of a deviation that is left after a period; with more no steady state is reached


@lru_cache(maxsize=256)
def trough(
    kinetics: Pharmacokinetics, dose: tuple[float, ...], duration: float, interval: float
) -> tuple[float, ...] | None:
    """The amounts right before each dose; None if repeated doses reach no steady state.

    dose: what it brings into each compartment, at once (duration 0) or at a constant rate.
    """
    given, lasting = np.array(dose), min(duration, interval)
    if not given.any():
        return dose

    def period(amounts: np.ndarray) -> np.ndarray:
        if not duration:
            return solve(kinetics, amounts + given, (0.0, 0.0), (0.0, interval), rtol=RTOL)[1][:, -1]
        rates = (given[0] / duration, given[1] / duration)
        amounts = solve(kinetics, amounts, rates, (0.0, lasting), rtol=RTOL)[1][:, -1]
        if lasting == interval:
            return amounts
        return solve(kinetics, amounts, (0.0, 0.0), (lasting, interval), rtol=RTOL)[1][:, -1]

    now = np.zeros(len(given))
    for _ in range(FIRST):
        now = period(now)
    there = np.flatnonzero(now)  # compartments that the drug reaches
    least = LEAST * np.array([given.sum()] * 4 + [kinetics.target])
    for _ in range(MOST):
        after, size = period(now), np.maximum(np.abs(now), least)
        slopes = np.zeros((len(there), len(there)))
        for column, i in enumerate(there):
            nudged, by = now.copy(), NUDGE * size[i]
            nudged[i] += by
            slopes[:, column] = (period(nudged) - after)[there] / by
        new, rest = after.copy(), np.eye(len(there)) - slopes
        if np.linalg.cond(rest) < 1 / np.finfo(float).eps:
            new[there] = now[there] + np.linalg.solve(rest, (after - now)[there])
        if (new[:4] < -least[:4]).any():  # too far: the next period is nearer
            new = after
        change = np.abs(new - now)[there] / np.maximum(np.abs(new), least)[there]
        now = new
        if (change < CONVERGED).all():
            lasts = np.abs(np.linalg.eigvals(slopes)).max()
            return tuple(now.tolist()) if lasts < SLOWEST else None
        if not np.isfinite(now).all():
            return None
    return None
