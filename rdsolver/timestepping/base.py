"""What an integrator is: fixed work a step, in pieces; accept or reject is decided outside (step_control.py).

An integrator is pure in (system, t, u, step_state, dt, tol): nothing is kept between calls, so a step can be
abandoned between two pieces, repeated with another dt, checkpointed before it, or vmapped over a batch of
runs.
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
Told = dict[str, np.ndarray]  # single numbers, on the host


@partial(jax.tree_util.register_dataclass, data_fields=["f", "flows", "middle", "middle_age"], meta_fields=[])
@dataclass(frozen=True)
class StepState:
    """What goes from step to step.

    f, flows     slope and flows of the budgets at the present time
    middle       slope inside the last step, `middle_age` days ago (inf: there is none, middle is f)
    """

    f: Fields
    flows: Sums
    middle: Fields
    middle_age: float | Array


@dataclass(frozen=True)
class StepAttempt:
    """A step that was tried, with all that is needed to judge it.

    error     of the step, in the error norm (1: the tolerance)
    finite    every value is
    lowest    lowest value over the tolerance of its field; below -1 a density is negative
    unsolved  largest last correction of the linear solver in the error norm (0: no solver)
    passed    integrals over the step of the budgets' sources and losses
    stats     worst contraction, stages
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
    """Of a step that ends at u: (error in the norm, 1 where every value is finite, lowest value over the
    tolerance). Traced.
    """
    norm = system.norm(error, u, tol)
    finite, lowest = system.valid(u, tol)
    return jnp.stack([norm, finite.astype(norm.dtype), lowest])


def explicit(
    t: float, dt: float, u: Fields, f: Fields, found: tuple[Verdict, Numbers], stages: int
) -> StepAttempt:
    """The attempt of a step to t that solves nothing and carries its slope f alone; found: verdict and
    observables, on the device.

    No budgets: fluxes and binding cancel in every stage, and counting what passes would cost much of a stage.
    """
    judged, observed = jax.device_get(found)
    step_state = StepState(f, {}, f, float("inf"))
    error, finite, lowest = float(judged[0]), bool(judged[1]), float(judged[2])
    return StepAttempt(t, dt, u, step_state, observed, {}, error, finite, lowest, 0.0, {"stages": stages})


STEPS = 25, 10  # from event to event: growing from the first step, and at tolerance 1e-3


@dataclass(frozen=True)
class Span:
    """What an integrator predicts its work for.

    length     of the run, d; segments: how many, from event to event
    tolerance  of each step; longest: the step that the user allows, d (None: any)
    """

    length: float
    segments: int
    tolerance: float
    longest: float | None = None

    @property
    def least(self) -> float:
        """Steps that any integrator takes."""
        return 0.0 if self.longest is None else self.length / self.longest

    @property
    def steps(self) -> float:
        """Steps that a method of order 2 takes, by accuracy: N = 25 + 10 (1e-3/tolerance)^(1/3) a segment."""
        wanted = self.segments * (STEPS[0] + STEPS[1] * (1e-3 / self.tolerance) ** (1 / 3))
        return max(self.least, wanted)


@runtime_checkable
class Integrator(Protocol):
    name: ClassVar[str]
    order: ClassVar[int]
    """Of the solution that is carried on."""
    error_order: ClassVar[int]
    """Of the error estimate, which the steps follow."""
    dense: ClassVar[bool]
    """A cubic Hermite through a step is as accurate as the step; otherwise steps land on saved times."""

    def work(self, system: System, u: Fields, span: Span) -> float | None:
        """Predicted work of a run, in sweeps of the right-hand side; None where "auto" does not take it."""
        ...

    def largest_dt(self, system: System, t: float, u: Fields) -> float:
        """Bound on the step (drift, number of stages), d; inf for none."""
        ...

    def pieces(
        self, system: System, t: float, u: Fields, step_state: StepState, dt: float, tol: float
    ) -> Iterator[StepAttempt | None]:
        """The work of one step: None after each piece, the StepAttempt last."""
        ...


@jax.jit
def start(system: System, t: Number, u: Fields) -> StepState:
    """Plain rates: at a start only."""
    aux = system.update_coefficients(u)
    f = system.rates(t, u, aux)
    return StepState(f, system.flows(t, u, aux), f, jnp.inf)


@jax.jit
def event(before: System, after: System, t: Number, u: Fields, step_state: StepState) -> StepState:
    """The slope after a dose or a change of parameters: f + f(t+, u) - f(t-, u).

    The difference keeps the algebraic slope of the solver's state. Plain rates would multiply the solver's
    error by dt λ, about 2,000, and that noise would drive the step down.
    """
    aux = before.update_coefficients(u)

    def moved(old: dict[str, Array], minus: dict[str, Array], plus: dict[str, Array]) -> dict[str, Array]:
        return {k: old[k] + (plus[k] - minus[k]) for k in old}

    f = moved(step_state.f, before.rates(t, u, aux), after.rates(t, u, aux))
    flows = moved(step_state.flows, before.flows(t, u, aux), after.flows(t, u, aux))
    return StepState(f, flows, f, jnp.inf)


@jax.jit
def hermite(u0: Fields, f0: Fields, u1: Fields, f1: Fields, dt: Number, x: Number) -> Fields:
    """Cubic Hermite through states and slopes at both ends, at the share x of the step: saving costs no
    steps.
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
