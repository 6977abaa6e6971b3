"""Runs of problems for studies: to saved times, by fixed steps, and from the state that a step left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import jax
import numpy as np

from ...problem import ModelProblem, Problem, Solver
from ...simulation.time_loop import Simulation
from ...timestepping.base import Integrator, StepAttempt, StepState, start
from ...timestepping.registry import INTEGRATORS
from ...timestepping.system import Fields, System
from .results import rms, worst

State = dict[str, np.ndarray]


def names(system: System | None = None) -> list[str]:
    """The names of the integrators; with a system, of those that can solve it (exponential ones need a plain
    box).
    """
    return [
        name
        for name, entry in INTEGRATORS.items()
        if system is None or system.box is not None or not entry.exponential
    ]


def tight(integrator: str = "tr-bdf2", tolerance: float = 1e-6) -> Solver:
    return Solver(integrator, tolerance, "float64")  # pyright: ignore[reportArgumentType]


def saved(problem: ModelProblem | Problem) -> list[tuple[float, State]]:
    """The states at the saved times."""
    return [(t, u) for chunk in Simulation(problem).chunks() for t, u in chunk.saved]


def one_step(
    integrator: Integrator, system: System, t: float, u: Fields, step_state: StepState, dt: float, tol: float
) -> StepAttempt:
    *_, attempt = integrator.pieces(system, t, u, step_state, dt, tol)
    assert attempt is not None  # the last piece is the attempt
    return attempt


def replay(
    integrator: Integrator, system: System, t: float, u: Fields, steps: Iterable[float], tol: float
) -> list[StepAttempt]:
    """The attempts of these steps, one after another, whatever their error."""
    step_state, attempts = start(system, np.float64(t), u), []
    for dt in steps:
        attempts.append(one_step(integrator, system, t, u, step_state, dt, tol))
        t, u, step_state = attempts[-1].t, attempts[-1].u, attempts[-1].step_state
    return attempts


def arrays(u: Mapping[str, jax.Array]) -> State:
    return {k: np.asarray(v, float) for k, v in u.items()}


Values = Mapping[str, jax.Array | np.ndarray]


def errors(got: Values, want: Values, scale: Mapping[str, float]) -> dict[str, float]:
    """The relative L2 distance of each field, floored at 1e-2 of its scale."""

    def off(k: str) -> float:
        w = np.asarray(want[k], float)
        return rms(np.asarray(got[k], float) - w) / max(rms(w), 1e-2 * scale[k])

    return {k: off(k) for k in want}


def distance(got: Values, want: Values, scale: Mapping[str, float]) -> float:
    """The largest of the errors."""
    return worst(errors(got, want, scale).values())
