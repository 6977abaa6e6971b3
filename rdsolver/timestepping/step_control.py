"""Step control: one decision for each attempt, in plain floats on the host, for each run."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from .base import StepAttempt

SAFETY, LEAST, MOST = 0.8, 0.2, 4.0
# in the error norm: if the correction of the last V-cycle is larger, the solver did not solve the stage
UNSOLVED = 0.5


@dataclass(frozen=True)
class Verdict:
    """The verdict on an attempt: accept, the next step (d, not clipped by events), and the reason of a
    rejection.
    """

    accept: bool
    dt: float
    reason: str = ""


def judge(attempt: StepAttempt, order: int) -> Verdict:
    """Accept a step whose error is at most 1 and whose state is finite, not negative and solved.

    The next step is this one times 0.8 err^(-1/(order+1)), limited to 0.2 .. 4, and times a quarter after a
    failure.
    """
    if not attempt.finite or not isfinite(attempt.error):
        return Verdict(False, attempt.dt / 4, "not finite")
    if not attempt.unsolved <= UNSOLVED:
        return Verdict(
            False,
            attempt.dt / 4,
            f"the linear solver left a correction of {attempt.unsolved:.2g} of the tolerance",
        )
    if attempt.lowest < -1:
        return Verdict(False, attempt.dt / 4, f"a density fell to {attempt.lowest:.2g} tolerances below zero")
    factor = MOST if attempt.error == 0 else SAFETY * attempt.error ** (-1 / (order + 1))
    factor = min(MOST, max(LEAST, factor))
    return Verdict(
        attempt.error <= 1,
        attempt.dt * factor,
        "" if attempt.error <= 1 else f"error {attempt.error:.2g} of the tolerance",
    )


def clipped(dt: float, left: float) -> float:
    """The step to take when `left` days remain to the next landing.

    It is `left` if the step reaches that far, or half of it if only a very short step would remain.
    """
    if dt >= left:
        return left
    return left / 2 if left < dt / 0.6 else dt
