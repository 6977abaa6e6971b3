"""The interface of an integrator.

A step has a fixed amount of work, which is done in pieces; it is accepted or rejected outside
(step_control.py). An integrator is pure in (system, t, u, step_state, dt, tol): nothing is kept between
calls, so a step can be abandoned between two pieces, repeated with another dt, checkpointed before it, or
vmapped over a batch of runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..operators.array_types import Float, Number
from .system import Fields, Numbers, Sums, System

Verdict = Float[Array, "3"]
Told = dict[str, np.ndarray]  # single numbers by name, on the host


@partial(jax.tree_util.register_dataclass, data_fields=["f", "flows", "middle", "middle_age"], meta_fields=[])
@dataclass(frozen=True)
class StepState:
    """The state that is carried from step to step.

    f, flows     slope and flows of the budgets at the present time
    middle       slope inside the last step, `middle_age` days ago (inf: there is none, and middle is f)
    """

    f: Fields
    flows: Sums
    middle: Fields
    middle_age: float | Number


@dataclass(frozen=True)
class StepAttempt:
    """An attempted step, with everything that is needed to judge it.

    error     error of the step, in the error norm (1: the tolerance)
    finite    True if every value is finite
    lowest    lowest value over the tolerance of its field; below -1, a density is negative
    unsolved  largest last correction of the linear solver in the error norm (0: no solver)
    passed    integrals of the budgets' sources and losses over the step
    stats     worst contraction, number of stages
    """

    t: float
    dt: float
    u: Fields
    step_state: StepState
    observed: Told
    passed: Told
    error: float
    finite: bool
    lowest: float
    unsolved: float
    stats: dict[str, float | int]


def verdict(system: System, error: Fields, u: Fields, tol: Number) -> Verdict:
    """The verdict on a step that ends at u: (error in the norm, 1 if every value is finite, lowest value over
    the tolerance). The function is traced.
    """
    norm = system.norm(error, u, tol)
    finite, lowest = system.valid(u, tol)
    return jnp.stack([norm, finite.astype(norm.dtype), lowest])


def explicit(
    t: float, dt: float, u: Fields, f: Fields, found: tuple[Verdict, Numbers], stages: int
) -> StepAttempt:
    """The attempt of an explicit step to t, which solves nothing and carries only its slope f.

    found: the verdict and the observables, on the device. There are no budgets: fluxes and binding cancel in
    every stage, and computing the flows would cost a large part of a stage.
    """
    judged, observed = jax.device_get(found)
    step_state = StepState(f, {}, f, float("inf"))
    error, finite, lowest = float(judged[0]), bool(judged[1]), float(judged[2])
    return StepAttempt(t, dt, u, step_state, observed, {}, error, finite, lowest, 0.0, {"stages": stages})


STEPS = 25, 10  # steps of a segment: while they grow from the first step, and then at tolerance 1e-3


@dataclass(frozen=True)
class Span:
    """The stretch of time for which an integrator predicts its work.

    length     length of the run, d
    segments   number of segments, from event to event
    tolerance  tolerance of each step
    longest    longest step that the user allows, d (None: any)
    """

    length: float
    segments: int
    tolerance: float
    longest: float | None = None

    @property
    def least(self) -> float:
        """The number of steps that any integrator takes at least."""
        return 0.0 if self.longest is None else self.length / self.longest

    @property
    def steps(self) -> float:
        """The number of steps that a method of order 2 takes: N = 25 + 10 (1e-3/tolerance)^(1/3) in each
        segment.
        """
        wanted = self.segments * (STEPS[0] + STEPS[1] * (1e-3 / self.tolerance) ** (1 / 3))
        return max(self.least, wanted)


@runtime_checkable
class Integrator(Protocol):
    name: ClassVar[str]
    order: ClassVar[int]
    """The order of the solution that is carried on."""
    error_order: ClassVar[int]
    """The order of the error estimate, which sets the steps."""
    dense: ClassVar[bool]
    """True if a cubic Hermite through a step is as accurate as the step; otherwise steps land on saved times.
    """

    def work(self, system: System, u: Fields, span: Span) -> float | None:
        """The predicted work of a run, in sweeps of the right-hand side; None if "auto" does not choose
        it.
        """
        ...

    def largest_dt(self, system: System, t: float, u: Fields) -> float:
        """A bound on the step (drift, number of stages), d; inf for none."""
        ...

    def pieces(
        self, system: System, t: float, u: Fields, step_state: StepState, dt: float, tol: float
    ) -> Iterator[StepAttempt | None]:
        """The work of one step: None after each piece, and the StepAttempt at the end."""
        ...


@jax.jit
def start(system: System, t: Number, u: Fields) -> StepState:
    """The step state from plain rates, at a start only."""
    aux = system.update_coefficients(u)
    f = system.rates(t, u, aux)
    return StepState(f, system.flows(t, u, aux), f, jnp.inf)


@jax.jit
def event(before: System, after: System, t: Number, u: Fields, step_state: StepState) -> StepState:
    """The step state after a dose or a change of parameters, with the slope f + f(t+, u) - f(t-, u).

    The difference keeps the algebraic slope of the solver's state. Plain rates would multiply the solver's
    error by dt λ, about 2,000, and that noise would reduce the step.
    """
    aux = before.update_coefficients(u)

    def moved(old: dict[str, Array], minus: dict[str, Array], plus: dict[str, Array]) -> dict[str, Array]:
        return {k: old[k] + (plus[k] - minus[k]) for k in old}

    f = moved(step_state.f, before.rates(t, u, aux), after.rates(t, u, aux))
    flows = moved(step_state.flows, before.flows(t, u, aux), after.flows(t, u, aux))
    return StepState(f, flows, f, jnp.inf)


@jax.jit
def hermite(u0: Fields, f0: Fields, u1: Fields, f1: Fields, dt: Number, x: Number) -> Fields:
    """The cubic Hermite through states and slopes at both ends, at the fraction x of the step, so that saving
    costs no steps.
    """
    out = {}
    for k in u0:
        d, s, h = (v.astype(u0[k].dtype) for v in (dt, x, jnp.asarray(1.0)))
        rise = u1[k] - u0[k]
        out[k] = (
            u0[k]
            + s
            * (d * f0[k] + s * (3 * rise - d * (2 * f0[k] + f1[k]) + s * (d * (f0[k] + f1[k]) - 2 * rise)))
            * h
        )
    return out
