"""Runs of problems for studies: to saved times, by fixed steps, and from the state that a step left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf

import jax
import numpy as np

from ...problem import ModelProblem, Problem, Solver
from ...simulation import program
from ...simulation.time_loop import Simulation
from ...timestepping.base import Integrator, StepState, start
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
    return [(t, dict(u)) for step in Simulation(problem).steps() for t, u in step.saved]


def loaded(name: str, system: System) -> Integrator:
    """The integrator of this name, prepared for a system."""
    return INTEGRATORS[name].load().prepared(system)


@dataclass(frozen=True)
class Replayed:
    """A step that was repeated: the state at its end, and its numbers (timestepping/advance.py)."""

    t: float
    u: Fields
    step_state: StepState
    row: Mapping[str, float]

    def passed(self) -> dict[str, float]:
        """The integrals of the budgets' sources and losses over the step."""
        return {k.removeprefix("passed."): x for k, x in self.row.items() if k.startswith("passed.")}


def one_step(
    integrator: Integrator, system: System, t: float, u: Fields, step_state: StepState, dt: float, tol: float
) -> Replayed:
    """A step of dt, whatever its error."""
    leg = program.leg(system, inf, tol)
    found = program.forced(integrator, leg, t, dt, u, step_state, system.cycles)
    return Replayed(t + dt, found.lane.u, found.lane.step_state, found.rows[0])


def replay(
    integrator: Integrator, system: System, u: Fields, steps: Iterable[float], tol: float, t: float = 0.0
) -> list[Replayed]:
    """These steps, one after another from time t, whatever their error."""
    step_state, done = start(system, np.float64(t), u, implicit=integrator.implicit), []
    for dt in steps:
        done.append(one_step(integrator, system, t, u, step_state, dt, tol))
        t, u, step_state = done[-1].t, done[-1].u, done[-1].step_state
    return done


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
