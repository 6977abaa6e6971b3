"""The amounts of a drug in its compartments over time, between two events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .plasma_rates import Pharmacokinetics

RTOL = 1e-9


def solve(
    kinetics: Pharmacokinetics,
    amounts: np.ndarray,
    infused: Sequence[float],
    span: tuple[float, float],
    at: np.ndarray | None = None,
    rtol: float = RTOL,
) -> tuple[np.ndarray, np.ndarray]:
    """Times (d), and the amounts at them, from these amounts on.

    infused: what infusions bring into depot and plasma, ng/(kg d). at: the times that are wanted (default:
    the solver's own steps).
    """
    from scipy.integrate import solve_ivp  # here, as it takes a third of a second to load

    most = max(np.abs(amounts).max(), max(infused) * (span[1] - span[0]))
    if most == 0:
        times = np.array(span) if at is None else at
        return times, np.zeros((len(amounts), len(times)))
    # round-off may leave amounts below zero when a drug is gone, or too small for a product
    floor = max(1e-12 * most, np.finfo(float).tiny)
    found = solve_ivp(
        lambda _, y: kinetics.rates(y, infused),
        span,
        amounts,
        method="LSODA",
        rtol=rtol,
        atol=floor,
        t_eval=at,
    )
    return found.t, found.y
