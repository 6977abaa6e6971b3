"""The settings with which a run is solved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import InputError
from ..timestepping.registry import AUTO, NAMES
from ..utils import checks

# ten times the round-off of a step, relative to the scales
LEAST_TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
MOST_TOLERANCE = 0.1


@dataclass(frozen=True)
class Solver:
    integrator: str = AUTO  # one of NAMES
    tolerance: float = 1e-3
    precision: Literal["float32", "float64"] = "float32"
    device: str = "cpu"  # cpu | gpu | gpu:N
    max_steps: int | None = None  # most accepted steps before the run fails
    longest_step: float | None = None  # d; None: limited only by the error of a step

    def __post_init__(self) -> None:
        checks.word("solver.integrator", self.integrator, NAMES)
        checks.word("solver.precision", self.precision, tuple(LEAST_TOLERANCE))
        checks.text("solver.device", self.device)
        steps = None if self.max_steps is None else checks.whole("solver.max_steps", self.max_steps, 1)
        longest = (
            self.longest_step
            if self.longest_step is None
            else checks.number("solver.longest_step", self.longest_step, "d", above=0)
        )
        checks.settle(
            self,
            tolerance=checks.number("solver.tolerance", self.tolerance),
            max_steps=steps,
            longest_step=longest,
        )
        if not LEAST_TOLERANCE[self.precision] <= self.tolerance <= MOST_TOLERANCE:
            least = LEAST_TOLERANCE[self.precision]
            more = (
                f' (down to {LEAST_TOLERANCE["float64"]:g} with precision = "float64").'
                if self.precision == "float32"
                else "."
            )
            raise InputError(
                f"solver.tolerance = {self.tolerance:g} in {self.precision} is out of reach. Allowed:"
                f" {least:g} to {MOST_TOLERANCE:g}{more}"
            )
